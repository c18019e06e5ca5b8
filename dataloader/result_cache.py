"""Results that take long to find, kept in a file beside the data they are about."""

import contextlib
import pathlib
import zipfile
from collections.abc import Callable

import numpy as np

from common import files

_UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)


def recall(
    path: pathlib.Path, key: str, find: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What was found for `key` before, or is found now and kept for the next time.

    Where the file cannot be written, as in a folder for reading only, it is found
    anew each time. A damaged file counts as none.

    Args:
        path: of an .npz file.
        key: names all that the result depends on.
        find: gives the arrays, which hold no objects.
    """
    with contextlib.suppress(*_UNREADABLE):
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) == key:
                return {name: file[name] for name in file.files if name != "key"}
    arrays = find()
    with contextlib.suppress(OSError):
        files.write_atomically(path, lambda p: np.savez(p, key=np.array(key), **arrays))
    return arrays
