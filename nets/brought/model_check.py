"""Whether a Keras model classifies images; if not, what it is and what to add."""

import keras
import numpy as np

from common.errors import wrong
from nets.base import Net
from nets.brought import before_activation, keras_errors, model_state

_POOLING = (
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
)


def check(model: keras.Model, shape, output) -> None:
    """Raises ValueError unless the model makes one vector of classes of one image.

    Args:
        model: any Keras model.
        shape: (None, H, W, C) of its input; of another model something else.
        output: (None, num_classes), or something else.
    """
    if _is_several(shape):
        raise wrong(
            f"The model {model.name!r} has several inputs",
            expected="one image: a model of the part that classifies it, "
            "keras.Model(image, logits)",
            received=_named(model, "input", shape),
        )
    if _is_several(output):
        raise wrong(
            f"The model {model.name!r} has several outputs",
            expected="one, such as keras.Model(model.input, model.outputs[0])",
            received=_named(model, "output", output),
        )
    if isinstance(output, tuple) and len(output) in (3, 4):
        pooling = f"GlobalAveragePooling{len(output) - 2}D"
        raise wrong(
            f"The model {model.name!r} is a backbone without a head",
            expected="one with a head, trained for the classes: "
            "keras.Model(model.input, "
            f"keras.layers.Dense(num_classes)(keras.layers.{pooling}()(model.output)))",
            received=f"outputs {output}",
        )
    is_image = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:]
    if not is_image or not isinstance(output, tuple) or len(output) != 2:
        raise wrong(
            "The model is not one that classifies images",
            expected="an input (None, H, W, C), or image_shape=(H, W, C) for one of "
            "any size, and an output (None, num_classes)",
            received=f"model {model.name!r} from {shape} to {output}",
        )
    _check_units(model, output[-1])


def _check_units(model, units: int) -> None:
    """Raises ValueError for one unit, or several sigmoid units."""
    end = last_operation(model)
    layer = "" if end is None else f", layer {end.name!r}"
    if units == 1:
        kind = "sigmoid unit" if before_activation.ends_in_sigmoid(end) else "unit"
        raise ValueError(
            f"The model {model.name!r} ends in one {kind}{layer}. Expected two "
            "classes: nets.two_classes(model), whose logits are 0 and the unit's "
            "(kernel [0, w], bias [0, b], softmax). Of a file: nets.two_classes("
            "nets.saving.load_model(FILE)).save('two_classes.keras')."
        )
    if before_activation.ends_in_sigmoid(end):
        raise wrong(
            f"The model {model.name!r} ends in {units} sigmoid units{layer}, so that "
            "its classes do not exclude each other (multi-label)",
            expected="a softmax, or logits, of classes of which each image has one",
            received=f"{units} sigmoids",
        )


def shapes(model: keras.Model, image_shape=None) -> tuple[tuple, int]:
    """(H, W, C) that a model computes on, and its number of outputs.

    Args:
        model: any Keras model, or one of our nets.
        image_shape: (H, W, C) of the images that it will get; None: as it says itself.

    Raises:
        ValueError: it does not classify images, or not ones with these channels.
    """
    if isinstance(model, Net):
        shape, num_classes = tuple(model.image_shape), model.num_classes
    else:
        shape, num_classes = _shapes_of(model, image_shape)
    channels = (image_shape or shape)[-1]
    if channels not in (1, shape[-1]):
        raise wrong(
            f"The model {model.name!r} takes other images",
            expected=f"grey ones or {shape[-1]} channels",
            received=f"{channels} channels",
        )
    return shape, num_classes


def _shapes_of(model, image_shape) -> tuple[tuple, int]:
    shape = getattr(model, "input_shape", None)
    if shape is None and image_shape is not None:
        shape = (None, *image_shape)
    if isinstance(shape, tuple) and len(shape) == 4 and None in shape[1:3]:
        shape = (None, *image_shape[:2], shape[3]) if image_shape else shape
    output = getattr(model, "output_shape", None)
    if output is None and shape is not None:
        with model_state.kept(model):
            output = output_shape(model, shape)
    check(model, shape, output)
    return tuple(shape[1:]), output[-1]


def output_shape(model: keras.Model, shape):
    """What a model makes of one image of zeros, as `keras.Model.output_shape` says it.

    Args:
        model: one that does not say so itself.
        shape: (None, H, W, C).

    Raises:
        ValueError: it cannot be called with an array of images.
    """
    try:
        output = model(np.zeros((1, *shape[1:]), np.float32))
    except Exception as error:  # The user's code may raise anything.
        raise wrong(
            f"The model {model.name!r} cannot be called with images",
            expected=f"one that takes an array {(None, *shape[1:])}; of other images, "
            "image_shape; of one that takes a dict, a keras.Model around it",
            received=f"{type(error).__name__} ({keras_errors.line_of(error)})",
        ) from error
    return keras.tree.map_structure(lambda x: (None, *x.shape[1:]), output)


def last_operation(model):
    """The layer or operation that makes the output, inside inner models, too; or None.

    Of subclassed models it is not known.
    """
    outputs = getattr(model, "outputs", None)
    if not outputs or not hasattr(outputs[0], "_keras_history"):
        return None
    operation = outputs[0]._keras_history[0]
    is_model = isinstance(operation, keras.Model)
    return last_operation(operation) or operation if is_model else operation


def head_hint(model, num_classes: int) -> str:
    """What to add to a model that ends in its features; empty for others."""
    if not isinstance(last_operation(model), _POOLING):
        return ""
    return (
        f" It ends in {type(last_operation(model)).__name__}, as a backbone without a "
        "head does; one is added by keras.Model(model.input, keras.layers.Dense("
        f"{num_classes})(model.output)), and has to be trained."
    )


def _is_several(shape) -> bool:
    """Whether it is a list or dict of shapes."""
    return isinstance(shape, list | dict) or (
        isinstance(shape, tuple) and any(isinstance(part, tuple) for part in shape)
    )


def _named(model, end: str, shapes) -> str:
    """What users call the inputs, or the outputs, of a model, with their shapes."""
    structure = getattr(model, end, None)
    tensors = getattr(model, f"{end}s", None)
    if isinstance(structure, dict):
        names, shapes = list(structure), [x.shape for x in structure.values()]
    elif tensors:
        names = [tensor._keras_history[0].name for tensor in tensors]
        shapes = [tensor.shape for tensor in tensors]
    elif isinstance(shapes, dict):
        names, shapes = list(shapes), list(shapes.values())
    else:
        names = list(range(len(shapes)))
    pairs = zip(names, shapes, strict=True)
    return ", ".join(f"{name!r} {tuple(shape)}" for name, shape in pairs)
