"""One array on the disk, written batch by batch; `stored_array` reads it.

`NAME.npy` is what NumPy reads; `NAME.json` beside it, see `array_facts`, says what the
array must be. bfloat16, which NumPy's format does not know, is kept as uint16.
"""

import hashlib
import os
import pathlib

import ml_dtypes
import numpy as np

from common import files
from common.errors import wrong
from teacher_cache import array_facts

TYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


def row_bytes(shape, precision: str) -> int:
    """Bytes of one row of this shape."""
    return int(np.prod(shape, dtype=np.int64)) * TYPES[precision].itemsize


class ArrayWriter:
    """Context that writes an array under another name and renames it at its end.

    Without the end, by an exception or a kill, there is no array; what a killed process
    leaves, `temporaries` finds.

    Args:
        path: ends in `.npy`.
        shape: of the whole array, (N, ...).
        precision: "float32", "float16" or "bfloat16".

    Raises:
        OSError: the disk is full or cannot be written; names `path`.
        ValueError: a number is too large for the precision, or rows are missing.
    """

    def __init__(self, path: os.PathLike, shape, precision: str):
        self.path = pathlib.Path(path)
        self.shape, self.precision = tuple(shape), precision
        self._temporary = self.path.with_name(f".{path.stem}.{os.getpid()}.npy")
        self._header, self._rows = hashlib.sha256(), 0
        self._blocks = array_facts.BlockDigests(row_bytes(self.shape[1:], precision))
        self._absolute = self._relative = 0.0

    def __enter__(self):
        header = {"shape": self.shape, "fortran_order": False}
        header["descr"] = plain_type(self.precision).str
        self._file = self._guarded(self._temporary.open, "wb")
        try:
            np.lib.format.write_array_header_1_0(self, header)
        except OSError:
            self._discard()
            raise
        return self

    def append(self, rows: np.ndarray) -> None:
        """Adds rows, float32 [n, ...]."""
        with np.errstate(over="ignore"):  # found below
            kept = np.ascontiguousarray(rows, TYPES[self.precision])
        self._note_errors(rows, kept.astype(np.float32))
        kept = kept.view(plain_type(self.precision))
        self._rows += len(kept)
        self._blocks.update(kept)
        self._guarded(self._file.write, kept.data)

    def write(self, data) -> int:
        """Adds bytes of the header; what `numpy.lib.format` asks of a file."""
        self._header.update(data)
        return self._guarded(self._file.write, data)

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self):
        if self._rows != self.shape[0]:
            raise wrong(
                f"{self.path} is not complete",
                expected=f"{self.shape[0]} rows",
                received=self._rows,
            )
        self._guarded(self._file.close)
        facts = {
            "shape": list(self.shape),
            "precision": self.precision,
            "bytes": self._temporary.stat().st_size,
            "header_sha256": self._header.hexdigest(),
            "largest_absolute_error": self._absolute,
            "largest_relative_error": self._relative,
            **self._blocks.facts(),
        }
        self.path.with_suffix(".json").unlink(missing_ok=True)  # of a damaged array
        self._guarded(files.sync, self._temporary)
        os.replace(self._temporary, self.path)
        self._guarded(array_facts.write, self.path, facts)

    def _discard(self):
        try:
            self._file.close()
        except OSError:
            pass  # its last bytes do not matter
        self._temporary.unlink(missing_ok=True)

    def _note_errors(self, rows, kept):
        if self.precision == "float32":
            return
        error = np.abs(rows.astype(np.float64) - kept)
        largest = float(error.max(initial=0.0))
        if not np.isfinite(largest):
            raise wrong(
                f"{self.precision} cannot hold {self.path.stem}",
                expected="finite numbers of its range; bfloat16 and float32 have the "
                "widest",
                received=f"up to {np.abs(rows).max():g}",
            )
        self._absolute = max(self._absolute, largest)
        share = error[rows != 0] / np.abs(rows[rows != 0])
        self._relative = max(self._relative, float(share.max(initial=0.0)))

    def _guarded(self, call, *arguments):
        """The call's result; an error of the system that names the array."""
        try:
            return call(*arguments)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def remove(path: os.PathLike) -> None:
    """Removes an array that is damaged; whoever has opened it keeps it."""
    path = pathlib.Path(path)
    for part in (path.with_suffix(".json"), path):  # without facts there is none
        part.unlink(missing_ok=True)


def temporaries(folder: os.PathLike, beginning: str) -> list[pathlib.Path]:
    """Unfinished arrays, by the beginning of their names; whoever writes them."""
    return sorted(pathlib.Path(folder).glob(f".{beginning}*.npy"))


def plain_type(precision: str) -> np.dtype:
    """How the type is called in the file."""
    return np.dtype("<u2") if precision == "bfloat16" else TYPES[precision]
