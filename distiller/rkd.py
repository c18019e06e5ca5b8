"""RKD: distances and angles between the images of a batch are transferred."""

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import pairwise
from op_utils.norms import unit


def distance_gap(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean over i, j of h(d_ij / mu_s - D_ij / mu_t), Eqs. 4 to 7.

    d and D are the Euclidean distances of student and teacher, mu their means over
    i != j, and h(x) = x^2 / 2 for |x| < 1, |x| - 1/2 otherwise.

    Args:
        student: [B, ...] embeddings, B >= 2.
        teacher: [B, ...] embeddings of any width, taken as constants.

    Returns:
        Scalar without unit, at least 0; 0 where the embeddings agree up to scale.

    Raises:
        ValueError: the batches differ in size or have one image alone.
    """
    pairwise.check_batches(student, teacher, least=2)
    of_teacher = _relative_distances(tf.stop_gradient(teacher))
    return _mean_huber(_relative_distances(student) - of_teacher)


def angle_gap(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean over i, j, k of h(a_ijk - A_ijk), Eqs. 8 and 9.

    a_ijk = u_ij.u_ik with u_ij = unit(e_j - e_i) is the cosine of the student's angle
    at e_i, 0 where the angle is none; A is the teacher's; h as in `distance_gap`.

    Args:
        student: [B, ...] embeddings.
        teacher: [B, ...] embeddings of any width, taken as constants.

    Returns:
        Scalar without unit, from 0 to 3 / 2; 0 where the embeddings are similar shapes.

    Raises:
        ValueError: the batches differ in size.
    """
    pairwise.check_batches(student, teacher)
    return _mean_huber(_cosines(student) - _cosines(tf.stop_gradient(teacher)))


def _relative_distances(x):
    found = pairwise.distances(x)  # [B, B]
    size = x.shape[0]
    mean = tf.reduce_sum(found) / (size * (size - 1))
    return found / mean


def _cosines(x):
    directions = unit(pairwise.differences(x))  # [B, B, D], the vertex first
    return tf.matmul(directions, directions, transpose_b=True)  # [B, B, B]


def _mean_huber(gap):
    size = tf.abs(gap)
    inside = tf.minimum(size, 1.0)
    return tf.reduce_mean(inside * (size - 0.5 * inside))


class RKD(base.Distiller):
    """Park et al., Relational Knowledge Distillation, CVPR 2019.

    https://arxiv.org/abs/1904.05068. The distances of all pairs and the angles of all
    triples of a batch's embeddings. Owns no variables. The default weights are the
    paper's for classification (section 4.2).

    Args:
        taps: embedding, stage2, student:teacher, ... (`tap_pairs`); maps are flattened.
        distance_weight: of the distances' term, summed over the taps, >= 0.
        angle_weight: of the angles' term, summed over the taps, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range or a tap does not exist.
    """

    # Paper: sums over tuples of different images. Here: means over all i, j (and k),
    # as in the authors' code, because the published weights belong to that.

    least_batch_size = 2

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("embedding",),
        distance_weight: float = 25.0,
        angle_weight: float = 50.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(
            distance_weight=distance_weight, angle_weight=angle_weight
        )
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps)

    def loss(self, student, teacher, batch):
        """The weighted sums over the taps, as "distance" and "angle"."""
        del batch
        pairs = [(student.taps[s], teacher.taps[t]) for s, t in self.pairs]
        distance = tf.add_n([distance_gap(s, t) for s, t in pairs])
        angle = tf.add_n([angle_gap(s, t) for s, t in pairs])
        return {
            "distance": self.distance_weight * distance,
            "angle": self.angle_weight * angle,
        }
