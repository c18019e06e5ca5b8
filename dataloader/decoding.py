"""PNG and JPEG bytes to pixels, for use in graphs."""

from collections.abc import Callable

import tensorflow as tf


def decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """The whole image.

    16 bits become 8, transparency is dropped, CMYK becomes RGB.

    Args:
        encoded: string scalar, the bytes of a PNG or JPEG file.
        channels: 1 or 3; an image of the other kind is converted.

    Returns:
        uint8 [H, W, channels].
    """
    return tf.io.decode_image(encoded, channels=channels, expand_animations=False)


def decode_region(encoded: tf.Tensor, channels: int, choose: Callable) -> tf.Tensor:
    """A part of the image; of a JPEG file little more than it is decoded.

    At the part's border JPEG pixels may differ a little from those of `decode`, which
    knows what lies beyond.

    Args:
        encoded: see `decode`.
        channels: see `decode`.
        choose: (height, width) -> int32 [4], as `resizing.random_region` gives.

    Returns:
        uint8 [h, w, channels].
    """

    def of_jpeg():
        height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(encoded))
        return tf.image.decode_and_crop_jpeg(
            encoded, choose(height, width), channels=channels
        )

    def of_png():
        return region(decode(encoded, channels), choose)

    return tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_png)


def region(image: tf.Tensor, choose: Callable) -> tf.Tensor:
    """The part [h, w, C] that `choose(height, width)` names of an image [H, W, C]."""
    height, width = tf.unstack(tf.shape(image)[:2])
    top, left, height, width = tf.unstack(choose(height, width))
    return image[top : top + height, left : left + width]
