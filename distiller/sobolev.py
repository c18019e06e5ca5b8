"""Sobolev training: the student's logit changes with the image like the teacher's."""

import tensorflow as tf

from distiller.framework import base, hyperparameters
from op_utils.input_gradients import of_label, with_gradients
from op_utils.norms import unit
from op_utils.pairwise import rows
from op_utils.squared_error import squared_gap


def gradient_loss(
    student: tf.Tensor, teacher: tf.Tensor, weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean over batch and entries of (unit(g_s) - unit(g_t))^2, unit over each image.

    Args:
        student: [B, H, W, C] gradients with respect to the images.
        teacher: [B, H, W, C], taken as constants.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar without unit, from 0 to 4 / (H W C).

    Raises:
        ValueError: the shapes differ.
    """
    return squared_gap(unit(rows(student)), unit(rows(teacher)), weight)


class Sobolev(base.Distiller):
    """Czarnecki et al., Sobolev Training for Neural Networks, NIPS 2017.

    https://arxiv.org/abs/1706.04859. With g the gradient of the label's logit with
    respect to the image, the term is the mean square of unit(g_s) - unit(g_t). Owns no
    variables. The values themselves are matched by a sum with another method, such as
    Sobolev+Soft_logits.

    Costs: the teacher's pass twice (forward, and back to the images); the student's
    step about twice (forward, back to the images, and backwards through both).

    Args:
        weight: of the term, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range.
    """

    needs_labels = True
    weighs_images = True

    # Paper: derivatives of all outputs, or of random projections of them, as they
    # are. Here: of the label's logit, at length 1, as in KD-Zoo, whose weight it is:
    # one backward pass instead of one a class, and no scale to be matched.

    def __init__(self, student_taps, teacher_taps, data, *, weight: float = 20.0):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        self.weight = weight

    def teacher_forward(self, teacher, student, batch):
        """The default output, with the tap "input_gradient" of the images' shape."""
        del student
        direction = of_label(batch["label"])
        return with_gradients(teacher, batch["image"], direction, training=False)

    def student_forward(self, student, teacher, batch, teacher_output):
        """The default output, with the tap "input_gradient" of the images' shape."""
        del teacher, teacher_output
        direction = of_label(batch["label"])
        return with_gradients(student, batch["image"], direction, training=True)

    def loss(self, student, teacher, batch):
        """The weighted term, as "gradient"."""
        weight = batch.get("sample_weight")
        gradients = student.taps["input_gradient"], teacher.taps["input_gradient"]
        return {"gradient": self.weight * gradient_loss(*gradients, weight)}
