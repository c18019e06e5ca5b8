"""One training step: two forwards, named losses, gradients, update."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.errors import wrong
from op_utils import image_weights, mixed_labels
from training import replicas, teacher_outputs
from training.totals import SKIPPED


def cast_output(output):
    """The same output in float32: losses are never computed in half precision."""
    return output._replace(
        logits=tf.cast(output.logits, tf.float32),
        taps={name: tf.cast(tap, tf.float32) for name, tap in output.taps.items()},
    )


def stop_gradient(output):
    """The same output as constants."""
    return output._replace(
        logits=tf.stop_gradient(output.logits),
        taps={name: tf.stop_gradient(tap) for name, tap in output.taps.items()},
    )


def normalise(images: tf.Tensor, mean: Sequence, std: Sequence) -> tf.Tensor:
    """uint8 [B, H, W, C] to float32 with the given mean and std of [0, 1] pixels."""
    offset = np.asarray(mean, np.float32) * np.float32(255.0)
    scale = np.float32(255.0) * np.asarray(std, np.float32)
    return (tf.cast(images, tf.float32) - offset) / scale


def trained_variables(phase, student, teacher) -> tuple:
    """What a phase's optimizer may update, in the order its slots are saved in."""
    variables = list(student.trainable_variables) if phase.trains_student else []
    variables += teacher.trainable_variables if phase.trains_teacher else []
    return (*variables, *phase.own)


def _checked(terms: dict) -> dict:
    if "task" in terms:  # Its column in the metrics is the label cross-entropy's.
        raise wrong(
            "A method calls a term as the trainer calls its own",
            expected="another name than 'task'",
            received=f"terms {', '.join(terms)}",
        )
    return dict(terms)


