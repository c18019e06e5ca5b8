"""How far a student's tensor is from a teacher's of the same shape."""

import tensorflow as tf

from op_utils import image_weights, shapes


def squared_gap(
    student: tf.Tensor, teacher: tf.Tensor, weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean over all entries of (student - teacher)^2.

    Args:
        student: any shape; [B, ...] with a weight.
        teacher: the same shape, taken as constant.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar, at least 0, in the squared unit of both.

    Raises:
        ValueError: the shapes differ.
    """
    shapes.check_equal(student, teacher, "The gap is taken entry by entry", "tensors")
    square = tf.square(student - tf.stop_gradient(teacher))
    return image_weights.mean(square, weight)
