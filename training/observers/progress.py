"""What the terminal shows of a training."""

import math
import sys
import time

import tqdm

from common import quantities
from training.observers.observer import Moment, Observer

# A phase that will take more than the first is told how long, from the steps of the
# second.
_LONG, _MEASURED = 120.0, 10.0  # seconds


class Progress(Observer):
    """A bar with images/s and time left, and a line every few epochs.

    The bar is only drawn on a terminal; the lines always, among them one that tells how
    long a phase will take, if that is long.

    Args:
        batch_size: images a step.
        label: what is trained, e.g. "teacher".
        every: epochs between two lines; what was evaluated is always told.
    """

    def __init__(self, batch_size: int, label: str, every: int = 1):
        self.batch_size, self.label, self.every = batch_size, label, every
        self._bar = None
        self._first = None  # when the phase's first call was over, and its step
        self._evaluated = False  # whether there was an evaluation since then

    def message(self, text: str) -> None:
        """Prints a line above the bar."""
        tqdm.tqdm.write(f"{self.label}: {text}", file=sys.stderr)

    def phase_started(self, moment: Moment) -> None:
        """Opens the phase's bar."""
        self.finished()
        self._first, self._evaluated = None, False
        if moment.phase_step:
            self.message(f"going on at step {moment.phase_step} of {moment.phase}")
        self._bar = tqdm.tqdm(
            total=moment.phase_steps * self.batch_size,
            initial=moment.phase_step * self.batch_size,
            desc=f"{self.label} {moment.phase}",
            unit="images",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def stepped(self, moment: Moment) -> None:
        """Moves the bar; tells once how long the phase will take."""
        self._bar.update(moment.phase_step * self.batch_size - self._bar.n)
        now = time.monotonic()
        if self._first is None:  # The first call compiles.
            self._first = now, moment.phase_step
        began, first = self._first
        if now - began < _MEASURED or moment.phase_step == first:
            return
        self._first = math.inf, first  # It is told once.
        speed = (now - began) / (moment.phase_step - first)
        seconds = (moment.phase_steps - moment.phase_step) * speed
        if seconds > _LONG:
            rest = "" if self._evaluated else ", evaluations not counted"
            self.message(
                f"{moment.phase}: about {quantities.duration(seconds)} left{rest}"
            )

    def epoch_finished(self, moment: Moment, row: dict) -> None:
        """Prints the epoch's line, if one is due."""
        self._evaluated = self._evaluated or "test_accuracy" in row
        is_last = moment.phase_step == moment.phase_steps
        if moment.epoch % self.every and not is_last and "test_accuracy" not in row:
            return
        cells = [f"{moment.phase} epoch {moment.epoch}", f"loss {row['loss']:.4f}"]
        for name in ("train", "validation", "test"):
            if f"{name}_accuracy" in row:
                cells.append(f"{name} {100 * row[f'{name}_accuracy']:.2f} %")
        if row.get("skipped_steps"):
            cells.append(f"steps skipped {row['skipped_steps']}")
        if "images_per_second" in row:
            cells.append(f"{row['images_per_second']:.0f} images/s")
        self.message(", ".join(cells))

    def finished(self) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
