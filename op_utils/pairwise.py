"""Relations between all pairs of a batch's images."""

import tensorflow as tf

from common.errors import wrong


def check_batches(student: tf.Tensor, teacher: tf.Tensor, least: int = 1):
    """Raises ValueError unless both hold the same images, `least` or more of them.

    Args:
        student: [B, ...].
        teacher: [B, ...].
        least: how many images the relation needs.
    """
    sizes = student.shape[0], teacher.shape[0]
    if sizes[0] != sizes[1] or sizes[0] < least:
        raise wrong(
            "Images of a batch are compared with each other",
            expected=f"batches of equal size, at least {least}",
            received=f"student {student.shape}, teacher {teacher.shape}",
        )


def rows(x: tf.Tensor) -> tf.Tensor:
    """[B, ...] as a matrix [B, D], one row for each image."""
    return tf.reshape(x, [x.shape[0], -1])


def gram(x: tf.Tensor) -> tf.Tensor:
    """Scalar products of all pairs of images.

    Args:
        x: [B, ...].

    Returns:
        [B, B], in the squared unit of `x`.
    """
    x = rows(x)
    return tf.matmul(x, x, transpose_b=True)


def differences(x: tf.Tensor) -> tf.Tensor:
    """x_j - x_i at [i, j].

    Args:
        x: [B, ...].

    Returns:
        [B, B, D].
    """
    x = rows(x)
    return x[None] - x[:, None]


def squared_distances(x: tf.Tensor, floor: float = 0.0) -> tf.Tensor:
    """max(|x_i - x_j|^2, floor) at [i, j], and 0 for i = j.

    Computed as |x_i|^2 + |x_j|^2 - 2 x_i.x_j, a product of two matrices, since the
    differences of large maps would not fit into memory.

    Args:
        x: [B, ...].
        floor: the least value of different images, at least 0. Below it the gradient
            is 0.

    Returns:
        [B, B], in the squared unit of `x`.
    """
    x = rows(x)
    # A common shift changes no distance, so it is constant for the gradient, too.
    # Without the mean the squares are small, and their difference loses less.
    products = gram(x - tf.stop_gradient(tf.reduce_mean(x, 0)))
    squares = tf.linalg.diag_part(products)
    squared = squares[:, None] + squares - 2.0 * products
    return tf.linalg.set_diag(tf.maximum(squared, floor), tf.zeros_like(squares))


def distances(x: tf.Tensor, squared_floor: float = 1e-12) -> tf.Tensor:
    """|x_i - x_j| at [i, j], and 0 for i = j, with finite gradients.

    Args:
        x: [B, ...].
        squared_floor: the least squared distance of different images, > 0.

    Returns:
        [B, B], in the unit of `x`.
    """
    squared = squared_distances(x, squared_floor)
    # The root's slope at 0 is infinite: so it is taken of 1 on the diagonal.
    zeros = tf.zeros_like(squared[0])
    root = tf.sqrt(tf.linalg.set_diag(squared, zeros + 1.0))
    return tf.linalg.set_diag(root, zeros)
