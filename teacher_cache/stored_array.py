"""An array on the disk, whose rows are verified when they are first read."""

import contextlib
import hashlib
import os
import pathlib
import threading
from collections.abc import Callable, Mapping

import numpy as np

from teacher_cache import array_facts
from teacher_cache.array_facts import Damaged
from teacher_cache.array_file import TYPES, row_bytes

_AT_ONCE = 2**24  # bytes that are read together where all are


class KeptArray:
    """A memory map of which nothing is read before it was verified.

    Args:
        path: ends in `.npy`.
        facts: what `array_facts.read` returned.

    Raises:
        Damaged: its header or size is not what was written.
        FileNotFoundError: it is not there.
    """

    def __init__(self, path: os.PathLike, facts: Mapping):
        self._digests = facts["blocks_sha256"]
        self._rows_per_block = facts["rows_per_block"]
        rows = _memory_map(path, facts)
        self._rows = rows.view(TYPES[facts["precision"]])
        self._bytes = rows  # hashlib does not know bfloat16
        self.is_verified = np.zeros(len(self._digests), bool)  # block by block
        self._lock = threading.Lock()

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Rows by their numbers [n], float32 [n, ...]; several threads may ask.

        Raises:
            Damaged: a block that holds one of them is not what was written.
        """
        blocks = index // self._rows_per_block
        if not self.is_verified[blocks].all():
            with self._lock:
                for block in np.unique(blocks[~self.is_verified[blocks]]):
                    self._verify(block)
        return np.asarray(self._rows[index]).astype(np.float32, copy=False)

    def _verify(self, block: int) -> None:
        first = block * self._rows_per_block
        rows = self._bytes[first : first + self._rows_per_block]
        if hashlib.sha256(rows.data).hexdigest() != self._digests[block]:
            raise Damaged(
                f"the SHA-256 of rows {first} to {first + len(rows) - 1} is not that "
                "of what was written"
            )
        self.is_verified[block] = True


def opened(
    path: os.PathLike,
    shape,
    precision: str,
    before_whole: Callable[[], None] = lambda: None,
) -> KeptArray | None:
    """An array, of which no rows are read yet; None if there is none.

    One of the earlier format is read and verified as a whole, once: it then has facts
    of today's.

    Args:
        path: ends in `.npy`.
        shape: (N, ...), what is expected.
        precision: the same.
        before_whole: called before all of one is read.

    Raises:
        Damaged: it is not what was written, or of another shape or precision.
    """
    path = pathlib.Path(path)
    try:
        facts = array_facts.read(path, shape, precision)
        _check_size(path, facts)
        if array_facts.is_whole(facts):
            before_whole()
            facts = _of_blocks(path, facts)
        return KeptArray(path, facts)
    except FileNotFoundError:  # Another process may be replacing what is damaged.
        return None
    except ValueError as error:  # also: JSON or a header that cannot be read
        raise error if isinstance(error, Damaged) else Damaged(str(error)) from error


def _check_size(path, facts):
    if path.stat().st_size != facts.get("bytes"):
        raise Damaged(
            f"expected {facts.get('bytes')} bytes, received {path.stat().st_size}"
        )


def _memory_map(path, facts) -> np.ndarray:
    with path.open("rb") as file:
        header = hashlib.sha256(file.read(_header_bytes(facts))).hexdigest()
    if header != facts["header_sha256"]:
        raise Damaged("its header's SHA-256 is not that of what was written")
    return np.load(path, mmap_mode="r")


def _header_bytes(facts: Mapping) -> int:
    """How much of the file stands before the rows."""
    return facts["bytes"] - row_bytes(facts["shape"], facts["precision"])


def _of_blocks(path: pathlib.Path, facts: Mapping) -> dict:
    """The facts of an array of the earlier format, after all of it was verified."""
    size = row_bytes(facts["shape"][1:], facts["precision"])
    blocks = array_facts.BlockDigests(size)
    with path.open("rb") as file:
        header = file.read(_header_bytes(facts))
        whole = hashlib.sha256(header)
        while data := file.read(size * max(1, _AT_ONCE // size)):
            whole.update(data)
            blocks.update(np.frombuffer(data, np.uint8).reshape(-1, size))
    if whole.hexdigest() != facts.get("sha256"):
        raise Damaged("its SHA-256 is not that of what was written")
    old = ("format", "sha256")
    found = {key: value for key, value in facts.items() if key not in old}
    found["header_sha256"] = hashlib.sha256(header).hexdigest()
    found |= blocks.facts()
    # Where nothing may be written, every start verifies all of it.
    with contextlib.suppress(OSError):
        array_facts.write(path, found)
    return found
