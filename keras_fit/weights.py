"""Weights of images and classes in `fit` and `evaluate`, as Keras has them."""

import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from common.errors import wrong
from op_utils import class_weights as class_weights_lib
from op_utils import image_weights


def as_floats(batch: Mapping) -> dict:
    """The batch with its images' weights, if there are some, as float32 [B].

    Raises:
        ValueError: the weights are not [B] or [B, 1] numbers.
    """
    weight = batch.get(image_weights.KEY)
    if weight is None:
        return {name: v for name, v in batch.items() if name != image_weights.KEY}
    if weight.shape.rank == 2 and weight.shape[1] == 1:
        weight = weight[:, 0]
    is_number = weight.dtype.is_floating or weight.dtype.is_integer
    if weight.shape.rank != 1 or not is_number:
        raise wrong(
            "Images have one weight each",
            expected="sample_weight of numbers [N]",
            received=f"{weight.dtype.name} {tuple(weight.shape)}",
        )
    return {**batch, image_weights.KEY: tf.cast(weight, tf.float32)}


def check_images(weight, number: int) -> np.ndarray | None:
    """The weights of all images of arrays.

    Args:
        weight: what `fit` got as `sample_weight`.
        number: of images.

    Raises:
        ValueError: they are not one finite number, 0 or more, for each image.
    """
    if weight is None:
        return None
    weight = np.asarray(weight)
    is_clear = weight.shape in ((number,), (number, 1)) and weight.dtype.kind in "fiu"
    if not is_clear or not (np.isfinite(weight) & (weight >= 0)).all():
        others = ", of other numbers" if is_clear else ""
        raise wrong(
            "The images' weights are not clear",
            expected="sample_weight with a finite number, 0 or more, for each of "
            f"{number} images",
            received=f"{weight.dtype} {weight.shape}{others}",
        )
    return weight.astype(np.float32)


def of_classes(given, data, method, task_weight: float | None) -> np.ndarray | None:
    """The weights of the classes that `fit` is asked for; see `class_weights.of`.

    Args:
        given: `class_weight`.
        data: the `base.DataSpec`.
        method: the `base.Distiller`.
        task_weight: of phases that name none; None takes the method's.

    Raises:
        ValueError: they are not clear, or no phase has a label loss.
    """
    found = class_weights_lib.of(given, data.labels, data.num_classes)
    if found is not None:
        name = f"class_weight={given!r}"
        task_weight = method.task_weight if task_weight is None else task_weight
        class_weights_lib.check_has_label_loss(method.phases(), task_weight, name)
    return found


def weighted(task_loss: Callable, class_weights) -> Callable:
    """The loss of `options.task_loss` with these weights of classes, or none."""
    if class_weights is None:
        return task_loss
    return functools.partial(task_loss, class_weights=class_weights)


def of_images(batch: Mapping, labels: tf.Tensor, class_weights) -> tf.Tensor | None:
    """What each image's label loss counts: its weight times its label's.

    Args:
        batch: with or without `sample_weight`.
        labels: int32 [B], that count.
        class_weights: float32 [num_classes], or None.

    Returns:
        float32 [B]; None where there are no weights.
    """
    weight = batch.get(image_weights.KEY)
    if class_weights is None:
        return weight
    of_labels = tf.gather(tf.convert_to_tensor(class_weights), labels)
    return of_labels if weight is None else weight * of_labels
