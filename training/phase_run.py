"""One phase of a training: many steps a call, and what is due between the calls."""

import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from common.errors import NonFiniteLoss
from common.interruption import Interrupted
from op_utils import forward_count, mixed_labels
from training import step as step_lib
from training import teacher_outputs
from training.observers import metrics_table
from training.observers.observer import Moment
from training.optimizer import SGD
from training.totals import SKIPPED, Totals

# Python's signal handlers wait for the end of a call into TensorFlow; a call of
# this length leaves room below the two seconds that a stop may take.
SECONDS_PER_CALL = 1.5


class PhaseRun:
    """One phase of a training: its optimizer, counters and compiled loop.

    Args:
        trainer: the `trainer.Trainer`.
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
        self.seconds_per_step: float | None = None
        self.epoch_seconds, self.epoch_steps = 0.0, 0  # of this process

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
            return [tf.reduce_all(tf.math.is_finite(v)) for v in self._weights()]

        # Traced here and not in the first call, where a signal would have to wait.
        many_steps.get_concrete_function(tf.TensorSpec([], tf.int64))
        return many_steps, totals

    def _nets(self) -> dict:
        nets = {"student": self.trainer.student, "teacher": self.trainer.teacher}
        return {role: net for role, net in nets.items() if net is not None}

    def _weights(self) -> list:
        """What must stay finite: the trained nets and what the method trains."""
        nets = [self.trainer.student.variables]
        nets += [self.trainer.teacher.variables] if self.phase.trains_teacher else []
        weights = [*(v for net in nets for v in net), *self.phase.own]
        return [v for v in weights if tf.as_dtype(v.dtype).is_floating]

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
        self._check_weights(are_finite, start + n)
        return time.perf_counter() - began

    def _call(self, many_steps, start: int) -> int:
        """Runs one call and all that is due after it; returns the step reached."""
        n = self._steps_to_run(start)
        self._pace(n, self.timed(many_steps, start, n))
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

    def _check_weights(self, are_finite: Sequence, step: int) -> None:
        checked = zip(self._weights(), are_finite, strict=True)
        bad = [getattr(v, "path", v.name) for v, is_finite in checked if not is_finite]
        if bad:
            raise NonFiniteLoss(
                f"training diverged: after step {step} of phase '{self.phase.name}', "
                f"expected finite weights. Received: {', '.join(bad[:3])} with inf or "
                "nan. The last good checkpoint is kept; a lower --learning_rate or a "
                "longer --warmup_epochs may help."
            )

    def _steps_to_run(self, start: int) -> int:
        """As many as fit into a call, but none beyond the next thing that is due."""
        step = self.first_step + start
        limits = [
            self.recipe.steps_per_epoch - start % self.recipe.steps_per_epoch,
            self.recipe.log_every - step % self.recipe.log_every,
            self.recipe.checkpoint_every - step % self.recipe.checkpoint_every,
        ]
        if self.seconds_per_step is None:
            return 1
        return max(1, min(*limits, int(SECONDS_PER_CALL / self.seconds_per_step)))

    def _pace(self, n: int, seconds: float) -> None:
        if self.seconds_per_step is None:
            self.seconds_per_step = SECONDS_PER_CALL  # the first call compiles
            return
        self.seconds_per_step = seconds / n
        self.epoch_seconds += seconds
        self.epoch_steps += n

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
        means = self.totals.epoch_means()
        row = {
            "phase": moment.phase,
            "epoch": moment.epoch,
            "step": moment.step,
            "learning_rate": moment.learning_rate,
        }
        if "accuracy" in means:
            row["train_accuracy"] = means.pop("accuracy")
        weights = [tf.cast(v, tf.float32) for v in self.optimizer.trained]
        row |= means
        row["weight_norm"] = float(tf.linalg.global_norm(weights))
        for role, count in self.forward_passes.items():
            row[f"{role}_forward_passes"] = count
        if self.reads_cache:
            row[metrics_table.CACHED] = 1
        row |= accuracies
        if self.epoch_steps:  # none if a restart found the epoch trained
            images = self.epoch_steps * self.recipe.batch_size
            row["seconds"] = self.epoch_seconds
            row["images_per_second"] = images / self.epoch_seconds
        self.epoch_seconds, self.epoch_steps = 0.0, 0
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
