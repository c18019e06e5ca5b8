"""Attention transfer: the student looks where the teacher looks."""

import typing
from collections.abc import Callable, Sequence

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils.attention import power, spatial_attention
from op_utils.norms import norm
from op_utils.pooling import pool_to_smaller
from op_utils.squared_error import squared_gap

Variant = typing.Literal["AT", "AT_sum"]


def _gaps(students, teachers, attention: Callable, weight) -> list[tf.Tensor]:
    """Mean squares of the attentions' differences, one for each level."""
    gaps = []
    for student, teacher in zip(students, teachers, strict=True):
        student, teacher = pool_to_smaller(student, tf.stop_gradient(teacher))
        gaps.append(squared_gap(attention(student), attention(teacher), weight))
    return gaps


def attention_gaps(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    p: float = 2.0,
    weight: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Per level the mean over batch and positions of (a_s - a_t)^2; they are summed.

    a = unit(A) over the positions, A = mean over channels of F^p; before that the
    larger map is average-pooled to the smaller one's size.

    Args:
        students: maps [B, Hs, Ws, Cs], one for each level.
        teachers: maps [B, Ht, Wt, Ct], taken as constants.
        p: exponent, at least 1; no integer only where all entries are at least 0.
        weight: [B], of each image; None is 1.

    Returns:
        Scalars without unit, from 0 to 4 / (H W).

    Raises:
        ValueError: p is below 1.
    """
    # Paper: |F|^p, and the norm of the difference. Here: F^p and its mean square, as
    # in the authors' code, because the published weight belongs to that.
    return _gaps(students, teachers, lambda maps: spatial_attention(maps, p), weight)


def summed_attention_gaps(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    p: float = 2.0,
    epsilon: float = 1e-6,
    weight: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Per level 1 / levels times the mean of (Q_s - Q_t)^2; they are summed.

    Q = A / (||A||_2 over the positions + epsilon), A = sum over channels of |F|^p;
    before that the larger map is average-pooled to the smaller one's size. This is the
    definition of AberHu/Knowledge-Distillation-Zoo.

    Args:
        students: maps [B, Hs, Ws, Cs], one for each level.
        teachers: maps [B, Ht, Wt, Ct], taken as constants.
        p: exponent, at least 1.
        epsilon: added to the norm, > 0, in the unit of |F|^p.
        weight: [B], of each image; None is 1.

    Returns:
        Scalars without unit, from 0 to 4 / (H W levels).

    Raises:
        ValueError: p is below 1.
    """

    def attention(maps):
        strength = tf.reduce_sum(power(tf.abs(maps), p), axis=-1)  # [B, H, W]
        strength = tf.reshape(strength, [-1, maps.shape[1] * maps.shape[2]])
        return strength / (norm(strength, keepdims=True) + epsilon)

    gaps = _gaps(students, teachers, attention, weight)
    return [gap / len(students) for gap in gaps]


class AT(base.Distiller):
    """Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017.

    https://arxiv.org/abs/1612.03928, Eq. 2 of activation-based attention transfer. Owns
    no variables.

    Args:
        variant: "AT" as published by the authors and RepDistiller; "AT_sum" with
            sums of absolute values, `epsilon` and the mean over the levels.
        taps: the levels: stages, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the levels, >= 0.
        p: exponent of the responses, at least 1; an integer, but for "AT_sum".
        epsilon: added to the norms of "AT_sum", > 0.

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
        variant: Variant = "AT",
        taps: tuple[str, ...] = ("stages",),
        weight: float = 1000.0,
        p: float = 2.0,
        epsilon: float = 1e-6,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(p=p, epsilon=epsilon)
        hyperparameters.check_at_most(64, p=p)  # The graph holds p products.
        if p < 1 or (variant == "AT" and p != int(p)):
            raise wrong(
                "F^p has no real value for F < 0 unless p is an integer, and below 1 "
                "no finite slope at 0",
                expected="p = 1, 2, 3, ..., or any p >= 1 with variant=AT_sum, which "
                "takes |F|^p",
                p=p,
            )
        self.variant = variant
        self.weight = weight
        self.p = p
        self.epsilon = epsilon
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)

    def loss(self, student, teacher, batch):
        """The weighted sum over the levels, as "attention"."""
        weight = batch.get("sample_weight")
        students = [student.taps[name] for name, _ in self.pairs]
        teachers = [teacher.taps[name] for _, name in self.pairs]
        if self.variant == "AT":
            gaps = attention_gaps(students, teachers, self.p, weight)
        else:
            numbers = self.p, self.epsilon
            gaps = summed_attention_gaps(students, teachers, *numbers, weight)
        return {"attention": self.weight * tf.add_n(gaps)}
