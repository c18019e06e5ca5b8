"""What the terminal shows of a grid: each run that ends, and the time left."""

import sys
import time

import tqdm

from common import quantities
from comparison.grid.cells import Cell
from comparison.grid.record import FINISHED, Record


class Progress:
    """A bar on a terminal, and lines everywhere.

    Args:
        total: cells of this shard.
        done: those that were finished before.
        waiting: the others.
        jobs: cells at once.
        estimates: told of each cell that ends.
    """

    def __init__(self, total: int, done: int, waiting, jobs: int, estimates):
        self.total, self.done, self.jobs = total, done, jobs
        self.estimates = estimates
        self._left = {cell.record.folder: cell for cell in waiting}
        self._began = {}  # folder -> when its run was started
        self._wall, self._guessed = 0.0, 0.0  # seconds of the runs that ended
        # Their first cells train them, too, and tell little of the others.
        self._teachers = {cell.teacher for cell in waiting if cell.lacks_teacher}
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            desc="runs",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def message(self, text: str) -> None:
        """Prints a line above the bar."""
        tqdm.tqdm.write(text, file=sys.stderr)

    def started(self, cell: Cell) -> None:
        """Takes the time at which a cell starts."""
        self._began[cell.record.folder] = time.monotonic()

    def ended(self, cell: Cell, record: Record, seconds: float) -> None:
        """Tells how a cell ended and how long the others take."""
        self.done += 1
        self._left.pop(cell.record.folder)
        self.estimates.add(record)
        guess = self.estimates.seconds(cell)
        if cell.teacher in self._teachers:
            self._teachers.remove(cell.teacher)
        elif record.state == FINISHED and seconds and guess is not None:
            self._wall += seconds
            self._guessed += guess
        left = quantities.duration(self.seconds_left())
        self.message(f"{self.done}/{self.total} {_told(record, seconds)}; left: {left}")
        self._bar.update(1)

    def seconds_left(self) -> float | None:
        """About how long the waiting and running cells take; None if unknown."""
        if not self._left:
            return 0.0
        guesses = {
            folder: self.estimates.seconds(cell) for folder, cell in self._left.items()
        }
        known = [guess for guess in guesses.values() if guess is not None]
        if not known or not self._guessed:
            return None
        usual, now = sum(known) / len(known), time.monotonic()
        total = 0.0
        for folder, guess in guesses.items():
            # A run also starts, compiles and evaluates.
            whole = (usual if guess is None else guess) * self._wall / self._guessed
            total += max(0.0, whole - (now - self._began.get(folder, now)))
        return total / min(self.jobs, len(guesses))

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def _told(record: Record, seconds: float) -> str:
    place = f"{place_of(record)}: "
    if record.state != FINISHED:
        return f"{place}{record.state}: {record.reason}"
    best = (
        "" if record.best is None else f"best on validation {100 * record.best:.2f} %"
    )
    best = best and f" ({best})"
    return f"{place}{100 * record.last:.2f} %{best} in {quantities.duration(seconds)}"


def place_of(record: Record) -> str:
    """A cell's place in the grid, for people."""
    pair = f"{record.teacher} -> {record.student}" if record.teacher else record.student
    return f"{record.label}, {pair}, {100 * record.fraction:g} %, seed {record.seed}"
