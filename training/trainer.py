"""A training: its phases in order, many steps a call, from the newest checkpoint on."""

import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from common.interruption import Interrupted, StopSignals
from op_utils import forward_count, mixed_labels
from training import epoch_row, finite_weights, teacher_outputs
from training import step as step_lib
from training.checkpoint import Checkpoints
from training.observers.observer import Moment, Observer
from training.optimizer import SGD
from training.pace import Pace
from training.recipe import Recipe
from training.totals import SKIPPED, Totals


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


class PhaseRun:
    """One phase of a training: its optimizer, counters and compiled loop.

    Args:
        trainer: the `Trainer`.
        index: of the phase.
        first_step: steps of the phases before it.
        signals: an `interruption.StopSignals`.
    """

    def __init__(self, trainer, index: int, first_step: int, signals):
        self.trainer, self.recipe = trainer, trainer.recipe
        self.index, self.phase = index, trainer.phases[index]
        self.first_step, self.signals = first_step, signals
        self.rates = self.recipe.rates[self.phase.length]
        self.optimizer = SGD(
            step_lib.trained_variables(self.phase, trainer.student, trainer.teacher),
            momentum=self.recipe.momentum,
            nesterov=self.recipe.nesterov,
            weight_decay=self.recipe.weight_decay,
            scale_loss=self.recipe.scale_loss,
        )
        self.step = step_lib.Step(
            method=trainer.method,
            phase=self.phase,
            student=trainer.student,
            teacher=trainer.teacher,
            optimizer=self.optimizer,
            task_weight=self.recipe.task_weight,
            xla=self.recipe.xla,
            task_loss=mixed_labels.weighted(self.recipe.class_weights),
        )
        self.counter = tf.Variable(0, dtype=tf.int64, name="step")
        self.pace = Pace(self.recipe)
        self.watched = finite_weights.watched(
            self.phase, trainer.student, trainer.teacher
        )

    # The compiled part.

    def _complete(self, batch: dict) -> dict:
        """Adds what a method may see to a raw batch; runs in the graph."""
        global_step = tf.cast(self.counter + self.first_step, tf.int32)
        return {
            **batch,
            "image": step_lib.normalise(
                batch["image"], self.recipe.mean, self.recipe.std
            ),
            "epoch": tf.cast(self.counter // self.recipe.steps_per_epoch, tf.float32),
            "progress": tf.cast(self.counter, tf.float32) / float(len(self.rates)),
            "seed": tf.stack([tf.constant(self.recipe.seed, tf.int32), global_step]),
        }

    def _build(self, iterator) -> tuple[Callable, Totals]:
        """The function that runs n steps, and the totals that it adds to."""
        rates = tf.constant(self.rates)

        # Nothing here is Python's control flow. AutoGraph, which would look for some in
        # all functions that are called, takes seconds at every start.
        @tf.function(autograph=False)
        def one_step(batch):
            return self.step(self._complete(batch), tf.gather(rates, self.counter))

        with forward_count.counted(self._nets(), self.recipe.batch_size) as counts:
            traced = one_step.get_concrete_function(iterator.element_spec)
        self.forward_passes = counts.executed()
        self.reads_cache = teacher_outputs.KEY in iterator.element_spec
        # The loss scaler skips a step whose gradient overflows, and adapts.
        may_overflow = ("gradient_norm",) if self.recipe.scale_loss else ()
        totals = Totals(sorted(traced.structured_outputs), may_overflow)

        def counted_step(i):
            totals.add(one_step(iterator.get_next()), self.counter)
            self.counter.assign_add(1)
            return (i + 1,)

        @tf.function(autograph=False)
        def many_steps(n):
            start = tf.constant(0, tf.int64)
            tf.while_loop(lambda i: i < n, counted_step, (start,))
            # A finite loss may leave, say, an infinite variance in a batch norm.
            return finite_weights.are_finite(self.watched)

        # Traced here and not in the first call, where a signal would have to wait.
        many_steps.get_concrete_function(tf.TensorSpec([], tf.int64))
        return many_steps, totals

    def _nets(self) -> dict:
        nets = {"student": self.trainer.student, "teacher": self.trainer.teacher}
        return {role: net for role, net in nets.items() if net is not None}

    # The loop around it.

    def run(self, checkpoint=None) -> None:
        """Trains from the start of the phase, or from a checkpoint, to its end."""
        position, many_steps = self.start(checkpoint)
        start = position["step"]
        self.trainer.tell("phase_started", self._moment(start))
        if position["epoch_is_open"]:
            self._finish_epoch(self._moment(start))
        while start < len(self.rates):
            start = self._call(many_steps, start)

    def start(self, checkpoint=None) -> tuple[dict, Callable]:
        """Opens the batches, compiles, and reads the checkpoint if there is one.

        Returns:
            The position in the phase, and the function that runs n steps from there.
        """
        position = {"step": 0, "epoch_is_open": False}
        if checkpoint is not None:
            position = self.trainer.checkpoints.position(checkpoint)
        start = position["step"]
        per_epoch = self.recipe.steps_per_epoch
        epochs_done, batches_done = divmod(start, per_epoch)
        iterator = iter(
            self.trainer.batches(
                self.first_step // per_epoch + epochs_done,
                len(self.rates) // per_epoch - epochs_done,
                batches_done,
            )
        )
        with self.signals.at_once():
            many_steps, self.totals = self._build(iterator)
        if checkpoint is not None:
            groups = self.groups()
            self.trainer.checkpoints.restore(checkpoint, groups, later=(SKIPPED,))
        return position, many_steps

    def timed(self, many_steps: Callable, start: int, n: int) -> float:
        """Runs n steps from `start`, checks them, and returns the seconds."""
        began = time.perf_counter()
        are_finite = many_steps(tf.constant(n, tf.int64))
        self.totals.check(self.phase.name)
        self.optimizer.check()
        finite_weights.check(self.watched, are_finite, start + n, self.phase.name)
        return time.perf_counter() - began

    def _call(self, many_steps, start: int) -> int:
        """Runs one call and all that is due after it; returns the step reached."""
        n = self.pace.steps(self.first_step, start)
        self.pace.took(n, self.timed(many_steps, start, n))
        moment = self._moment(start + n)
        self.trainer.tell("stepped", moment)
        if moment.step % self.recipe.log_every == 0:
            self.trainer.tell("logged", moment, self.totals.interval_means())
        if moment.phase_step % self.recipe.steps_per_epoch == 0:
            self._finish_epoch(moment)
        is_due = moment.step % self.recipe.checkpoint_every == 0
        is_last = moment.phase_step == moment.phase_steps
        if is_due or is_last or self.signals.received is not None:
            self._save(moment)
            self.signals.check()  # Only here: a signal may come after the `if`.
        return moment.phase_step

    def _moment(self, phase_step: int) -> Moment:
        step = self.first_step + phase_step
        return Moment(
            phase=self.phase.name,
            phase_step=phase_step,
            phase_steps=len(self.rates),
            step=step,
            epoch=-(-step // self.recipe.steps_per_epoch),
            learning_rate=float(self.rates[max(phase_step - 1, 0)]),
        )

    def _finish_epoch(self, moment: Moment) -> None:
        """Evaluates, and tells the observers the epoch's row of the metrics table."""
        accuracies = self._evaluate(moment)
        row = {
            **epoch_row.of_training(moment, self.totals.epoch_means()),
            "weight_norm": epoch_row.norm(self.optimizer.trained),
            **epoch_row.of_forwards(self.forward_passes, self.reads_cache),
            **accuracies,
            **self.pace.of_epoch(),
        }
        accuracy = row.get("validation_accuracy", -1.0)
        if accuracy > self.trainer.best:
            self.trainer.best = accuracy
            self.trainer.tell("improved", self.trainer.deployed, moment.epoch)
        self.trainer.tell("epoch_finished", moment, row)

    def _evaluate(self, moment: Moment) -> dict[str, float]:
        """The accuracies, if they are due; a signal interrupts the evaluation."""
        epochs = moment.phase_step // self.recipe.steps_per_epoch
        is_due = epochs % self.recipe.evaluate_every == 0
        is_last = moment.phase_step == moment.phase_steps
        # A student in an initialising phase is no classifier yet.
        if self.phase.length != "train" or not (is_due or is_last):
            return {}
        try:
            return self.trainer.evaluate(self.trainer.deployed, self.signals.check)
        except Interrupted:
            self._save(moment, epoch_is_open=True)
            raise

    def groups(self) -> dict[str, Sequence]:
        """Every variable that the rest of the training depends on."""
        trainer = self.trainer
        groups = {
            "student": trainer.student.variables,
            "method": trainer.method.variables,
            "optimizer": self.optimizer.variables,
            "progress": (self.counter, *self.totals.variables),
        }
        if self.totals.skipped:
            groups[SKIPPED] = self.totals.skipped
        if any(phase.trains_teacher for phase in trainer.phases):
            groups["teacher"] = trainer.teacher.variables
        return groups

    def _save(self, moment: Moment, epoch_is_open: bool = False) -> None:
        position = {
            "phase": self.index,
            "step": moment.phase_step,
            "epoch_is_open": epoch_is_open,  # trained, but not yet evaluated
            "best": self.trainer.best,
        }
        self.trainer.checkpoints.save(
            moment.step,
            self.groups(),
            position,
            lambda folder: self.trainer.tell("saving", folder),
        )
