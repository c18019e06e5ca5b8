"""NST: the student's neurons select what the teacher's neurons select."""

from collections.abc import Sequence

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import image_weights
from op_utils.channel_products import as_rows, channel_products
from op_utils.norms import unit
from op_utils.pooling import pool_to_smaller


def selectivity_gaps(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    weight: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Per level the squared maximum mean discrepancy of the channels; they are summed.

    mean k(t, t') + mean k(s, s') - 2 mean k(s, t) with k(x, y) = (x^T y)^2, over all
    pairs of channels and the batch; s and t are the channels' maps as vectors of length
    1. Before that the larger map is average-pooled to the smaller one's size.

    Args:
        students: maps [B, Hs, Ws, Cs], one for each level.
        teachers: maps [B, Ht, Wt, Ct], taken as constants.
        weight: [B], of each image; None is 1.

    Returns:
        Scalars without unit, from 0 (up to rounding) to 2.
    """
    gaps = []
    for student, teacher in zip(students, teachers, strict=True):
        student, teacher = pool_to_smaller(student, tf.stop_gradient(teacher))
        student, teacher = (unit(as_rows(x), 1) for x in (student, teacher))
        gaps.append(_discrepancy(student, teacher, weight))
    return gaps


def _discrepancy(student: tf.Tensor, teacher: tf.Tensor, weight) -> tf.Tensor:
    """The same of [B, positions, channels] with columns of length 1."""
    positions, num_student = student.shape[1:]
    num_teacher = teacher.shape[2]
    by_channels = num_student**2 + num_student * num_teacher + num_teacher**2
    if positions * (num_student + num_teacher) < by_channels:
        # sum_ij (s_i^T t_j)^2 = trace(S S^T T T^T): with few positions these products
        # are the small ones, and the three means are one square.
        gap = tf.matmul(student, student, transpose_b=True) / num_student
        gap -= tf.matmul(teacher, teacher, transpose_b=True) / num_teacher
        return image_weights.mean(tf.reduce_sum(tf.square(gap), axis=[1, 2]), weight)

    def mean_kernel(x, y):
        return image_weights.mean(tf.square(channel_products(x, y)), weight)

    same = mean_kernel(teacher, teacher) + mean_kernel(student, student)
    return same - 2.0 * mean_kernel(student, teacher)


class NST(base.Distiller):
    """Huang and Wang, Like What You Like: Neuron Selectivity Transfer, 2017.

    https://arxiv.org/abs/1707.01219, with the polynomial kernel of degree 2 and offset
    0. Owns no variables. The default weight is that of RepDistiller and mdistiller.

    Args:
        taps: the levels: stages, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the levels, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range or a tap does not exist.
    """

    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stages",),
        weight: float = 50.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        self.weight = weight
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)

    def loss(self, student, teacher, batch):
        """The weighted sum over the levels, as "selectivity"."""
        weight = batch.get("sample_weight")
        students = [student.taps[name] for name, _ in self.pairs]
        teachers = [teacher.taps[name] for _, name in self.pairs]
        gaps = selectivity_gaps(students, teachers, weight)
        return {"selectivity": self.weight * tf.add_n(gaps)}
