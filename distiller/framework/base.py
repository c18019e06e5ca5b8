"""The interface that every distillation method implements."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.errors import wrong
from nets.taps import Output, TapSpec

Terms = dict[str, tf.Tensor]
Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """What a method may know about the training data.

    Attributes:
        num_examples: size of the training subset; `batch["index"]` is below it.
        num_classes: number of labels.
        labels: int32 [num_examples], by index.
        batch_size: static size of every batch.
    """

    num_examples: int
    num_classes: int
    labels: np.ndarray
    batch_size: int


@dataclasses.dataclass(frozen=True)
class Phase:
    """One stretch of training with an optimizer of its own.

    Attributes:
        name: used in logs, checkpoints and the metrics table.
        loss: (student output, teacher output, batch) -> named weighted scalars;
            may return an empty dict (plain training).
        own: the method's variables that this phase trains.
        length: "init" runs `--init_epochs`, "train" runs `--epochs`.
        task_weight: weight of the label cross-entropy; None takes the run's
            `--task_weight`.
        trains_student: whether the student's variables are updated.
        trains_teacher: whether the teacher runs inside the tape and is updated.
        combine: (task gradients, method gradients, batch) -> gradients; None adds.
        method: whose draws and forwards the phase takes; None: the trained method's.
            A part's phase in a sum of methods takes the part's alone.
        task_terms: beginnings of the names of those terms that count as task, with the
            label cross-entropy, when `combine` sees the gradients apart.
    """

    name: str
    loss: Callable[[Output, Output | None, Batch], Terms]
    own: Sequence[Any] = ()
    length: str = "train"
    task_weight: float | None = None
    trains_student: bool = True
    trains_teacher: bool = False
    combine: Callable | None = None
    method: "Distiller | None" = None
    task_terms: tuple[str, ...] = ()

    def __post_init__(self):
        if self.length not in ("init", "train"):
            raise wrong(
                "A phase is as long as --init_epochs or --epochs say",
                expected="length 'init' or 'train'",
                length=self.length,
            )


def _is_state(value) -> bool:
    # Keras 3 layers are no tf.Modules and keras.Variables no tf.Variables, so
    # tf.Module's own predicate would pass them by: saved, but never trained.
    return isinstance(value, tf.Variable | keras.Variable | keras.layers.Layer)


class Distiller(tf.Module):
    """Base class of the methods. It owns auxiliary variables, never the nets.

    A subclass takes `(student_taps, teacher_taps, data)` and keyword-only
    hyperparameters, annotated and with the paper's values as defaults: they are
    the command line's `--hparam` names. It implements `loss`, and overrides the
    other methods only where the paper needs it.

    Attributes:
        equal_widths: the student's taps must have the teacher's channels.
        uses_teacher: False for methods that train without one.
        trains_teacher: the teacher starts fresh and learns together with the student,
            instead of being trained before.
        needs_trained_teacher: the method reads the teacher's weights when it is built.
        needs_labels: the method itself reads labels, `batch["label"]` or `data.labels`:
            mixed images, which have two, are refused.
        needs_index: the method reads `batch["index"]`.
        weighs_images: its terms take `batch["sample_weight"]`, float32 [B], where it is
            there: see `op_utils.image_weights`. Weights are refused otherwise.
        has_init_phase: the method, or one of its variants, has a phase that is as long
            as --init_epochs says.
        task_weight: label cross-entropy weight where the paper gives one.
        least_batch_size: images that a batch needs.
        student_taps, teacher_taps: tap name -> `nets.taps.TapSpec`.
        data: the training data's `DataSpec`.
    """

    equal_widths = False
    uses_teacher = True
    trains_teacher = False
    needs_trained_teacher = False
    needs_labels = False
    needs_index = False
    weighs_images = False
    has_init_phase = False
    task_weight = 1.0
    least_batch_size = 1

    def __init__(
        self,
        student_taps: dict[str, TapSpec],
        teacher_taps: dict[str, TapSpec],
        data: DataSpec,
    ):
        super().__init__(name=type(self).__name__.lower())
        self.student_taps = student_taps
        self.teacher_taps = teacher_taps
        self.data = data
        if data.batch_size < self.least_batch_size:
            raise wrong(
                "The method compares a batch's images with each other",
                expected=f"at least {self.least_batch_size}",
                batch_size=data.batch_size,
            )

    # What a method does in a step.

    def draw(self, batch: Batch) -> Batch:
        """All random tensors of a step, from `batch["seed"]` (int32 [2]).

        Runs outside the compiled step, because stateless random ops give other
        numbers under XLA. What it returns is added to the batch.
        """
        del batch
        return {}

    def teacher_forward(self, teacher, student, batch: Batch) -> Output:
        """The teacher's output for `batch["image"]`; runs outside the tape."""
        del student
        return teacher(batch["image"], training=False, with_taps=True)

    def student_forward(
        self, student, teacher, batch: Batch, teacher_output: Output | None
    ) -> Output:
        """The student's output for `batch["image"]`; runs inside the tape."""
        del teacher, teacher_output
        return student(batch["image"], training=True, with_taps=True)

    def loss(self, student: Output, teacher: Output | None, batch: Batch) -> Terms:
        """Named, weighted scalar terms; all inputs are float32."""
        raise NotImplementedError(f"{type(self).__name__} does not implement loss().")

    # How a method trains and what it leaves.

    def phases(self) -> tuple[Phase, ...]:
        """The phases in order; by default one that trains everything."""
        return (
            Phase(
                "distill",
                self.loss,
                own=self.trainable_variables,
                trains_teacher=self.trains_teacher,
            ),
        )

    def deployed(self, student, teacher):
        """The net that is evaluated and saved as the student."""
        del teacher
        return student

    def overrides(self, name: str) -> bool:
        """Whether the method replaces the default of, say, "teacher_forward"."""
        return getattr(type(self), name) is not getattr(Distiller, name)

    # Variable bookkeeping over tf.Variables, keras.Variables and Keras layers.

    @property
    def variables(self) -> tuple:
        """All variables of the method, each once, in a fixed order."""
        found = {}
        for value in self._flatten(predicate=_is_state):
            is_layer = isinstance(value, keras.layers.Layer)
            for variable in value.variables if is_layer else (value,):
                found[id(variable)] = variable
        return tuple(found.values())

    @property
    def trainable_variables(self) -> tuple:
        """Those variables that an optimizer updates."""
        return tuple(v for v in self.variables if v.trainable)

    @property
    def non_trainable_variables(self) -> tuple:
        """Banks, moving statistics and other state without a gradient."""
        return tuple(v for v in self.variables if not v.trainable)