class Step:
    """The step of one phase, for a trainer's loop and for Keras' `fit` alike.

    Args:
        method: a `distiller.framework.base.Distiller`.
        phase: one of its phases.
        student, teacher: nets with taps; teacher is None where none is used.
        optimizer: an `training.optimizer.SGD` over `trained_variables(...)`.
        task_weight: weight of the label cross-entropy where the phase names none;
            None takes the method's.
        xla: compile forward and backward with XLA.
        task_loss: (batch, logits) -> scalar; the label cross-entropy by default.
        observe: called in the graph with (batch, student output), to update metrics.

    Raises:
        ValueError: it is made, or called, in a `tf.distribute` strategy with more than
            one replica, or what it trains was made there.
    """

    def __init__(
        self,
        *,
        method,
        phase,
        student,
        teacher,
        optimizer,
        task_weight,
        xla=False,
        task_loss=mixed_labels.cross_entropy,
        observe=None,
    ):
        trained = [*student.variables, *phase.own]
        trained += teacher.variables if phase.trains_teacher else []
        replicas.check_one("Step", trained)
        self.method, self.phase = phase.method or method, phase
        self.student, self.teacher = student, teacher
        self.optimizer = optimizer
        self.task_loss, self.observe = task_loss, observe
        weights = (phase.task_weight, task_weight, method.task_weight)
        self.task_weight = next(w for w in weights if w is not None)
        self._compiled = tf.function(
            self._gradients, jit_compile=xla or None, autograph=False
        )

    def __call__(self, batch: dict, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates all variables of the phase.

        Args:
            batch: `image` float32 normalised, `label`, `index`, `epoch`, `progress`,
                `seed`, as the methods see it; of mixed images `other_label` and
                `label_share`, too, and of weighted ones `image_weights.KEY`;
                `teacher_outputs.KEY`, where the teacher's output was
                computed before, which then is not asked for it.
            rate: learning rate.

        Returns:
            Scalars of this step: "loss" and each weighted term of it as "loss/...",
            "gradient_norm" (without L2) and, where the student trains, "accuracy",
            by the label with the larger share where images are mixed. Where a loss
            scaler is in use, `totals.SKIPPED` is 1 if it skipped the step; the norm is
            not finite then.

        Raises:
            ValueError: the images are mixed, and the method needs their labels, or have
                weights that it does not know; or there is more than one replica.
        """
        replicas.check_one("Step")
        mixed_labels.check_can_read(self.method, batch)
        image_weights.check_can_weigh(self.method, batch)
        batch, kept = teacher_outputs.split(batch)
        batch = {**batch, **self.method.draw(batch)}
        gradients, metrics = self._compiled(batch, kept)
        is_skipped = self.optimizer.apply(gradients, rate)
        if is_skipped is not None:
            metrics[SKIPPED] = tf.cast(is_skipped, tf.float32)
        return metrics

    def _gradients(self, batch, kept):
        phase = self.phase
        teacher_output = self._frozen_teacher(batch, kept)
        with tf.GradientTape(persistent=phase.combine is not None) as tape:
            if phase.trains_teacher:
                teacher_output = cast_output(
                    self.teacher(batch["image"], training=True, with_taps=True)
                )
            student_output = cast_output(self._student(batch, teacher_output))
            terms = _checked(phase.loss(student_output, teacher_output, batch))
            of_task = self._of_task(batch, student_output, teacher_output)
            losses = self._losses(of_task, terms)
            loss = tf.add_n(losses)
            scaled = [self.optimizer.scale(x) for x in losses]
            total = tf.add_n(scaled)
        variables = self.optimizer.trained
        if phase.combine is None or len(losses) < 2:
            gradients = tape.gradient(total, variables)
        else:
            parts = [tape.gradient(x, variables) for x in scaled]
            gradients = phase.combine(*parts, batch)
        named = {f"loss/{k}": v for k, v in {**terms, **of_task}.items()}
        metrics = {"loss": loss, **named}
        if self.observe is not None:
            self.observe(batch, student_output)
        if phase.trains_student:
            labels = mixed_labels.main_label(batch)
            hits = tf.argmax(student_output.logits, 1, tf.int32) == labels
            metrics["accuracy"] = tf.reduce_mean(tf.cast(hits, tf.float32))
        norm = tf.linalg.global_norm([g for g in gradients if g is not None])
        metrics["gradient_norm"] = self.optimizer.unscale(norm)
        return gradients, metrics

    def _frozen_teacher(self, batch, kept):
        if self.teacher is None or self.phase.trains_teacher:
            return None
        if kept:
            output = teacher_outputs.restored(self.teacher, kept)
        else:
            output = self.method.teacher_forward(self.teacher, self.student, batch)
        return stop_gradient(cast_output(output))

    def _student(self, batch, teacher_output):
        if self.phase.trains_student:
            return self.method.student_forward(
                self.student, self.teacher, batch, teacher_output
            )
        # Not trained: its batch norms must not drift either.
        return self.student(batch["image"], training=False, with_taps=True)

    def _losses(self, of_task, terms) -> list:
        """What counts as task, then what is the method's own; without what is none."""
        of_task, own = self._sides(of_task, terms)
        received = f"a task weight of {self.task_weight}"
        if of_task is None and own is None:
            raise wrong(
                f"phase '{self.phase.name}' has nothing to learn from",
                expected="a term of the method or a label loss",
                received=f"{received} and no term",
            )
        if of_task is None and self.phase.combine:
            raise wrong(
                f"phase '{self.phase.name}' measures its gradient by the task's",
                expected="--task_weight above 0, or clip=false",
                received=received,
            )
        return [loss for loss in (of_task, own) if loss is not None]

    def _sides(self, of_task, terms):
        """What counts as task and what as the method's own; None where nothing does."""
        joins = self.phase.task_terms
        own = [term for name, term in terms.items() if not name.startswith(joins)]
        others = [term for name, term in terms.items() if name.startswith(joins)]
        others += of_task.values()
        return [tf.add_n(side) if side else None for side in (others, own)]

    def _of_task(self, batch, student_output, teacher_output) -> dict:
        """What is no term of the method: the label loss, and the student's own."""
        found = {}
        if self.task_weight:
            task = self.task_loss(batch, student_output.logits)
            if self.phase.trains_teacher:
                task += self.task_loss(batch, teacher_output.logits)
            found["task"] = self.task_weight * task
        # Regularisers and `add_loss` of a user's layers.
        penalties = self.student.losses if self.phase.trains_student else []
        if penalties:
            found["penalty"] = tf.add_n([tf.cast(x, tf.float32) for x in penalties])
        return found
