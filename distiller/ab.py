"""AB: the student's neurons are active where the teacher's are."""

from collections.abc import Sequence

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import image_weights, shapes
from op_utils.connectors import ConvConnector
from op_utils.level_weights import halved_from_deepest


def boundary_losses(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    margin: float = 1.0,
    weight: float = 0.003,
    image_weight: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Per level the mean over the batch of the sum over all entries; they are summed.

    An entry is max(margin - s, 0)^2 where the teacher's neuron is active (t > 0), else
    max(margin + s, 0)^2. Level i of n, from 1, counts weight 2^(i - n).

    Args:
        students: pre-activations [B, H, W, C] in the teacher's shapes, one for each
            level, the shallowest first.
        teachers: pre-activations [B, H, W, C]; only their signs matter.
        margin: distance from 0 that the student's should have, > 0.
        weight: of the deepest level, >= 0.
        image_weight: [B], of each image; None is 1.

    Returns:
        Scalars, at least 0, in the squared unit of the student's.

    Raises:
        ValueError: the shapes of a level differ.
    """
    losses = []
    for student, teacher in zip(students, teachers, strict=True):
        shapes.check_equal(
            student, teacher, "Activations are compared neuron by neuron", "maps"
        )
        towards_teacher = tf.where(teacher > 0, student, -student)
        missing = tf.nn.relu(margin - towards_teacher)
        sums = tf.reduce_sum(tf.square(missing), axis=[1, 2, 3])
        losses.append(weight * image_weights.mean(sums, image_weight))
    return halved_from_deepest(losses)


class AB(base.Distiller):
    """Heo et al., Distillation of Activation Boundaries, AAAI 2019.

    https://arxiv.org/abs/1811.03233. Phase "boundary" trains the student's maps
    in front of the ReLUs to have the teacher's signs, with a margin; phase "distill" is
    plain training with the labels. Owns for each pair of taps of unequal shape one
    connector (convolution, batch norm), trained in the first phase alone.

    Args:
        taps: the levels, the shallowest first: stages_pre, stage2_pre,
            student:teacher, ... (`tap_pairs`).
        weight: of the deepest level's sum over positions and channels, >= 0; each
            other level counts half of the next deeper. 0.003 is the authors' code's.
        margin: distance from 0 that the student's pre-activations should have, > 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or a
            connector cannot bring the student's map to the teacher's size.
    """

    has_init_phase = True
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stages_pre",),
        weight: float = 0.003,
        margin: float = 1.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(margin=margin)
        self.weight = weight
        self.margin = margin
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)
        sizes = [(student_taps[s].shape, teacher_taps[t].shape) for s, t in self.pairs]
        self.connectors = tuple(
            None if s == t else ConvConnector(s, t, relu=False, name=f"to_{name}")
            for (s, t), (_, name) in zip(sizes, self.pairs, strict=True)
        )

    def phases(self):
        """The boundaries, then the labels."""
        return (
            base.Phase(
                "boundary",
                self.boundary,
                own=self.trainable_variables,
                length="init",
                task_weight=0.0,
            ),
            base.Phase("distill", self.loss),
        )

    def boundary(self, student, teacher, batch):
        """The weighted sum over the levels, as "boundary"."""
        numbers = self.margin, self.weight, batch.get("sample_weight")
        students = [
            student.taps[name] if connector is None else connector(student.taps[name])
            for (name, _), connector in zip(self.pairs, self.connectors, strict=True)
        ]
        teachers = [teacher.taps[name] for _, name in self.pairs]
        losses = boundary_losses(students, teachers, *numbers)
        return {"boundary": tf.add_n(losses)}

    def loss(self, student, teacher, batch):
        """No term: the last phase is plain training."""
        del student, teacher, batch
        return {}
