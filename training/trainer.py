"""A training: its phases in order, from the newest checkpoint on."""

import time
from collections.abc import Callable, Sequence

from common.interruption import StopSignals
from training.checkpoint import Checkpoints
from training.observers.observer import Observer
from training.phase_run import PhaseRun
from training.recipe import Recipe


class Trainer:
    """Trains a student by a method, phase by phase.

    Args:
        student, teacher: nets with taps; teacher None where the method has none.
        method: a `distiller.framework.base.Distiller`.
        recipe: a `Recipe`.
        batches: (first epoch, number of epochs, batches to skip) -> tf.data.Dataset
            of dicts `image` (uint8), `label`, `index` with a static batch size, and
            `teacher_outputs.KEY` where the teacher's output is known. Epochs count from
            the start of the run.
        evaluate: (net, check) -> {"test_accuracy": ..., and with a validation split
            "validation_accuracy": ...}; calls `check` often, which may raise.
        checkpoints: where the state is kept.
        observers: told what happens.

    Attributes:
        wall_seconds: what `run` took, once it is over; None if it went on from a
            checkpoint.
    """

    def __init__(
        self,
        *,
        student,
        teacher,
        method,
        recipe: Recipe,
        batches: Callable,
        evaluate: Callable,
        checkpoints: Checkpoints,
        observers: Sequence[Observer] = (),
    ):
        self.student, self.teacher, self.method = student, teacher, method
        self.recipe, self.batches, self.evaluate = recipe, batches, evaluate
        self.checkpoints, self.observers = checkpoints, observers
        self.phases = method.phases()
        self.deployed = method.deployed(student, teacher)
        self.best = -1.0  # validation accuracy
        self.wall_seconds: float | None = None

    def run(self) -> None:
        """Trains to the end, from the newest good checkpoint if there is one.

        Raises:
            Interrupted: SIGTERM or SIGINT came; the state is saved.
            NonFiniteLoss: names the term or weight and the step; the state is not
                saved.
            ValueError: the checkpoints are damaged or another training's.
        """
        began = time.perf_counter()
        checkpoint, position = None, {"phase": 0, "best": self.best}
        found = self.checkpoints.newest(lambda text: self.tell("message", text))
        if found is not None:
            checkpoint, position = found
        self.best = position["best"]
        if found is not None:
            self.tell("restored", checkpoint, self._epochs_over(position), self.best)
        first_step = 0
        try:
            with StopSignals() as signals:
                for index, phase in enumerate(self.phases):
                    if index >= position["phase"]:
                        run = PhaseRun(self, index, first_step, signals)
                        run.run(checkpoint)
                        checkpoint = None
                    first_step += len(self.recipe.rates[phase.length])
                signals.check()
            if found is None:
                self.wall_seconds = time.perf_counter() - began
        finally:
            self.tell("finished")

    def _epochs_over(self, position: dict) -> int:
        """Epochs of all phases that are trained and evaluated at a position."""
        before = self.phases[: position["phase"]]
        steps = sum(len(self.recipe.rates[phase.length]) for phase in before)
        steps += position["step"]
        return steps // self.recipe.steps_per_epoch - position["epoch_is_open"]

    def tell(self, event: str, *arguments) -> None:
        """Calls the method named `event` of every observer."""
        for observer in self.observers:
            getattr(observer, event)(*arguments)
