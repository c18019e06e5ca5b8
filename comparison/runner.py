"""Runs the cells of a grid, some side by side, and goes on after those that fail."""

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import filelock

from comparison import launch
from comparison.cells import Cell
from comparison.record import FINISHED
from op_utils import files, option_flags
from op_utils.interruption import Interrupted
from op_utils.run_folder import RunFolder

_POLL = 0.2  # seconds


@dataclasses.dataclass
class Job:
    """A cell that is being run."""

    cell: Cell
    process: subprocess.Popen
    began: float

    @property
    def seconds(self) -> float:
        """Wall time since it was started."""
        return time.monotonic() - self.began


class Runner:
    """Runs cells in processes.

    Args:
        cells: those to run, in their order.
        jobs: how many at once.
        ended: called with (cell, its record, seconds) when one ends, well or not.
        message: called with a line for the user.
    """

    def __init__(
        self, cells: Sequence[Cell], jobs: int, ended: Callable, message: Callable
    ):
        self.waiting, self.jobs = list(cells), jobs
        self.ended, self.message = ended, message
        self.running: list[Job] = []
        self._signal = None
        self._tried = set()  # teachers whose first cell has ended, well or not
        self._told = set()  # folders that another process was found at

    def run(self) -> None:
        """Runs all; a signal stops the running ones, which save, and raises.

        Raises:
            Interrupted: SIGINT or SIGTERM came.
        """
        names = (signal.SIGINT, signal.SIGTERM)
        before = {s: signal.signal(s, self._receive) for s in names}
        try:
            while (self.waiting or self.running) and self._signal is None:
                self._reap()
                self._fill()
                time.sleep(_POLL)
            self._stop()
        finally:
            for job in self.running:
                job.process.terminate()  # It saves.
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _receive(self, number, _):
        if self._signal is not None:  # A second one does not wait.
            for job in self.running:
                job.process.kill()
        self._signal = number

    def _stop(self) -> None:
        for job in self.running:
            job.process.terminate()
        while self.running:
            self._reap()
            time.sleep(_POLL)

    def _reap(self) -> None:
        for job in [job for job in self.running if job.process.poll() is not None]:
            self.running.remove(job)
            self._end(job)

    def _end(self, job: Job) -> None:
        cell, code = job.cell, job.process.returncode
        self._tried.add(cell.teacher)
        if self._signal is not None and not cell.folder.is_finished:
            return
        if not cell.folder.is_finished:
            files.write_json(cell.failure, {"reason": _reason(cell, code)})
        self.ended(cell, cell.read(), job.seconds)

    def _fill(self) -> None:
        for cell in list(self.waiting):
            if len(self.running) >= self.jobs:
                return
            if self._must_wait(cell):
                continue
            self.waiting.remove(cell)
            if cell.read().state == FINISHED:  # by another process, meanwhile
                self.ended(cell, cell.read(), 0.0)
                continue
            self._start(cell)

    def _must_wait(self, cell: Cell) -> bool:
        """Whether another cell trains the same teacher, or another process is at it."""
        is_first = cell.teacher and cell.teacher not in self._tried
        if is_first and not RunFolder(cell.teacher).is_finished:
            if any(job.cell.teacher == cell.teacher for job in self.running):
                return True
        return self._is_elsewhere(cell)

    def _is_elsewhere(self, cell: Cell) -> bool:
        """Whether another process works in the cell's folder."""
        path = cell.folder.path / ".lock"
        if not path.exists():
            return False
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if cell.record.folder not in self._told:
                self._told.add(cell.record.folder)
                self.message(f"{cell.record.folder} is in use by another process")
            return True
        lock.release()
        return False

    def _start(self, cell: Cell) -> None:
        cell.failure.unlink(missing_ok=True)
        cell.log.parent.mkdir(parents=True, exist_ok=True)
        process = launch.start(option_flags.as_arguments(cell.settings), cell.log)
        self.running.append(Job(cell, process, time.monotonic()))


def _reason(cell: Cell, code: int) -> str:
    """One line on why a run ended with this code and is not finished."""
    lines = cell.log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if code > 0 and errors:
        return errors[-1].removeprefix("error: ")
    if code < 0:
        return f"killed by {signal.Signals(-code).name}; see {cell.log}"
    last = lines[-1] if lines else "nothing was printed"
    return f"exit code {code}: {last}; see {cell.log}"
