"""What `compile` and `fit` of Keras may ask for here."""

import inspect
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from common.errors import wrong
from keras_fit import weights as fit_weights
from nets.base import Net
from op_utils import image_weights, mixed_labels

_OF_FIT = (
    "callbacks",
    "validation_batch_size",
    "validation_data",
    "validation_freq",
    "validation_steps",
    "verbose",
)


def check_fit(options: Mapping) -> None:
    """Raises ValueError for arguments of `keras.Model.fit` without a meaning here."""
    if options.get("initial_epoch"):
        raise wrong(
            "fit begins every phase anew, with a new optimizer, and counts its epochs "
            "from 0; a second fit goes on from the weights as they are",
            expected="epochs=HOW_MANY_MORE",
            received=f"initial_epoch={options['initial_epoch']!r}",
        )
    unknown = sorted(options.keys() - {*_OF_FIT, "initial_epoch"})
    if unknown:
        raise ValueError(
            "fit does not take this here. Expected, beside its own arguments, "
            f"{', '.join(_OF_FIT)}. Received: {', '.join(unknown)}."
        )


def task_loss(loss) -> Callable:
    """(batch, logits [B, C], class weights [C] or None) -> scalar, of `compile`'s.

    Where images are mixed, both of their labels count, with their shares. Weights of
    images and classes multiply what an image loses; as in Keras the sum is over B.

    Args:
        loss: a name, a `keras.losses.Loss` or a function of labels and logits; None and
            "sparse_categorical_crossentropy" are the label cross-entropy.

    Raises:
        ValueError: it takes probabilities.
    """
    if loss in (None, "sparse_categorical_crossentropy"):
        return mixed_labels.cross_entropy
    found = keras.losses.get(loss)
    if _takes_probabilities(found):
        raise wrong(
            "The loss takes probabilities, and a student gives logits",
            expected="from_logits=True",
            received=f"{loss=}",
        )

    def of_batch(batch, logits, class_weights=None):
        def mean_of(labels):
            weights = fit_weights.of_images(batch, labels, class_weights)
            return _weighted_mean(found, labels, logits, weights)

        own = mean_of(batch["label"])
        if "other_label" not in batch:
            return own
        share = batch["label_share"][0]  # one for all images of a batch
        return share * own + (1.0 - share) * mean_of(batch["other_label"])

    return of_batch


def _weighted_mean(loss, labels, logits, weights) -> tf.Tensor:
    if weights is None:
        return tf.reduce_mean(loss(labels, logits))
    if isinstance(loss, keras.losses.Loss):  # It has a reduction of its own.
        return tf.reduce_mean(loss(labels, logits, sample_weight=weights))
    values = tf.convert_to_tensor(loss(labels, logits))
    if values.shape.rank != 1:
        raise wrong(
            "Weights need the loss of each image",
            expected="a keras.losses.Loss, or a function that returns one value for "
            "each",
            received=f"a loss of shape {values.shape}",
        )
    return image_weights.mean(values, weights)


def _takes_probabilities(loss) -> bool:
    if isinstance(loss, keras.losses.Loss):
        return loss.get_config().get("from_logits") is False
    parameter = inspect.signature(loss).parameters.get("from_logits")
    return parameter is not None and parameter.default is False


def fresh_optimizer(config: dict, compute_dtype: str) -> keras.optimizers.Optimizer:
    """A new optimizer, which scales the loss of nets that compute in float16.

    Args:
        config: of `keras.optimizers.serialize`.
        compute_dtype: of the student.
    """
    optimizer = keras.optimizers.deserialize(config)
    is_scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if compute_dtype == "float16" and not is_scaling:
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def are_plain(student, teacher) -> bool:
    """Whether both nets are Keras models as they are, not ours and not wrapped.

    Raises:
        ValueError: one is, and the other is not: they want pixels differently.
    """
    found = {"student": student, "teacher": teacher}
    plain = {
        role: not isinstance(net, Net) for role, net in found.items() if net is not None
    }
    if len(set(plain.values())) > 1:
        (role,) = (role for role, is_plain in plain.items() if is_plain)
        raise wrong(
            "One net says how it wants pixels and the other does not",
            expected=f"{role}=nets.wrap(model, scaling=...)",
            received=f"{role}={type(found[role]).__name__} {found[role].name!r}",
        )
    return plain["student"]
