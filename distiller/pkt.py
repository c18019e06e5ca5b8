"""PKT: the probability that two images of a batch are neighbours is transferred."""

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import pairwise
from op_utils.divergence import kl_entries
from op_utils.norms import norm


def neighbour_divergence(
    student: tf.Tensor, teacher: tf.Tensor, eps: float = 1e-7
) -> tf.Tensor:
    """Mean over i, j of T_ij log((T_ij + eps) / (P_ij + eps)).

    P_ij = S_ij / sum_j S_ij, S = (z_i.z_j + 1) / 2, z = e / (||e||_2 + eps), with the
    student's embeddings e; T is the same of the teacher's.

    Args:
        student: [B, ...] embeddings.
        teacher: [B, ...] embeddings of any width, taken as constants.
        eps: keeps norms and logarithms finite, > 0.

    Returns:
        Scalar in nats, at least 0 up to about eps; 0 where the cosines agree.

    Raises:
        ValueError: the batches differ in size.
    """
    # Paper: a sum over i != j. Here: a mean over all i, j, as in the authors' code,
    # because the published weight belongs to that.
    pairwise.check_batches(student, teacher)
    p = _neighbours(tf.stop_gradient(teacher), eps) + eps
    q = _neighbours(student, eps) + eps
    ratio = tf.math.log(p / q)
    # Each row of p and of q has the same sum. T = p - eps, hence the correction.
    return tf.reduce_mean(kl_entries(p, q, ratio) - eps * ratio)


def _neighbours(x, eps):
    """[B, B] of P: row i has the probabilities of i's neighbours j."""
    x = pairwise.rows(x)
    cosines = pairwise.gram(x / (norm(x, keepdims=True) + eps))
    similarity = tf.maximum((cosines + 1.0) / 2.0, 0.0)  # rounding goes below -1
    return similarity / tf.reduce_sum(similarity, 1, keepdims=True)


class PKT(base.Distiller):
    """Passalis and Tefas, Learning Deep Representations with PKT, ECCV 2018.

    https://openaccess.thecvf.com/content_ECCV_2018/html/Nikolaos_Passalis_Learning_Deep_Representations_ECCV_2018_paper.html.
    Probabilistic Knowledge Transfer: the divergence KL(T || P) of the conditional
    probabilities of neighbours under the cosine kernel. Owns no variables. The paper
    has no weight for means with a label loss beside them; the default is
    RepDistiller's.

    Args:
        taps: embedding, stage2, student:teacher, ... (`tap_pairs`); maps are flattened.
        weight: of the sum over the taps, >= 0.
        eps: keeps norms and logarithms finite, > 0.

    Raises:
        ValueError: a hyperparameter is out of range or a tap does not exist.
    """

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("embedding",),
        weight: float = 30000.0,
        eps: float = 1e-7,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(eps=eps)
        self.weight = weight
        self.eps = eps
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps)

    def loss(self, student, teacher, batch):
        """The weighted sum over the taps, as "neighbours"."""
        del batch
        terms = [
            neighbour_divergence(student.taps[s], teacher.taps[t], self.eps)
            for s, t in self.pairs
        ]
        return {"neighbours": self.weight * tf.add_n(terms)}
