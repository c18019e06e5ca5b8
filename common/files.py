"""Files that are either completely there or not there at all.

What is written here is on the disk when the call returns, not only in the system's
memory: a power cut leaves files that were written one after another as a beginning of
that order. Streams, such as logs and TensorBoard's events, are the exception.
"""

import contextlib
import glob
import json
import os
import pathlib
import re
from collections.abc import Callable


def write_atomically(path: os.PathLike, write: Callable[[pathlib.Path], None]) -> None:
    """Calls `write(temporary)` beside `path`, then renames it into place.

    A crash or power cut at any moment leaves the old file or the new one, never half
    of one: the content is synced before it gets its name, the name before this returns.
    What killed processes left of the same file is removed.

    The temporary name keeps the suffix, because Keras chooses the format by it.
    """
    path = pathlib.Path(path)
    remove_leftovers(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def remove_leftovers(path: os.PathLike, is_alone: bool = False) -> None:
    """Removes the temporary files of writers of `path` that were killed.

    Args:
        path: what they were to become.
        is_alone: nobody else may write it now, as in a run folder under its lock: all
            of them are leftovers. Otherwise those are whose process does not run (on
            this machine), so that another process can write the same file meanwhile.
    """
    path = pathlib.Path(path)
    name = re.compile(rf"\.{re.escape(path.stem)}\.(\d+){re.escape(path.suffix)}")
    for candidate in path.parent.glob(f".*{glob.escape(path.suffix)}"):
        found = name.fullmatch(candidate.name)
        if found and (is_alone or not _is_running(int(found[1]))):
            # Another user's, in a folder where that forbids it, harms nobody.
            with contextlib.suppress(PermissionError):
                candidate.unlink(missing_ok=True)


def make_folder(path: os.PathLike) -> None:
    """Makes a folder and its parents, if they are not there, and syncs their names."""
    path = pathlib.Path(path)
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync(made.parent)


def write_json(path: os.PathLike, value) -> None:
    """Writes indented JSON atomically; nan and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: os.PathLike):
    """Reads JSON; a broken file is a ValueError that names it."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    # No text, no JSON, a number of thousands of digits; thousands of brackets.
    except (ValueError, RecursionError) as error:
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


def _is_running(process: int) -> bool:
    """Whether there is a process of this number, whoever's."""
    try:
        os.kill(process, 0)  # Signal 0 is not sent; only the number is looked up.
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
