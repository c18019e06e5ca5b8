"""Labels of a batch whose images may be mixed: `other_label` and `label_share`.

An image with both has `label` for the share, and `other_label` for the rest. Sources:
Mixup, https://arxiv.org/abs/1710.09412; CutMix, https://arxiv.org/abs/1905.04899.
"""

import functools
from collections.abc import Callable, Mapping

import tensorflow as tf

from common.errors import wrong
from op_utils import image_weights


def cross_entropy(
    batch: Mapping, logits: tf.Tensor, class_weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean over the batch of share * CE(label) + (1 - share) * CE(other label).

    Each cross-entropy counts times the weight of its label, and each image times its
    own; the sum is over B, whatever the weights are, as in Keras.

    Args:
        batch: `label`, int32 [B]; where images are mixed `other_label`, int32 [B], and
            `label_share`, float32 [B], too; and `sample_weight`, float32 [B], where
            images have weights.
        logits: [B, num_classes].
        class_weights: float32 [num_classes]; None is 1 for each.

    Returns:
        Scalar in nats.
    """

    def losses(labels):
        found = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        if class_weights is None:
            return found
        return tf.gather(tf.convert_to_tensor(class_weights), labels) * found

    own = losses(batch["label"])
    if "other_label" in batch:
        share = batch["label_share"]
        own = share * own + (1.0 - share) * losses(batch["other_label"])
    return image_weights.mean(own, batch.get(image_weights.KEY))


def weighted(class_weights) -> Callable:
    """`cross_entropy` with these weights of classes, or with none."""
    if class_weights is None:
        return cross_entropy
    return functools.partial(cross_entropy, class_weights=class_weights)


def main_label(batch: Mapping) -> tf.Tensor:
    """The label with the larger share, int32 [B]; `label` of two halves."""
    if "other_label" not in batch:
        return batch["label"]
    is_main = batch["label_share"] >= 0.5
    return tf.where(is_main, batch["label"], batch["other_label"])


def check_can_read(method, batch: Mapping) -> None:
    """Raises ValueError if the method needs one label an image, but there are two."""
    if method.needs_labels and "other_label" in batch:
        raise wrong(
            "The method reads the label of each image, and mixed images have two",
            expected="batches without Mixup and CutMix",
            received=f"a batch with {', '.join(batch)} for {method.name}",
        )
