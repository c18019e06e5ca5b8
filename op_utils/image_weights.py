"""How much each image of a batch counts: `sample_weight`, float32 [B], where given."""

from collections.abc import Mapping

import tensorflow as tf

from common.errors import wrong

KEY = "sample_weight"  # of a batch, as Keras calls it


def mean(values: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
    """Mean over all entries, each image's times its weight.

    It is sum_b weight_b mean(values_b) / B, as Keras' "sum_over_batch_size" has it:
    weights of 1 change nothing, and those of 2 double it.

    Args:
        values: [B, ...].
        weight: [B]; None is 1 for every image.

    Returns:
        Scalar in the unit of `values`.
    """
    if weight is None:
        return tf.reduce_mean(values)
    of_images = tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))  # [B]
    return tf.reduce_mean(tf.cast(weight, of_images.dtype) * of_images)


def check_can_weigh(method, batch: Mapping) -> None:
    """Raises ValueError if the images have weights, and the method cannot weigh them.

    Args:
        method: a `distiller.framework.base.Distiller`.
        batch: names are enough.
    """
    if KEY in batch and not method.weighs_images:
        raise wrong(
            "The method's terms have no weight for each image",
            expected="no sample_weight, or a method that takes each image by itself, "
            "such as Soft_logits or none",
            received=f"{KEY} for {_refusing(method)}",
        )


def _refusing(method) -> str:
    """Which method it is; of a sum the parts."""
    parts = getattr(method, "parts", ())
    return ", ".join(p.name for p in parts if not p.weighs_images) or method.name
