"""Average pooling to a given size, as methods that compare two nets' maps need it."""

import numpy as np
import tensorflow as tf

from common.errors import wrong


def _bins(before: int, after: int) -> np.ndarray:
    """[after, before]: row i holds the weights of output cell i."""
    bins = np.zeros((after, before), np.float32)
    for i in range(after):
        start, stop = i * before // after, -(-(i + 1) * before // after)
        bins[i, start:stop] = 1.0 / (stop - start)
    return bins


def adaptive_average_pool(
    maps: tf.Tensor, height: int, width: int, *, enlarge: bool = False
) -> tf.Tensor:
    """Pools to a size: cell i is the mean of floor(i n / m) .. ceil((i + 1) n / m) - 1.

    That holds along each axis, from n to m cells; the bins overlap where m does not
    divide n. Source: the behaviour of PyTorch's `adaptive_avg_pool2d`, which the
    published code of these methods calls.

    Args:
        maps: [B, H, W, C] with static H and W.
        height: rows of the result, 1 to H.
        width: columns of the result, 1 to W.
        enlarge: allow sizes above H and W, too; the cells are repeated there, or
            averaged with their neighbours, as the definition gives it.

    Returns:
        [B, height, width, C].

    Raises:
        ValueError: the result would be empty, or larger than the maps without
            `enlarge`.
    """
    _, rows, columns, _ = maps.shape
    fits = height <= rows and width <= columns
    if min(height, width) < 1 or not (fits or enlarge):
        raise wrong(
            "Pooling makes maps smaller",
            expected=f"a height from 1 to {rows} and a width from 1 to {columns}",
            height=height,
            width=width,
        )
    if (rows, columns) == (height, width):
        return maps
    if rows % height == 0 and columns % width == 0:
        window = (rows // height, columns // width)
        return tf.nn.avg_pool2d(maps, window, window, "VALID")
    vertical = tf.constant(_bins(rows, height), maps.dtype)
    horizontal = tf.constant(_bins(columns, width), maps.dtype)
    maps = tf.einsum("bhwc,ih->biwc", maps, vertical)
    return tf.einsum("biwc,jw->bijc", maps, horizontal)


def average_channels(maps: tf.Tensor, channels: int) -> tf.Tensor:
    """Averages neighbouring channels: the bins of `adaptive_average_pool`, along C.

    Where `channels` divides C, they are groups of C / channels consecutive ones.

    Args:
        maps: [B, H, W, C] with static H, W and C.
        channels: of the result, 1 to C.

    Returns:
        [B, H, W, channels].

    Raises:
        ValueError: the result would be empty or have more channels than the maps.
    """
    _, rows, columns, before = maps.shape
    if not 1 <= channels <= before:
        raise wrong(
            "Averaging makes channels fewer",
            expected=f"a number from 1 to {before}",
            channels=channels,
        )
    if before == channels:
        return maps
    if before % channels == 0:
        groups = [-1, rows, columns, channels, before // channels]
        return tf.reduce_mean(tf.reshape(maps, groups), -1)
    bins = tf.constant(_bins(before, channels), maps.dtype)
    return tf.einsum("bhwc,ic->bhwi", maps, bins)


def pool_to_smaller(
    student: tf.Tensor, teacher: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pools the larger of two maps to the smaller one's size.

    Args:
        student: [B, Hs, Ws, Cs] with static sizes.
        teacher: [B, Ht, Wt, Ct] with static sizes.

    Returns:
        Both as [B, min(Hs, Ht), min(Ws, Wt), C] with their own C.
    """
    # Published code (RepDistiller) compares heights and pools to squares. Here: each
    # axis by itself, because maps need not be square; where they are, it is the same.
    height = min(student.shape[1], teacher.shape[1])
    width = min(student.shape[2], teacher.shape[2])
    return (
        adaptive_average_pool(student, height, width),
        adaptive_average_pool(teacher, height, width),
    )
