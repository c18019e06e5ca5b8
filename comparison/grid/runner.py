"""Runs the cells of a grid, some side by side, and goes on after those that fail."""

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import filelock

from common import files
from common.interruption import Interrupted
from comparison.grid import launch
from comparison.grid.cells import Cell
from comparison.grid.record import FINISHED
from options import flags as option_flags

_POLL = 0.2  # seconds
_TOGETHER = 0.5  # seconds


@dataclasses.dataclass
class Job:
    """A cell that is being run."""

    cell: Cell
    process: subprocess.Popen
    began: float
    log_size: int  # of what earlier tries printed

    @property
    def seconds(self) -> float:
        """Wall time since it was started."""
        return time.monotonic() - self.began


class Runner:
    """Runs cells in processes.

    Args:
        cells: those to run, in their order.
        jobs: how many at once.
        started: called with a cell when it starts.
        ended: called with (cell, its record, seconds) when one ends, well or not.
        message: called with a line for the user.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        jobs: int,
        started: Callable,
        ended: Callable,
        message: Callable,
    ):
        self.waiting, self.jobs = list(cells), jobs
        self.started, self.ended, self.message = started, ended, message
        self.running: list[Job] = []
        self._signal, self._signal_time = None, 0.0
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
            self._terminate()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _receive(self, number, _):
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._signal_time = number, now
            self.message(f"stopping; {len(self.running)} runs are saving")
        # `timeout`, for one, signals a process and then its whole group.
        elif now - self._signal_time > _TOGETHER:  # A second one does not wait.
            for job in self.running:
                job.process.kill()

    def _stop(self) -> None:
        self._terminate()
        self._reap()

    def _terminate(self) -> None:
        """Lets the running cells save and waits for their end."""
        for job in self.running:
            job.process.terminate()
        # They must not be signalled again, as by the end of this process.
        for job in self.running:
            job.process.wait()

    def _reap(self) -> None:
        for job in [job for job in self.running if job.process.poll() is not None]:
            self.running.remove(job)
            self._end(job)

    def _end(self, job: Job) -> None:
        cell = job.cell
        self._tried.add(cell.teacher)
        if not cell.folder.is_finished:
            if self._signal is not None:
                return
            if self._is_elsewhere(cell):  # Both began it; the other one was first.
                self.waiting.append(cell)
                return
            files.write_json(cell.failure, {"reason": _reason(job)})
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
        if cell.teacher not in self._tried and cell.lacks_teacher:
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
        size = cell.log.stat().st_size if cell.log.exists() else 0
        process = launch.start(option_flags.as_arguments(cell.settings), cell.log)
        self.running.append(Job(cell, process, time.monotonic(), size))
        self.started(cell)


def _reason(job: Job) -> str:
    """One line on why a run ended and is not finished."""
    log, code = job.cell.log, job.process.returncode
    text = log.read_bytes()[job.log_size :].decode(errors="replace")
    lines = text.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if code > 0 and errors:
        return errors[-1].removeprefix("error: ")
    if code < 0:
        return f"killed by {signal.Signals(-code).name}; see {log}"
    last = lines[-1] if lines else "nothing was printed"
    return f"exit code {code}: {last}; see {log}"
