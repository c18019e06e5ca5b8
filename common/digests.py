"""SHA-256 of files and of trees of sources."""

import functools
import hashlib
import os
import pathlib
from collections.abc import Sequence

_SHOWN = 12  # digits of a digest


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


def tree_digest(root: os.PathLike, names: Sequence[str], pattern: str = "*.py") -> str:
    """SHA-256 of the Python files' paths and bytes, in the order of their paths.

    Args:
        root: the paths are relative to it.
        names: folders, with all below them, and files.
        pattern: of the names of a folder's files. Hidden ones, as editors leave them,
            do not count.
    """
    root, found = pathlib.Path(root), []
    for name in names:
        place = root / name
        found += [place] if place.is_file() else place.rglob(pattern)
    paths = {path.relative_to(root).as_posix(): path for path in found}
    digest = hashlib.sha256()
    for name in sorted(paths):
        if not any(part.startswith(".") for part in name.split("/")):
            content = paths[name].read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def short(digest: str) -> str:
    """The beginning of a digest, for people."""
    return digest.removeprefix("sha256:")[:_SHOWN]
