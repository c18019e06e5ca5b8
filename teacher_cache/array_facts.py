"""What an array on the disk must be: `NAME.json` beside `NAME.npy`, written last.

It holds a digest of every block of rows, so that what is read can be verified without
reading the rest; and one of itself.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from common import files

FORMAT = 2
_WHOLE = 1  # the format that had one digest of all bytes
# What one row that is needed makes be read with it; 4096 digests (0.3 MB) for a GiB.
BLOCK_BYTES = 2**18
_OWN = "facts_sha256"


class Damaged(ValueError):
    """What is on the disk is not what was written; says why, without the name."""


class BlockDigests:
    """SHA-256 of every block of rows, which come in parts of any length.

    Args:
        row_bytes: of one row.
    """

    def __init__(self, row_bytes: int):
        self.rows_per_block = max(1, BLOCK_BYTES // max(1, row_bytes))
        self._done, self._open, self._rows = [], hashlib.sha256(), 0

    def update(self, rows: np.ndarray) -> None:
        """Adds rows [n, ...], contiguous."""
        while len(rows):
            part = rows[: self.rows_per_block - self._rows]
            rows = rows[len(part) :]
            self._open.update(part.data)
            self._rows += len(part)
            if self._rows == self.rows_per_block:
                self._close()

    def facts(self) -> dict:
        """What the facts say of the blocks, when all rows were added."""
        if self._rows:
            self._close()
        return {"rows_per_block": self.rows_per_block, "blocks_sha256": self._done}

    def _close(self):
        self._done.append(self._open.hexdigest())
        self._open, self._rows = hashlib.sha256(), 0


def write(path: os.PathLike, facts: Mapping) -> None:
    """Writes the facts of an array, with a digest of themselves.

    Args:
        path: of the array; ends in `.npy`.
        facts: `shape`, `precision`, `bytes`, `header_sha256`, both errors and those of
            `BlockDigests`.
    """
    facts = {"format": FORMAT, **facts}
    of_array = pathlib.Path(path).with_suffix(".json")
    files.write_json(of_array, {**facts, _OWN: _own_digest(facts)})


def read(path: os.PathLike, shape, precision: str) -> dict:
    """The facts of an array; of the earlier format, if `is_whole` says so.

    Args:
        path: of the array.
        shape: (N, ...), what is expected.
        precision: the same.

    Raises:
        Damaged: they are not what was written, or of an array of another kind.
        FileNotFoundError: there are none.
    """
    facts = files.read_json(pathlib.Path(path).with_suffix(".json"))
    if not isinstance(facts, dict):
        raise Damaged(f"expected an object, received a {type(facts).__name__}")
    if not is_whole(facts) and facts.get(_OWN) != _own_digest(facts):
        raise Damaged("its facts' SHA-256 is not that of what was written")
    wanted = {"format": FORMAT, "shape": list(shape), "precision": precision}
    wanted["format"] = _WHOLE if is_whole(facts) else FORMAT
    received = {key: facts.get(key) for key in wanted}
    if received != wanted:
        raise Damaged(f"expected {wanted}, received {received}")
    return facts


def is_whole(facts: Mapping) -> bool:
    """Whether they know all bytes' digest alone, as an earlier version wrote them."""
    return facts.get("format") == _WHOLE


def errors(path: os.PathLike) -> tuple[float, float]:
    """The largest absolute and relative error of an array's numbers, as kept."""
    facts = files.read_json(pathlib.Path(path).with_suffix(".json"))
    return facts["largest_absolute_error"], facts["largest_relative_error"]


def _own_digest(facts: Mapping) -> str:
    rest = {key: value for key, value in facts.items() if key != _OWN}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
