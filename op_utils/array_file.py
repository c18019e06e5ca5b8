"""One array on the disk: written batch by batch, verified when it is opened.

`NAME.npy` is what NumPy reads; `NAME.json` beside it, written last, says what the
array must be. bfloat16, which NumPy's format does not know, is kept as uint16.
"""

import hashlib
import os
import pathlib

import ml_dtypes
import numpy as np

from op_utils import files

FORMAT = 1
_TYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


class Damaged(ValueError):
    """What is on the disk is not what was written; says why, without the name."""


def row_bytes(shape, precision: str) -> int:
    """Bytes of one row of this shape."""
    return int(np.prod(shape, dtype=np.int64)) * _TYPES[precision].itemsize


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
        self._digest, self._rows = hashlib.sha256(), 0
        self._absolute = self._relative = 0.0

    def __enter__(self):
        header = {"shape": self.shape, "fortran_order": False}
        header["descr"] = _plain(self.precision).str
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
            kept = np.ascontiguousarray(rows, _TYPES[self.precision])
        self._note_errors(rows, kept.astype(np.float32))
        self._rows += len(rows)
        self.write(kept.view(_plain(self.precision)).data)

    def write(self, data) -> int:
        """Adds bytes; what `numpy.lib.format` asks of a file."""
        self._digest.update(data)
        return self._guarded(self._file.write, data)

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self):
        if self._rows != self.shape[0]:
            raise ValueError(
                f"{self.path} is not complete. Expected {self.shape[0]} rows. "
                f"Received: {self._rows}."
            )
        self._guarded(self._file.close)
        facts = {
            "format": FORMAT,
            "shape": list(self.shape),
            "precision": self.precision,
            "bytes": self._temporary.stat().st_size,
            "sha256": self._digest.hexdigest(),
            "largest_absolute_error": self._absolute,
            "largest_relative_error": self._relative,
        }
        facts_path = self.path.with_suffix(".json")
        facts_path.unlink(missing_ok=True)  # of a damaged array
        self._guarded(files.sync, self._temporary)
        os.replace(self._temporary, self.path)
        self._guarded(files.write_json, facts_path, facts)

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
            raise ValueError(
                f"{self.precision} cannot hold {self.path.stem}. Expected finite "
                "numbers of its range; bfloat16 and float32 have the widest. "
                f"Received: up to {np.abs(rows).max():g}."
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


def verified(path: os.PathLike, shape, precision: str) -> np.ndarray | None:
    """An array's memory map, after all its bytes were checked; None if there is none.

    Args:
        path: ends in `.npy`.
        shape: (N, ...), what is expected.
        precision: the same.

    Raises:
        Damaged: it is not what was written, or of another shape or precision.
    """
    path = pathlib.Path(path)
    try:
        facts = files.read_json(path.with_suffix(".json"))
        wanted = {"format": FORMAT, "shape": list(shape), "precision": precision}
        received = {key: facts.get(key) for key in wanted}
        if received != wanted:
            raise Damaged(f"expected {wanted}, received {received}")
        if path.stat().st_size != facts.get("bytes"):
            raise Damaged(
                f"expected {facts.get('bytes')} bytes, received {path.stat().st_size}"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != facts.get("sha256"):
            raise Damaged("its SHA-256 is not that of what was written")
        return np.load(path, mmap_mode="r").view(_TYPES[precision])
    except FileNotFoundError:  # Another process may be replacing what is damaged.
        return None
    except (AttributeError, ValueError) as error:  # also: JSON that is no object
        raise error if isinstance(error, Damaged) else Damaged(str(error)) from error


def errors(path: os.PathLike) -> tuple[float, float]:
    """The largest absolute and relative error of an array's numbers, as kept."""
    facts = files.read_json(pathlib.Path(path).with_suffix(".json"))
    return facts["largest_absolute_error"], facts["largest_relative_error"]


def temporaries(folder: os.PathLike, beginning: str) -> list[pathlib.Path]:
    """Unfinished arrays, by the beginning of their names; whoever writes them."""
    return sorted(pathlib.Path(folder).glob(f".{beginning}*.npy"))


def _plain(precision):
    """How the type is called in the file."""
    return np.dtype("<u2") if precision == "bfloat16" else _TYPES[precision]
