"""Cutout: a square of each image, at a random place, becomes the mean colour.

DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dataloader.random_streams import integers

_ROWS, _COLUMNS = 20, 21  # random streams


def draw(seed, epoch, num_examples: int, height: int, width: int) -> tf.Tensor:
    """Draws the centres of one epoch's squares, evenly over all pixels.

    Args:
        seed: integer, or integer scalar.
        epoch: the same.
        num_examples: number of rows; row i does not depend on it.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        int32 [N, 2], row and column.
    """
    rows = integers(seed, epoch, _ROWS, num_examples, height)
    columns = integers(seed, epoch, _COLUMNS, num_examples, width)
    return tf.stack([rows, columns], axis=1)


def cut_out(
    images: tf.Tensor, centres: tf.Tensor, size: int, mean: Sequence[float]
) -> tf.Tensor:
    """Fills a square, of which the border clips what lies beyond.

    Args:
        images: uint8 [B, H, W, C].
        centres: int32 [B, 2], as from `draw`; rows centre - size // 2 and on.
        size: side of the square, pixels.
        mean: per channel (or one for all), of pixels in [0, 1]: the square's colour.

    Returns:
        uint8 [B, H, W, C].
    """
    # Paper: 0 after normalisation, which is the mean. Here: the nearest grey levels.
    channels = images.shape[-1]
    colour = np.round(255.0 * np.broadcast_to(mean, [1, channels])).astype(np.uint8)
    starts = centres - size // 2

    def is_inside(axis, length):
        positions = tf.range(length) - starts[:, axis : axis + 1]  # [B, length]
        return (positions >= 0) & (positions < size)

    rows, columns = (is_inside(axis, images.shape[axis + 1]) for axis in (0, 1))
    is_cut = rows[:, :, tf.newaxis] & columns[:, tf.newaxis]  # [B, H, W]
    # A gather of pixels, of which the first is the colour: twice as fast as tf.where.
    pixels = tf.concat([colour, tf.reshape(images, [-1, channels])], axis=0)
    own_positions = tf.reshape(tf.range(1, tf.shape(pixels)[0]), tf.shape(is_cut))
    return tf.gather(pixels, tf.where(is_cut, 0, own_positions))
