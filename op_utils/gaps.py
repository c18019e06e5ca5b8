"""How far a student's tensor is from a teacher's of the same shape."""

import tensorflow as tf


def squared_gap(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean over all entries of (student - teacher)^2.

    Args:
        student: any shape.
        teacher: the same shape, taken as constant.

    Returns:
        Scalar, at least 0, in the squared unit of both.

    Raises:
        ValueError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            "The gap is taken entry by entry. Expected tensors of equal shape. "
            f"Received: student {student.shape}, teacher {teacher.shape}."
        )
    return tf.reduce_mean(tf.square(student - tf.stop_gradient(teacher)))
