"""RandAugment: a few random operations on each image, all of one magnitude.

Cubuk et al. 2020, https://arxiv.org/abs/1909.13719.
"""

import functools

import tensorflow as tf

from dataloader import image_operations
from dataloader.random_streams import stream_seed

_CHOICES, _SIGNS = 10, 11  # random streams


def operations(magnitude: float, height: int, width: int) -> dict:
    """The paper's 14 operations at one magnitude.

    Args:
        magnitude: M, from 0, where most do nothing, to 30. At 10 each is at the end of
            AutoAugment's range; beyond, the ranges go on, as far as they make sense.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        Name -> function (uint8 images [N, H, W, C], signs float32 [N], -1 or 1) ->
        images.
    """
    share = magnitude / 10
    # Paper's code: posterize and solarize get weaker with M, and the four factors run
    # from 0.1 to 1.9, so that M = 5 does nothing. Here: more is stronger, because the
    # paper says so of M; factors are 1 +- 0.9 M / 10.
    bits = max(round(8 - 4 * share), 1)
    threshold = max(round(256 * (1 - share)), 0)

    def blending(operation):
        def function(images, signs):
            return operation(images, tf.maximum(1.0 + 0.9 * share * signs, 0.0))

        return function

    def moving(operation, largest):
        return lambda images, signs: operation(images, share * largest * signs)

    def plain(operation, *arguments):
        return lambda images, signs: operation(images, *arguments)

    return {
        "identity": plain(tf.identity),
        "autocontrast": plain(image_operations.autocontrast),
        "equalize": plain(image_operations.equalize),
        "rotate": moving(image_operations.rotate, 30.0),
        "solarize": plain(image_operations.solarize, threshold),
        "color": blending(image_operations.color),
        "posterize": plain(image_operations.posterize, bits),
        "contrast": blending(image_operations.contrast),
        "brightness": blending(image_operations.brightness),
        "sharpness": blending(image_operations.sharpness),
        "shear_x": moving(image_operations.shear_x, 0.3),
        "shear_y": moving(image_operations.shear_y, 0.3),
        "translate_x": moving(image_operations.translate_x, width * 150 / 331),
        "translate_y": moving(image_operations.translate_y, height * 150 / 331),
    }


NUM_OPERATIONS = len(operations(0, 1, 1))


def draw(seed, epoch, num_examples: int, layers: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the operations of one epoch.

    Args:
        seed: integer, or integer scalar.
        epoch: the same.
        num_examples: number of rows; row i does not depend on it.
        layers: operations an image.

    Returns:
        choices: int32 [N, layers], positions in `operations`.
        signs: float32 [N, layers], -1 or 1.
    """
    choices = tf.random.stateless_uniform(
        [num_examples, layers],
        stream_seed(seed, epoch, _CHOICES),
        minval=0,
        maxval=NUM_OPERATIONS,
        dtype=tf.int32,
        alg="philox",
    )
    uniform = tf.random.stateless_uniform(
        [num_examples, layers], stream_seed(seed, epoch, _SIGNS), alg="philox"
    )
    return choices, tf.where(uniform < 0.5, -1.0, 1.0)


def apply(
    images: tf.Tensor, choices: tf.Tensor, signs: tf.Tensor, magnitude: float
) -> tf.Tensor:
    """Applies each image's operations, one after the other.

    Args:
        images: uint8 [B, H, W, C], C = 1 or 3, all sizes but B static.
        choices: int32 [B, layers], as from `draw`.
        signs: float32 [B, layers], as from `draw`.
        magnitude: M, 0 to 30.

    Returns:
        uint8 [B, H, W, C].
    """
    known = operations(magnitude, *images.shape[1:3]).values()
    layers = zip(tf.unstack(choices, axis=1), tf.unstack(signs, axis=1), strict=True)
    return functools.reduce(functools.partial(_apply_layer, known), layers, images)


def _apply_layer(known, images, layer):
    """Each operation works on those images together that have drawn it."""
    choices, signs = layer
    positions = tf.range(tf.shape(images)[0])
    positions = tf.dynamic_partition(positions, choices, NUM_OPERATIONS)
    results = [
        operation(tf.gather(images, rows), tf.gather(signs, rows))
        for operation, rows in zip(known, positions, strict=True)
    ]
    return tf.ensure_shape(tf.dynamic_stitch(positions, results), images.shape)
