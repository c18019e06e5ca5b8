"""SP: images that are alike for the teacher become alike for the student."""

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import pairwise
from op_utils.norms import unit
from op_utils.squared_error import squared_gap


def similarity_gap(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """||G_s - G_t||_F^2 / B^2, Eqs. 2 to 4.

    G has the rows of Q Q^T, each divided by its length; Q is the activations as a
    [B, -1] matrix.

    Args:
        student: [B, ...] activations.
        teacher: [B, ...] activations of any shape, taken as constants.

    Returns:
        Scalar without unit, from 0 to 4 / B; 0 where activations agree up to scale.

    Raises:
        ValueError: the batches differ in size.
    """
    pairwise.check_batches(student, teacher)
    return squared_gap(unit(pairwise.gram(student)), unit(pairwise.gram(teacher)))


class SP(base.Distiller):
    """Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019.

    https://arxiv.org/abs/1907.09682. The mean square of the difference of both nets'
    similarities of all pairs in a batch. Owns no variables.

    Args:
        taps: last_stage, stages, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the taps, gamma in the paper, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range or a tap does not exist.
    """

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("last_stage",),
        weight: float = 3000.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        self.weight = weight
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps)

    def loss(self, student, teacher, batch):
        """The weighted sum over the taps, as "similarity"."""
        del batch
        gaps = [similarity_gap(student.taps[s], teacher.taps[t]) for s, t in self.pairs]
        return {"similarity": self.weight * tf.add_n(gaps)}
