"""Files that are either completely there or not there at all."""

import json
import os
import pathlib
from collections.abc import Callable


def write_atomically(path: os.PathLike, write: Callable[[pathlib.Path], None]) -> None:
    """Calls `write(temporary)` beside `path`, then renames it into place.

    A crash at any moment leaves the old file or the new one, never half of one.
    The temporary name keeps the suffix, because Keras chooses the format by it.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def write_json(path: os.PathLike, value) -> None:
    """Writes indented JSON atomically; nan and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: os.PathLike):
    """Reads JSON; a broken file is a ValueError that names it."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: expected JSON. Received: {error}.") from (
            error
        )


def sync(path: os.PathLike) -> None:
    """Flushes a file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
