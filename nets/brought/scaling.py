"""What a Keras model expects of its images: resolution, channels, scale of pixels."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from common.errors import wrong

# Modes of keras.applications' preprocess_input, in its own words.
KERAS_MODES = ("tf", "torch", "caffe")
SCALINGS = ("normalised", "pixels", "unit", *KERAS_MODES)


def check_scaling(scaling: str, channels: int) -> str:
    """Returns `scaling`; ValueError unless a model of so many channels may want it."""
    if scaling not in SCALINGS:
        raise wrong("The scaling is unknown", choices=SCALINGS, received=f"{scaling=}")
    if scaling in ("torch", "caffe") and channels != 3:
        raise wrong(
            "This scaling has a mean of red, green and blue",
            expected="a model of three channels",
            received=f"{scaling=} and {channels}",
        )
    return scaling


def rescale(images: tf.Tensor, mean, std, scaling: str | tuple) -> tf.Tensor:
    """Normalised images as a model expects them.

    Args:
        images: [B, H, W, C], (pixels / 255 - mean) / std.
        mean: per channel, of pixels in [0, 1].
        std: per channel.
        scaling: "normalised", as they are; "pixels", from 0 to 255; "unit", from 0 to
            1; a mode of keras.applications; or a pair of another mean and std.
    """
    if scaling in ("normalised", (mean, std)):
        return images
    images = ops.cast(images, "float32") * std + mean
    if scaling == "unit":
        return images
    if isinstance(scaling, tuple):
        mean, std = scaling
        return (images - mean) / std
    images = images * 255.0
    if scaling == "pixels":
        return images
    preprocess = keras.applications.imagenet_utils.preprocess_input
    return preprocess(images, mode=scaling)


def resize(images: tf.Tensor, shape) -> tf.Tensor:
    """Images [B, H, W, C] of another size, bilinear, and grey ones as RGB."""
    height, width, channels = shape
    if images.shape[-1] == 1 != channels:
        images = ops.repeat(images, channels, axis=-1)
    if tuple(images.shape[1:3]) != (height, width):
        # Smaller images are blurred first, as Pillow does, larger ones are not.
        images = tf.image.resize(images, (height, width), antialias=True)
    return images


def mode_of(preprocess) -> str:
    """Which of `SCALINGS` a `preprocess_input` of keras.applications computes."""
    pixels = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3) * 20
    given = np.asarray(preprocess(pixels.copy()))
    for scaling in ("pixels", *KERAS_MODES):
        expected = np.asarray(rescale(pixels / 255, 0.0, 1.0, scaling))
        if np.allclose(given, expected, atol=1e-3):
            return scaling
    raise wrong(
        "The preprocessing is not one that is known",
        expected="that of a model of keras.applications",
        received=preprocess,
    )
