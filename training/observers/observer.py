"""What a training tells the outside: progress bar, tables, TensorBoard."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where a training stands.

    Attributes:
        phase: the phase's name.
        phase_step, phase_steps: steps done in this phase, and its length.
        step: steps done since the run began.
        epoch: epochs begun or done since the run began, from 1.
        learning_rate: of the last step.
    """

    phase: str
    phase_step: int
    phase_steps: int
    step: int
    epoch: int
    learning_rate: float


class Observer:
    """Base class: hears everything and does nothing."""

    def message(self, text: str) -> None:
        """A line for the user."""

    def saving(self, checkpoint: pathlib.Path) -> None:
        """A checkpoint is written into this folder; files may be added to it."""

    def restored(self, checkpoint: pathlib.Path, epochs: int, best: float) -> None:
        """The training goes on from a checkpoint, which is as it was written.

        Args:
            checkpoint: its folder, with what was added to it.
            epochs: those that are over and evaluated there.
            best: highest accuracy so far on the validation split, -1.0 if none.
        """

    def phase_started(self, moment: Moment) -> None:
        """A phase begins, or goes on after a restart, at this moment."""

    def stepped(self, moment: Moment) -> None:
        """A call of one or more steps has ended."""

    def logged(self, moment: Moment, means: dict[str, float]) -> None:
        """`--log_every` steps are over; means of the step's scalars since then."""

    def epoch_finished(self, moment: Moment, row: dict) -> None:
        """An epoch is over; `row` is its line in the metrics table."""

    def improved(self, net, epoch: int) -> None:
        """The net of this epoch is the best so far on the validation split."""

    def finished(self) -> None:
        """The training is over or was stopped."""
