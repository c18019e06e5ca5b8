"""RandAugment and Cutout of a pipeline's images, as an `Augmentation` asks for."""

import tensorflow as tf

from dataloader import cutout, randaugment
from dataloader.augmentation import Augmentation


def draw(augmentation: Augmentation, seed, epoch, num_examples: int, shape) -> dict:
    """The random tensors of one epoch; row i of all is example i's.

    Args:
        augmentation: what is wanted.
        seed: integer, or integer scalar.
        epoch: the same.
        num_examples: number of rows; row i does not depend on it.
        shape: (H, W, C) of the images.

    Returns:
        Tensors for `apply`; an empty dict if nothing is wanted.
    """
    height, width, _ = shape
    drawn = {}
    if augmentation.randaugment:
        drawn["choices"], drawn["signs"] = randaugment.draw(
            seed, epoch, num_examples, augmentation.randaugment
        )
    if augmentation.cutout:
        drawn["centres"] = cutout.draw(seed, epoch, num_examples, height, width)
    return drawn


def apply(augmentation: Augmentation, images: tf.Tensor, drawn: dict) -> tf.Tensor:
    """RandAugment, then Cutout.

    Args:
        augmentation: what is wanted.
        images: uint8 [B, H, W, C].
        drawn: the rows of `draw` of these images.

    Returns:
        uint8 [B, H, W, C].
    """
    if augmentation.randaugment:
        images = randaugment.apply(
            images, drawn["choices"], drawn["signs"], augmentation.randaugment_magnitude
        )
    if augmentation.cutout:
        images = cutout.cut_out(
            images, drawn["centres"], augmentation.cutout, augmentation.mean
        )
    return images
