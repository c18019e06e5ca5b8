"""The models of keras.applications as nets, with their preprocessing and input size."""

import inspect
import os
import sys

import keras

from common.errors import wrong
from nets.brought import keras_errors, scaling, wrap_check
from nets.brought.wrapped import WrappedNet

PREFIX = "keras.applications."
_WEIGHTS = ("none", "imagenet")


def is_application(name: str) -> bool:
    """Whether the name is written as one of these."""
    return name.lower().startswith(PREFIX)


def names() -> tuple[str, ...]:
    """All of them, without the prefix."""
    found = vars(keras.applications).items()
    return tuple(sorted(name for name, value in found if inspect.isfunction(value)))


def canonical_name(name: str) -> str:
    """The one spelling, with the size of the images if it is given.

    >>> canonical_name("keras.applications.mobilenetv2/96")
    'keras.applications.MobileNetV2/96'

    Raises:
        ValueError: there is no such model, or the size is no positive integer.
    """
    plain, _, size = name[len(PREFIX) :].partition("/")
    match = [known for known in names() if known.lower() == plain.lower()]
    if not match or (("/" in name) and not (size.isdecimal() and int(size) > 0)):
        raise wrong(
            "There is no such model",
            expected=f"{PREFIX}NAME or {PREFIX}NAME/SIZE, the height and width of its "
            f"images, with NAME one of {', '.join(names())}",
            received=f"{name!r}",
        )
    return f"{PREFIX}{match[0]}" + (f"/{int(size)}" if size else "")


def build(
    name: str,
    num_classes: int,
    image_shape,
    *,
    mean=None,
    std=None,
    weights: str = "none",
    taps=None,
    dtype=None,
    seed: int | None = None,
) -> WrappedNet:
    """Builds a model of keras.applications as a net.

    Images of another size than the model's are resized to it.

    Args:
        name: "keras.applications.MobileNetV2", or with another size than the published
            one, "keras.applications.MobileNetV2/96".
        num_classes: number of logits.
        image_shape: (H, W, C) of the images that the net will get; C is 1 or 3.
        mean: by which they are normalised, see `nets.build`.
        std: the same.
        weights: "none", fresh ones; "imagenet", which Keras downloads; or a file that
            `save_weights` wrote for this model and number of classes.
        taps: tap name -> layer name, see `nets.wrap`.
        dtype: dtype policy or its name; None takes Keras' global.
        seed: of fresh weights; None draws them.

    Raises:
        ValueError: the model is unknown, its images would be too small, or the weights
            cannot be found or do not fit.
    """
    name = canonical_name(name)
    function = getattr(keras.applications, name[len(PREFIX) :].partition("/")[0])
    size = int(name.partition("/")[2] or 0)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or policy)
    try:
        if seed is not None:
            keras.utils.set_random_seed(seed)
        model = _construct(function, num_classes, size, weights, name)
    finally:
        keras.config.set_dtype_policy(policy)
    preprocess = sys.modules[function.__module__].preprocess_input
    net = WrappedNet(
        model,
        taps,
        image_shape=image_shape,
        mean=mean,
        std=std,
        scaling=scaling.mode_of(preprocess),
        probabilities=False,
    )
    return wrap_check.checked(net)


def _construct(function, num_classes: int, size: int, weights: str, name: str):
    if weights == "imagenet" and num_classes != 1000:
        raise wrong(
            "ImageNet's weights know 1000 other classes",
            expected="weights of a model for these classes, or none, and the model is "
            "trained first",
            received=f"{name} with weights=imagenet for {num_classes} classes",
        )
    is_file = weights not in _WEIGHTS
    if is_file and not os.path.isfile(weights):
        raise wrong(
            "There is no such file",
            expected=f"none, imagenet, or a file of {name}'s weights (.weights.h5)",
            received=f"weights={weights}",
        )
    try:
        model = function(
            weights="imagenet" if weights == "imagenet" else None,
            classes=num_classes,
            classifier_activation=None,
            **({"input_shape": (size, size, 3)} if size else {}),
        )
    except Exception as error:  # of the network, or the size is too small
        raise ValueError(_why_not(name, weights, error)) from error
    if is_file:
        try:
            model.load_weights(weights)
        except (ValueError, OSError, KeyError) as error:
            raise wrong(
                "The weights do not fit",
                expected=f"those of {name} for {num_classes} classes",
                received=f"weights={weights} ({keras_errors.line_of(error)})",
            ) from error
    return model


def _why_not(name: str, weights: str, error: Exception) -> str:
    if weights == "imagenet":
        return (
            f"The weights of {name} could not be downloaded. Expected a network, or "
            "the file from the address below as weights=FILE. "
            f"Received: {keras_errors.line_of(error)}."
        )
    return (
        f"{name} cannot be built. Expected a larger size. {keras_errors.line_of(error)}"
    )
