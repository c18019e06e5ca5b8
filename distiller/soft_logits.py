"""Soft logits: the teacher's softened class probabilities are the student's targets."""

import tensorflow as tf

from distiller.framework import base, hyperparameters
from op_utils.divergence import softened_kl


def soft_logits_loss(
    student: tf.Tensor,
    teacher: tf.Tensor,
    temperature: float = 4.0,
    weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), mean over the batch.

    T^2 keeps the gradient's size independent of the temperature.

    Args:
        student: [B, num_classes] logits.
        teacher: [B, num_classes] logits, taken as constants.
        temperature: T > 0.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar in nats, at least 0; 0 where the predictions agree.

    Raises:
        ValueError: the shapes differ.
    """
    return temperature**2 * softened_kl(student, teacher, temperature, weight)


class SoftLogits(base.Distiller):
    """Hinton et al., Distilling the Knowledge in a Neural Network, NIPS workshop 2014.

    https://arxiv.org/abs/1503.02531, section 2. Owns no variables. The published recipe
    (RepDistiller, mdistiller) is 0.1 times the label cross-entropy plus 0.9 times this
    term, hence `task_weight`.

    Args:
        temperature: softens both predictions, > 0.
        weight: of the term, >= 0. 0.9 is for it alone; in sums RepDistiller has 1,
            CRD+Soft_logits with Soft_logits.weight=1.

    Raises:
        ValueError: a hyperparameter is out of range.
    """

    task_weight = 0.1
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        temperature: float = 4.0,
        weight: float = 0.9,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_positive(temperature=temperature)
        hyperparameters.check_not_negative(weight=weight)
        self.temperature = temperature
        self.weight = weight

    def loss(self, student, teacher, batch):
        """The weighted divergence, as "kl"."""
        logits = student.logits, teacher.logits
        weight = batch.get("sample_weight")
        divergence = soft_logits_loss(*logits, self.temperature, weight)
        return {"kl": self.weight * divergence}
