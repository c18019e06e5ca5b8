"""What `compile` and `fit` of Keras may ask for here."""

import inspect
from collections.abc import Callable, Iterable, Mapping

import keras
import tensorflow as tf

from nets.base import Net
from op_utils import mixed_labels

_OF_FIT = (
    "callbacks",
    "validation_batch_size",
    "validation_data",
    "validation_freq",
    "validation_steps",
    "verbose",
)


def check_fit(options: Mapping) -> None:
    """Raises ValueError for arguments of `keras.Model.fit` that have no meaning here.

    Weights of images and classes are among them: a method's terms have none.
    """
    unknown = sorted(options.keys() - set(_OF_FIT))
    if unknown:
        raise ValueError(
            "fit does not take this here. Expected, beside its own arguments, "
            f"{', '.join(_OF_FIT)}. Received: {', '.join(unknown)}."
        )
    callbacks = options.get("callbacks") or ()
    for callback in callbacks if isinstance(callbacks, Iterable) else (callbacks,):
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "BackupAndRestore keeps neither the phase nor the method's own "
                "variables. Expected train_w_distill.py for a run that can be resumed. "
                f"Received: callbacks with {type(callback).__name__}."
            )


def task_loss(loss) -> Callable:
    """(batch, logits [B, C]) -> scalar, of what `compile` gets.

    Where images are mixed, both of their labels count, with their shares.

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
        raise ValueError(
            "The loss takes probabilities, and a student gives logits. Expected "
            f"from_logits=True. Received: loss={loss!r}."
        )

    def of_batch(batch, logits):
        own = tf.reduce_mean(found(batch["label"], logits))
        if "other_label" not in batch:
            return own
        share = batch["label_share"][0]  # one for all images of a batch
        other = tf.reduce_mean(found(batch["other_label"], logits))
        return share * own + (1.0 - share) * other

    return of_batch


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
        raise ValueError(
            "One net says how it wants pixels and the other does not. Expected "
            f"{role}=nets.wrap(model, scaling=...). Received: {role}="
            f"{type(found[role]).__name__} {found[role].name!r}."
        )
    return plain["student"]
