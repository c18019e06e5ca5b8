"""A folder of arrays by (version, name), which several processes may fill at once."""

import collections
import contextlib
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping

import filelock
import numpy as np

from common import files
from common.errors import wrong
from common.quantities import size as _size
from teacher_cache import array_facts, array_file, stored_array
from teacher_cache.array_facts import Damaged

# Pieces that are wanted: version -> names.
Wanted = Mapping[int, frozenset[str]]
# (version, names) -> batches of rows by name, in order.
Compute = Callable[[int, frozenset[str]], Iterable[Mapping[str, np.ndarray]]]


class SetAside(ValueError):
    """An array that is in use was damaged and removed, to be computed again."""


class CacheFolder:
    """The arrays of one key.

    They are verified when they are read for the first time, block by block of rows.

    Args:
        path: the folder.
        shapes: name -> shape of one row.
        size: N, rows of every array.
        precision: how they are kept, see `array_file`.
        log: told what is found and done, a line each.

    Attributes:
        set_aside: what `rows` raised, as those who call it may get it in other words.
    """

    def __init__(
        self,
        path: os.PathLike,
        shapes: Mapping[str, tuple[int, ...]],
        size: int,
        precision: str,
        log: Callable[[str], None] = print,
    ):
        self.path, self.shapes, self.size = pathlib.Path(path), dict(shapes), size
        self.precision, self.log = precision, log
        self._open: dict[tuple[int, str], stored_array.KeptArray] = {}
        self._lock, self._told = threading.Lock(), False
        self.set_aside: SetAside | None = None

    def missing(self, wanted: Wanted) -> dict[int, frozenset[str]]:
        """Opens all arrays that are there; what is not there or is damaged is left."""
        found = {
            version: frozenset(n for n in sorted(names) if not self._opens(version, n))
            for version, names in sorted(wanted.items())
        }
        return {version: names for version, names in found.items() if names}

    def bytes_of(self, missing: Wanted) -> int:
        """What these arrays take on the disk."""
        return self.size * sum(
            array_file.row_bytes(self.shapes[name], self.precision)
            for of_version in missing.values()
            for name in of_version
        )

    def free_bytes(self) -> int:
        """What is free on the disk."""
        return shutil.disk_usage(_existing(self.path)).free

    def fill(self, missing: Wanted, facts: Mapping, compute: Compute) -> None:
        """Computes and opens the arrays that are missing.

        Args:
            missing: what `missing` returned.
            facts: what the key was made of, for people.
            compute: gives the rows.

        Raises:
            ValueError: they do not fit on the disk.
            OSError: the disk cannot be written.
        """
        self._announce(missing)
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "key.json").exists():
            files.write_json(self.path / "key.json", facts)
        waiting = collections.deque(missing)
        passed = 0  # in a row, because others work on them
        while waiting:
            version = waiting.popleft()
            # Once around: nothing is left but to wait.
            with self._locked(version, wait=passed > len(waiting)) as is_locked:
                if not is_locked:
                    waiting.append(version)
                    passed += 1
                    continue
                passed = 0
                self._fill_version(version, missing[version], compute)

    def rows(self, version: int, name: str, index: np.ndarray) -> np.ndarray:
        """Rows of an array that was opened, float32 [len(index), ...].

        Several threads may ask.

        Raises:
            SetAside: they are not what was written.
        """
        try:
            return self._open[version, name].rows(index)
        except Damaged as error:
            return self._rows_of_another(version, name, index, error)

    def _rows_of_another(self, version, name, index, damage):
        """Rows that another process has computed again; else they are set aside."""
        path = self.array(version, name)
        with self._lock:
            text = f"{path} is damaged ({damage})"
            try:
                # Where it is gone, another process may be computing it: leave that be.
                if self._opens(version, name):
                    return self._open[version, name].rows(index)
            except Damaged as error:
                text = f"{path} is damaged ({error})"
                try:
                    array_file.remove(path)
                except OSError as refused:
                    text += f" and cannot be removed ({refused.strerror})"
            self.set_aside = self.set_aside or SetAside(text)
        raise self.set_aside

    def errors(self, wanted: Wanted) -> dict[str, tuple[float, float]]:
        """Name -> the largest absolute and relative error of the arrays as kept."""
        largest = {}
        for version, names in wanted.items():
            for name in sorted(names):
                found = array_facts.errors(self.array(version, name))
                before = largest.get(name, (0.0, 0.0))
                largest[name] = tuple(map(max, before, found))
        return largest

    def array(self, version: int, name: str) -> pathlib.Path:
        """The file of an array."""
        return self.path / f"v{version:05d}-{name}.npy"

    def _opens(self, version: int, name: str) -> bool:
        """Opens an array, if it is there and as it was written."""
        path = self.array(version, name)
        try:
            array = stored_array.opened(
                path,
                (self.size, *self.shapes[name]),
                self.precision,
                self._tell_of_old_ones,
            )
        except Damaged as error:
            self.log(f"teacher cache: {path} is damaged ({error}); computed again")
            return False
        if array is not None:
            self._open[version, name] = array
        return array is not None

    def _tell_of_old_ones(self) -> None:
        if not self._told:
            self.log(
                f"teacher cache: arrays in {self.path} are of an earlier version; each "
                "is verified as a whole, once"
            )
        self._told = True

    @contextlib.contextmanager
    def _locked(self, version: int, wait: bool):
        """Holds the lock of a version; gives False if another process has it."""
        lock = filelock.FileLock(self.path / f".v{version:05d}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if not wait:
                yield False
                return
            self.log(f"teacher cache: waiting for another process in {self.path}")
            lock.acquire()
        try:
            yield True
        finally:
            lock.release()

    def _fill_version(self, version: int, names: frozenset, compute: Compute) -> None:
        """Computes what another process has not computed in the meantime."""
        names = self.missing({version: names}).get(version)
        if not names:
            return
        for leftover in array_file.temporaries(self.path, f"v{version:05d}-"):
            leftover.unlink(missing_ok=True)  # whoever wrote it has lost the lock
        left = self.size
        with contextlib.ExitStack() as stack:
            writers = {
                name: stack.enter_context(
                    array_file.ArrayWriter(
                        self.array(version, name),
                        (self.size, *self.shapes[name]),
                        self.precision,
                    )
                )
                for name in sorted(names)
            }
            for batch in compute(version, names):
                for name, writer in writers.items():
                    writer.append(batch[name][:left])  # the last batch is filled up
                left -= min(left, len(batch[name]))
        if self.missing({version: names}):
            raise OSError(f"{self.path} does not keep what is written to it")

    def _announce(self, missing: Wanted) -> None:
        names = sorted(set().union(*missing.values()))
        needed = self.bytes_of(missing)
        versions = f"{len(missing)} version{'s' if len(missing) > 1 else ''}"
        self.log(
            f"teacher cache: {self.size:,} images x {versions} of {', '.join(names)}: "
            f"{_size(needed)} in {self.path}"
        )
        free = self.free_bytes()
        if needed > free:
            raise wrong(
                "the teacher cache does not fit on the disk",
                expected=f"{_size(needed)} free in {self.path}: a smaller "
                "--augmentation_period, --teacher_cache_precision=float16 or another "
                "--teacher_cache_dir may help",
                received=f"{_size(free)} free",
            )


def _existing(path: pathlib.Path) -> pathlib.Path:
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())
