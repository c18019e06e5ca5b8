"""The operations of RandAugment, as pure functions of a batch of uint8 images.

All take uint8 [N, H, W, C], C = 1 or 3, N perhaps 0, and return the same shape. Their
other arguments are numbers, or tensors [N] with one for each image. They mean what
they do in Pillow, except that results, and only these, are rounded and not cut off, and
that shears keep the middle of the first row or column, not its outer edge. Source of
the list: AutoAugment, https://arxiv.org/abs/1805.09501, appendix A.
"""

import numpy as np
import tensorflow as tf

FILL = 128  # grey of what comes from beyond the border, as in the authors' code
_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601-2, of red, green and blue


def autocontrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel so that it runs from 0 to 255, unless it is constant."""
    x = tf.cast(images, tf.float32)
    least = tf.reduce_min(x, axis=[1, 2], keepdims=True)
    most = tf.reduce_max(x, axis=[1, 2], keepdims=True)
    stretched = tf.math.divide_no_nan(255.0 * (x - least), most - least)
    return tf.where(most > least, _to_uint8(stretched), images)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Makes each channel's histogram as flat as a map of its values can.

    A channel stays as it is where the pixels below its largest value are fewer than
    255: always if the image has no more pixels than that.
    """
    height, width, channels = images.shape[1:]
    values = tf.transpose(tf.cast(images, tf.int32), [0, 3, 1, 2])
    values = tf.reshape(values, [-1, height * width])  # [N * C, H * W]
    count = tf.shape(values)[0]
    own_value = values + 256 * tf.range(count)[:, tf.newaxis]  # in a table of them all
    histogram = tf.math.bincount(
        tf.reshape(own_value, [-1]), minlength=256 * count, maxlength=256 * count
    )
    histogram = tf.reshape(histogram, [-1, 256])
    largest = tf.reduce_max(values, axis=1)
    of_largest = tf.gather(histogram, largest, batch_dims=1)
    step = (height * width - of_largest)[:, tf.newaxis] // 255  # pixels a grey level
    below = tf.cumsum(histogram, axis=1, exclusive=True)
    table = (below + step // 2) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
    table = tf.reshape(tf.cast(table, tf.uint8), [-1])
    equal = tf.reshape(tf.gather(table, own_value), [-1, channels, height, width])
    return tf.transpose(equal, [0, 2, 3, 1])


def solarize(images: tf.Tensor, threshold: int) -> tf.Tensor:
    """Inverts pixels of `threshold` (0 to 256) and more."""
    is_inverted = tf.cast(images, tf.int32) >= threshold
    return tf.where(is_inverted, 255 - images, images)


def posterize(images: tf.Tensor, bits: int) -> tf.Tensor:
    """Keeps the highest `bits` (0 to 8) of each pixel."""
    return tf.bitwise.bitwise_and(images, np.uint8(256 - 2 ** (8 - bits)))


def color(images: tf.Tensor, factors) -> tf.Tensor:
    """Blends with the grey image: 0 is grey, 1 the image, more is more colourful."""
    return _blend(_grey(images), images, factors)


def contrast(images: tf.Tensor, factors) -> tf.Tensor:
    """Blends with the mean of the grey image: 0 is uniform, 1 the image."""
    mean = tf.reduce_mean(_grey(images), axis=[1, 2], keepdims=True)
    return _blend(mean, images, factors)


def brightness(images: tf.Tensor, factors) -> tf.Tensor:
    """Multiplies by the factors: 0 is black, 1 the image."""
    return _blend(0.0, images, factors)


def sharpness(images: tf.Tensor, factors) -> tf.Tensor:
    """Blends with the smoothed image: 0 is smooth, 1 the image, more is sharper.

    The smoothed pixel is the mean of its neighbourhood of 3x3, where it counts five
    times itself; the outermost pixels stay.
    """
    height, width = images.shape[1:3]
    x = tf.cast(images, tf.float32)
    padded = tf.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    is_inner = np.zeros([height, width, 1], bool)
    is_inner[1:-1, 1:-1] = True
    smooth = tf.where(is_inner, (around + 4.0 * x) / 13.0, x)
    return _blend(smooth, images, factors)


def rotate(images: tf.Tensor, degrees) -> tf.Tensor:
    """Turns counter-clockwise about the image's centre."""
    angles = _per_image(images, degrees) * (np.pi / 180)
    cos, sin = tf.cos(angles), tf.sin(angles)
    y, x = ((size - 1) / 2 for size in images.shape[1:3])
    of_x = cos, -sin, x - x * cos + y * sin
    of_y = sin, cos, y - x * sin - y * cos
    return _affine(images, tf.stack([*of_x, *of_y, 0.0 * cos, 0.0 * cos], axis=1))


def shear_x(images: tf.Tensor, shears) -> tf.Tensor:
    """Moves row y to the left by `shears` times y pixels."""
    return _moved(images, shears, entry=1)


def shear_y(images: tf.Tensor, shears) -> tf.Tensor:
    """Moves column x upwards by `shears` times x pixels."""
    return _moved(images, shears, entry=3)


def translate_x(images: tf.Tensor, pixels) -> tf.Tensor:
    """Moves to the left."""
    return _moved(images, pixels, entry=2)


def translate_y(images: tf.Tensor, pixels) -> tf.Tensor:
    """Moves upwards."""
    return _moved(images, pixels, entry=5)


def _moved(images, amounts, entry):
    """Adds the amounts to one entry of the affine map that changes nothing."""
    still = np.array([1, 0, 0, 0, 1, 0, 0, 0], np.float32)
    direction = np.eye(8, dtype=np.float32)[entry]
    amounts = _per_image(images, amounts)[:, tf.newaxis]
    return _affine(images, still + amounts * direction)


def _affine(images, maps):
    """Pixel (x, y) of the result is the one nearest (a x + b y + c, d x + e y + f).

    `maps` is float32 [N, 8]: a to f, and two zeros.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=maps,
        output_shape=images.shape[1:3],
        fill_value=float(FILL),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )


def _per_image(images, numbers):
    """Float32 [N]: one number for each image."""
    return tf.broadcast_to(tf.cast(numbers, tf.float32), tf.shape(images)[:1])


def _grey(images):
    """Float32 [N, H, W, 1]."""
    x = tf.cast(images, tf.float32)
    if images.shape[-1] == 1:
        return x
    return tf.reduce_sum(x * _GREY_WEIGHTS, axis=-1, keepdims=True)


def _blend(other, images, factors):
    """Factor 0 gives `other`, 1 the images; others go on along the line."""
    x = tf.cast(images, tf.float32)
    factors = tf.reshape(_per_image(images, factors), [-1, 1, 1, 1])
    return _to_uint8(x + (factors - 1.0) * (x - other))


def _to_uint8(x):
    return tf.cast(tf.round(tf.clip_by_value(x, 0.0, 255.0)), tf.uint8)
