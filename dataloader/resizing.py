"""Images of any size made square: random resized crops, and the middle of an image.

The recipe of the nets trained on ImageNet: Szegedy et al., Going Deeper with
Convolutions, CVPR 2015, https://arxiv.org/abs/1409.4842 (section 6) for training, the
middle of 224 of the image resized to 256 for evaluation, and the same proportion for
other sizes. Resizing is bilinear and filters what shrinks (antialias), as PIL does.
"""

import math

import tensorflow as tf

from dataloader import augmentation

ATTEMPTS = 10
SMALLEST_AREA = 0.08  # of the image's
_LOG_RATIO = math.log(4 / 3)  # width / height lies between 3/4 and 4/3
_STREAM = 16  # random stream of one (seed, epoch), apart from those of `augmentation`


def seeds(seed, epoch, index: tf.Tensor) -> tf.Tensor:
    """The seed of each image's crop in an epoch.

    Args:
        seed: integer, or integer scalar.
        epoch: the same.
        index: int32 [...], positions of the images.

    Returns:
        int64 [..., 2], a function of (seed, epoch, index).
    """
    key = tf.cast(augmentation.stream_seed(seed, epoch, _STREAM), tf.int64)  # [2]
    index = tf.cast(index, tf.int64)
    return key + tf.stack([tf.zeros_like(index), index], axis=-1)


def draw(seed: tf.Tensor) -> tf.Tensor:
    """The random numbers of a crop, float32 [ATTEMPTS, 4] from 0 to 1; `seed` [2]."""
    return tf.random.stateless_uniform([ATTEMPTS, 4], seed, alg="philox")


def random_region(draws: tf.Tensor, height, width) -> tf.Tensor:
    """A part of an image, its area and its proportions both at random.

    The area is uniform from 8 to 100 % of the image's, the logarithm of
    width / height uniform from log 3/4 to log 4/3. The first attempt that fits the
    image counts; if none does, the middle is taken, as much as keeps to 3/4 and 4/3.

    Args:
        draws: float32 [ATTEMPTS, 4], at least 0, below 1: area, proportion, place
            from the top, place from the left.
        height: of the image, integer scalar.
        width: the same.

    Returns:
        int32 [4]: top row, left column, height and width of the part.
    """
    height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    area = tf.cast(height, tf.float32) * tf.cast(width, tf.float32)
    area *= SMALLEST_AREA + (1 - SMALLEST_AREA) * draws[:, 0]
    ratio = tf.exp(_LOG_RATIO * (2 * draws[:, 1] - 1))
    heights, widths = _integer(tf.sqrt(area / ratio)), _integer(tf.sqrt(area * ratio))
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
    first = tf.argmax(tf.cast(fits, tf.int32))
    size = tf.stack([heights[first], widths[first]])
    room = tf.stack([height, width]) - size
    place = tf.cast(draws[first, 2:] * tf.cast(room + 1, tf.float32), tf.int32)
    region = tf.concat([place, size], axis=0)
    return tf.where(tf.reduce_any(fits), region, _middle(height, width))


def resize(image: tf.Tensor, height, width) -> tf.Tensor:
    """uint8 [H, W, C] to uint8 [height, width, C]."""
    image = tf.image.resize(image, tf.stack([height, width]), antialias=True)
    return tf.saturate_cast(tf.round(image), tf.uint8)


def resize_and_centre(image: tf.Tensor, size: int) -> tf.Tensor:
    """The middle of an image whose short side was resized to size * 256 / 224.

    Args:
        image: uint8 [H, W, C].
        size: of the result.

    Returns:
        uint8 [size, size, C].
    """
    short = round(size * 256 / 224)
    height, width = tf.unstack(tf.shape(image)[:2])
    shortest = tf.minimum(height, width)
    # Of a very long image, what lies far from the middle is not enlarged.
    top, left = (tf.maximum(side - 2 * shortest, 0) // 2 for side in (height, width))
    height, width = (tf.minimum(side, 2 * shortest) for side in (height, width))
    image = image[top : top + height, left : left + width]
    height, width = (
        (side * short + shortest // 2) // shortest for side in (height, width)
    )
    image = resize(image, height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


def _middle(height, width):
    part = [
        tf.minimum(side, _integer(tf.cast(other, tf.float32) * (4 / 3)))
        for side, other in ((height, width), (width, height))
    ]
    return tf.stack([(height - part[0]) // 2, (width - part[1]) // 2, *part])


def _integer(x):
    return tf.cast(tf.round(x), tf.int32)
