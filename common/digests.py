"""The content of a file that a setting names."""

import functools
import hashlib
import os


def file_digest(path: str) -> str:
    """SHA-256 of a file's bytes; ValueError if it cannot be read."""
    try:
        stat = os.stat(path)
        return _digest(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror}. Expected a .keras file."
        ) from error


@functools.lru_cache(maxsize=4096)  # A grid asks for all of its cells.
def _digest(path: str, *stat: int) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
