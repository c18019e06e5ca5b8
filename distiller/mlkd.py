"""MLKD: the student's views of an image align and correlate as the teacher's do."""

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils.contrastive import supervised_contrastive_loss
from op_utils.divergence import softened_kl
from op_utils.embeddings import Perceptron, linear
from op_utils.norms import unit
from op_utils.rotated_views import VIEWS, forward_of_views


def alignment_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """2 - 2 cos(student, teacher), mean over the vectors.

    Args:
        student: [..., D], mapped to the teacher's width.
        teacher: [..., D], taken as constant.

    Returns:
        Scalar without unit, from 0 to 4.
    """
    cosines = tf.reduce_sum(unit(student) * unit(tf.stop_gradient(teacher)), axis=-1)
    return 2.0 - 2.0 * tf.reduce_mean(cosines)


def correlation_loss(
    student: tf.Tensor, teacher: tf.Tensor, temperature: float = 0.5
) -> tf.Tensor:
    """KL(p_t || p_s), p_i = softmax over j of cos(view i, original j) / temperature.

    The mean is over all views i but the originals; there is no factor temperature^2.

    Args:
        student: [B, views, Ds], the original of each image first.
        teacher: [B, views, Dt], taken as constant.
        temperature: tau > 0.

    Returns:
        Scalar in nats, at least 0.
    """

    def cosines(views):  # [B (views - 1), B]
        views = unit(views)
        others = tf.reshape(views[:, 1:], [-1, views.shape[-1]])
        return tf.matmul(others, views[:, 0], transpose_b=True)

    return softened_kl(cosines(student), cosines(teacher), temperature)


class MLKD(base.Distiller):
    """Ding et al., Multi-level Knowledge Distillation, arXiv 2021.

    https://arxiv.org/abs/2012.00573. Both nets see four views of each image, itself and
    its rotations by 90, 180 and 270 degrees: a step costs about four times as much as
    with Soft_logits. Three terms: `alignment_loss` of a perceptron on the student's
    embeddings and the teacher's; `correlation_loss` of another perceptron on them and
    the teacher's; `supervised_contrastive_loss` of all unit embeddings of both nets
    after a linear layer each. The labels' cross-entropy sees the image itself alone.
    Owns the perceptrons (dense, batch norm, ReLU, dense) and the linear layers, all
    trained; the first perceptron has 2 multiplier D^2 weights for embeddings of size D.

    Args:
        taps: one pair of taps (`tap_pairs`); maps are averaged over their positions.
        align_weight: of the alignment, >= 0. All three weights are 1 by default, which
            is plain and not the paper's: no source at hand gives those.
        correlation_weight: of the correlation, >= 0.
        contrast_weight: of the supervised contrastive term, >= 0.
        correlation_temperature: tau of the correlation, > 0.
        contrast_temperature: temperature of the contrastive term, > 0.
        feature_dim: outputs of the linear layers, > 0.
        hidden_multiplier: of the teacher's embedding size, for the alignment's hidden
            layer, > 0.
        eps: of the contrastive term's logarithm, > 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or (when the
            training starts) the images are not square.
    """

    needs_labels = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("embedding",),
        align_weight: float = 1.0,
        correlation_weight: float = 1.0,
        contrast_weight: float = 1.0,
        correlation_temperature: float = 0.5,
        contrast_temperature: float = 0.07,
        feature_dim: int = 128,
        hidden_multiplier: int = 16,
        eps: float = 1e-7,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(
            align_weight=align_weight,
            correlation_weight=correlation_weight,
            contrast_weight=contrast_weight,
        )
        hyperparameters.check_positive(
            correlation_temperature=correlation_temperature,
            contrast_temperature=contrast_temperature,
            feature_dim=feature_dim,
            hidden_multiplier=hidden_multiplier,
            eps=eps,
        )
        self.weights = (align_weight, correlation_weight, contrast_weight)
        self.correlation_temperature = correlation_temperature
        self.contrast_temperature = contrast_temperature
        self.eps = eps
        self.pair = tap_pairs.resolve_one(taps, student_taps, teacher_taps)
        s = student_taps[self.pair[0]].channels
        t = teacher_taps[self.pair[1]].channels
        self.align_head = Perceptron(s, hidden_multiplier * t, t, name="align")
        self.correlation_head = Perceptron(s, s, s, name="correlation")
        self.student_head = linear(s, feature_dim, name="student_head")
        self.teacher_head = linear(t, feature_dim, name="teacher_head")

    def teacher_forward(self, teacher, student, batch):
        """The teacher's output for the images; the tap `VIEWS` has all their views."""
        del student
        return forward_of_views(teacher, batch["image"], self.pair[1], training=False)

    def student_forward(self, student, teacher, batch, teacher_output):
        """The student's output for the images; the tap `VIEWS` has all their views."""
        del teacher, teacher_output
        return forward_of_views(student, batch["image"], self.pair[0], training=True)

    def loss(self, student, teacher, batch):
        """The three weighted terms, as "align", "correlation" and "contrast"."""
        seen, given = student.taps[VIEWS], tf.stop_gradient(teacher.taps[VIEWS])
        rows, targets = (tf.reshape(x, [-1, x.shape[-1]]) for x in (seen, given))
        aligned, correlated = self.align_head(rows), self.correlation_head(rows)
        heads = [unit(self.student_head(rows)), unit(self.teacher_head(targets))]
        labels = tf.tile(tf.repeat(batch["label"], seen.shape[1]), [2])
        terms = {
            "align": alignment_loss(aligned, targets),
            "correlation": correlation_loss(
                tf.reshape(correlated, seen.shape), given, self.correlation_temperature
            ),
            "contrast": supervised_contrastive_loss(
                tf.concat(heads, axis=0), labels, self.contrast_temperature, self.eps
            ),
        }
        weighted = zip(terms.items(), self.weights, strict=True)
        return {name: weight * term for (name, term), weight in weighted}
