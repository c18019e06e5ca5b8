"""CC: the correlations between a batch's images are transferred."""

import math
import typing

import keras
import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import pairwise
from op_utils.embeddings import linear
from op_utils.norms import unit
from op_utils.squared_error import squared_gap

Variant = typing.Literal["rbf", "neighbours"]
WEIGHTS = {"rbf": 100.0, "neighbours": 0.02}


def correlation_gap(
    student: tf.Tensor, teacher: tf.Tensor, gamma: float = 0.4, order: int = 2
) -> tf.Tensor:
    """Mean over i, j of (K_s - K_t)^2, with K as in `correlations`.

    Args:
        student: [B, ...] embeddings.
        teacher: [B, ...] embeddings of any width, taken as constants.
        gamma: of the kernel, > 0.
        order: of the expansion, at least 1.

    Returns:
        Scalar without unit, at least 0; 0 where the cosines agree.

    Raises:
        ValueError: the batches differ in size.
    """
    pairwise.check_batches(student, teacher)
    return squared_gap(
        correlations(student, gamma, order), correlations(teacher, gamma, order)
    )


def correlations(x: tf.Tensor, gamma: float, order: int) -> tf.Tensor:
    """K_ij = sum_{p=0..order} exp(-2 gamma) (2 gamma)^p / p! (x_i.x_j)^p, x unit.

    It is the Taylor expansion of exp(-gamma |x_i - x_j|^2).

    Args:
        x: [B, ...] embeddings, of any length.
        gamma: > 0.
        order: of the expansion, at least 1.

    Returns:
        [B, B], without unit.
    """
    cosines = pairwise.gram(unit(pairwise.rows(x)))
    series = tf.ones_like(cosines)
    for p in range(order, 0, -1):  # Horner's scheme
        series = 1.0 + (2.0 * gamma / p) * cosines * series
    return math.exp(-2.0 * gamma) * series


def neighbour_correlation(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean over b = 0..B-2 of sum_d |s - t|_bd |s - t|_{b+1, d}.

    Args:
        student: [B, D] embeddings, B >= 2.
        teacher: [B, D] embeddings. Not taken as constants, since they may come from
            a trained layer.

    Returns:
        Scalar, at least 0, in the squared unit of the embeddings.

    Raises:
        ValueError: the shapes differ or there is one image alone.
    """
    pairwise.check_batches(student, teacher, least=2)
    if student.shape != teacher.shape:
        raise wrong(
            "The embeddings are subtracted",
            expected="equal shapes",
            received=f"student {student.shape}, teacher {teacher.shape}",
        )
    gap = tf.abs(student - teacher)
    return tf.reduce_mean(tf.reduce_sum(gap[:-1] * gap[1:], axis=1))


class CC(base.Distiller):
    """Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019.

    https://arxiv.org/abs/1904.01802. The mean square of the difference of both nets'
    Gaussian kernels, expanded into a series, between all pairs of a batch. Owns
    nothing; with "neighbours" a dense layer for each net and tap, all trained.

    Args:
        variant: "rbf" as in the paper; "neighbours" for RepDistiller's definition:
            products of the gaps of images that follow each other in the batch.
        taps: embedding, stage2, student:teacher, ... (`tap_pairs`); maps are flattened.
        weight: of the sum over the taps, >= 0; None takes 100 for "rbf" (AberHu's
            Knowledge-Distillation-Zoo) and 0.02 for "neighbours" (RepDistiller).
        gamma: of the kernel of "rbf", > 0 and at most 40.
        order: of the series of "rbf", > 0.
        embed_dim: outputs of the dense layers of "neighbours", > 0.

    Raises:
        ValueError: a hyperparameter is out of range or a tap does not exist.
    """

    least_batch_size = 2

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        variant: Variant = "rbf",
        taps: tuple[str, ...] = ("embedding",),
        weight: float | None = None,
        gamma: float = 0.4,
        order: int = 2,
        embed_dim: int = 128,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        weight = WEIGHTS[variant] if weight is None else weight
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(gamma=gamma, order=order, embed_dim=embed_dim)
        hyperparameters.check_at_most(40, gamma=gamma)  # exp(-2 gamma) is in float32
        self.variant, self.weight = variant, weight
        self.gamma, self.order = gamma, order
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps)
        self.embeddings: tuple[tuple[keras.layers.Layer, ...], ...] = ()
        if variant == "neighbours":
            self.embeddings = tuple(
                (
                    linear(math.prod(student_taps[s].shape), embed_dim, "student"),
                    linear(math.prod(teacher_taps[t].shape), embed_dim, "teacher"),
                )
                for s, t in self.pairs
            )

    def loss(self, student, teacher, batch):
        """The weighted sum over the taps, as "correlation"."""
        del batch
        pairs = [(student.taps[s], teacher.taps[t]) for s, t in self.pairs]
        if self.variant == "rbf":
            terms = [correlation_gap(s, t, self.gamma, self.order) for s, t in pairs]
        else:
            terms = []
            for (embed_s, embed_t), (s, t) in zip(self.embeddings, pairs, strict=True):
                s, t = pairwise.rows(s), pairwise.rows(tf.stop_gradient(t))
                terms.append(neighbour_correlation(embed_s(s), embed_t(t)))
        return {"correlation": self.weight * tf.add_n(terms)}
