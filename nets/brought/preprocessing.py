"""What happens to pixels before a model's first weights, and what they must be."""

import keras
import numpy as np

from nets.brought import model_state, scaling
from nets.brought.opened import Graph, Step, has_graph, opened

# The base of all of Keras' layers of images; it is not exported by its name.
IMAGE_LAYER = keras.layers.Resizing.__base__

# They have weights, but say no more of an image than its pixels do.
_OF_PIXELS = (keras.layers.BatchNormalization, keras.layers.Normalization)

# They choose, move or blur pixels, and keep their scale.
_KEEP_SCALE = (
    IMAGE_LAYER,
    keras.layers.AveragePooling2D,
    keras.layers.Cropping2D,
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.MaxPooling2D,
    keras.layers.UpSampling2D,
    keras.layers.ZeroPadding2D,
)
# They may change the order of channels, too.
_MOVE_CHANNELS = (
    keras.layers.Concatenate,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Reshape,
)
_OPERATIONS_KEEP_SCALE = ("Cast", "Copy", "Pad", "Resize")
_OPERATIONS_MOVE_CHANNELS = (
    "BroadcastTo",
    "Concatenate",
    "ExpandDims",
    "Flip",
    "GetItem",
    "Repeat",
    "Reshape",
    "Squeeze",
    "Stack",
    "Tile",
    "Transpose",
)

_BUILT_IN = (IMAGE_LAYER, keras.layers.Rescaling, keras.layers.Normalization)
_UNCHANGED = (np.float64(1), np.float64(0))


def pixels(graph: Graph) -> set[int]:
    """The ids of the tensors that are pixels still: no learned weight made them.

    That is what preprocessing makes, whether layers (rescaling, normalisation,
    resizing, augmentation) or arithmetic, and whatever it is called.
    """
    found = {id(tensor) for tensor in graph.inputs}
    for step in graph.steps:
        fixed = not weights(step.operation) or isinstance(step.operation, _OF_PIXELS)
        if fixed and all(id(tensor) in found for tensor in step.inputs):
            found |= set(map(id, step.outputs))
    return found


def weights(operation) -> list:
    """A layer's weights; an operation has none."""
    return getattr(operation, "weights", [])


def kind(operation) -> str:
    """The class of an operation of Keras, such as "Add"; "" of a layer."""
    is_operation = type(operation).__module__.startswith("keras.src.ops.")
    return type(operation).__name__ if is_operation else ""


def scaling_of(model: keras.Model) -> str:
    """What a model expects by what it does to its pixels.

    The numbers of its rescaling, normalisation and arithmetic in front of the first
    weights decide: together they are a * x + b of a pixel x. A net wants zeros in the
    middle of what it gets, so -b / a is a middle grey: from 25 to 230 where pixels go
    from 0 to 255, from 0.1 to 0.9 where they go to 1. Without b, a brings 255 to
    something between one and two.

    Returns:
        "pixels" or "unit" of `scaling.SCALINGS`, or "" where the model does not say it.
    """
    if not has_graph(model):
        found = [_of_first_layers(getattr(model, "layers", ()))]
    elif len(model.inputs) == 1:
        found = _affine_maps(opened(model))
    else:
        found = []
    if not found or any(affine is None for affine in found):
        return ""
    if any(not _same(found[0], other) for other in found[1:]):
        return ""
    return expected_by(*found[0])


def expected_by(a, b) -> str:
    """`scaling_of` a model that begins with a * x + b, one number or one a channel."""
    a, b = np.broadcast_arrays(a, b)
    if np.any(a <= 0) or (np.all(a == 1) and np.all(b == 0)):
        return ""
    if np.all(b == 0):
        return "pixels" if np.all((255 * a > 0.9) & (255 * a < 2.1)) else ""
    grey = -b / a
    if np.all((grey > 25) & (grey < 230) & (255 * a > 0.5)):
        return "pixels"
    return "unit" if np.all((grey > 0.1) & (grey < 0.9) & (a > 0.5)) else ""


def rescales(model: keras.Model) -> bool:
    """Whether a layer of the model rescales or normalises, wherever it is."""
    kinds = keras.layers.Rescaling, keras.layers.Normalization
    return any(isinstance(layer, kinds) for layer in model_state.layers(model))


def told_by_converter(model: keras.Model) -> str:
    """What KerasHub's image converter beside a model does to pixels; "" without one.

    Only its `predict` and `fit` convert: the model by itself does not.
    """
    preprocessor = getattr(model, "preprocessor", None)
    converter = getattr(preprocessor, "image_converter", None)
    if converter is None or not hasattr(converter, "scale"):
        return ""
    scale = 1.0 if converter.scale is None else np.asarray(converter.scale, float)
    offset = 0.0 if converter.offset is None else np.asarray(converter.offset, float)
    pixels = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3) * 20
    named = ""
    for name in ("pixels", "unit", *scaling.KERAS_MODES):
        expected = np.asarray(scaling.rescale(pixels / 255, 0.0, 1.0, name))
        if np.allclose(pixels * scale + offset, expected, atol=1e-3):
            named = f", which is {name!r}"
    numbers = (
        f"scale={np.round(scale, 6).tolist()}, offset={np.round(offset, 6).tolist()}"
    )
    return f"Its image converter computes scale * pixel + offset, {numbers}{named}. "


def _same(one, other) -> bool:
    pairs = tuple(zip(one, other, strict=True))
    sizes = [{np.size(x), np.size(y)} - {1} for x, y in pairs]
    fit = all(len(size) < 2 for size in sizes)
    return fit and all(np.allclose(x, y) for x, y in pairs)


def _affine_maps(graph: Graph) -> list:
    """(a, b) of what each of the first steps with weights gets; None is unknown."""
    maps = {id(graph.inputs[0]): _UNCHANGED}
    found = []
    for step in graph.steps:
        before = [maps[id(tensor)] for tensor in step.inputs if id(tensor) in maps]
        operation = step.operation
        normalises = isinstance(operation, keras.layers.Normalization)
        fixed = not weights(operation) or normalises
        is_known = fixed and len(before) == len(step.inputs)
        after = _after(operation, before, step) if is_known else None
        if after is None:
            # Whatever a layer of the user's does, it gets what is rescaled before it.
            found += before
        else:
            maps.update({id(tensor): after for tensor in step.outputs})
    return found


def _of_first_layers(layers):
    """(a, b) of a subclassed model, whose first layers are taken to be used first."""
    after = _UNCHANGED
    for layer in layers:
        # A model of augmentation, or whatever else.
        parts = layer.layers if isinstance(layer, keras.Model) else (layer,)
        for part in parts:
            if isinstance(part, keras.layers.InputLayer):
                continue
            if after is None or not isinstance(part, _BUILT_IN):
                return after
            after = _after(part, [after], None)
    return after


def _after(operation, before: list, step: Step | None):
    """What an operation with fixed numbers makes of a * x + b; None is unknown."""
    if any(affine is None for affine in before):
        return None
    a, b = before[0]
    if isinstance(operation, keras.layers.Rescaling):
        scale, offset = np.asarray(operation.scale), np.asarray(operation.offset)
        return a * scale, b * scale + offset
    if isinstance(operation, keras.layers.Normalization):
        return _normalised(operation, a, b)
    if isinstance(operation, _KEEP_SCALE) or kind(operation) in _OPERATIONS_KEEP_SCALE:
        return before[0] if len(before) == 1 else None
    moves = isinstance(operation, _MOVE_CHANNELS)
    if moves or kind(operation) in _OPERATIONS_MOVE_CHANNELS:
        uniform = np.size(a) == np.size(b) == 1
        alike = all(_same(before[0], other) for other in before)
        return before[0] if uniform and alike else None
    return _arithmetic(kind(operation), step, a, b) if len(before) == 1 else None


def _normalised(layer, a, b):
    mean, variance = getattr(layer, "mean", None), getattr(layer, "variance", None)
    if mean is None or variance is None:  # not adapted yet
        return None
    mean = np.ravel(keras.ops.convert_to_numpy(mean)).astype(float)
    std = np.sqrt(np.ravel(keras.ops.convert_to_numpy(variance)).astype(float))
    std = np.maximum(std, keras.config.epsilon())
    if np.size(mean) > 1 and tuple(layer.axis) not in ((-1,), (3,)):
        return None
    return (a * std, b * std + mean) if layer.invert else (a / std, (b - mean) / std)


def _arithmetic(name: str, step: Step | None, a, b):
    """Of `x / 127.5 - 1` and the like."""
    values = step.arguments.args if step is not None else ()
    if len(values) != 2:
        return None
    first = isinstance(values[0], keras.KerasTensor)
    try:
        number = np.asarray(values[1 if first else 0], float)
    except (TypeError, ValueError):
        return None
    if number.size > 1 and number.size != number.shape[-1]:
        return None  # not one for each channel
    number = np.ravel(number) if number.size > 1 else np.float64(number.item())
    if name == "Add":
        return a, b + number
    if name == "Multiply":
        return a * number, b * number
    if name == "Subtract":
        return (a, b - number) if first else (-a, number - b)
    if name in ("Divide", "TrueDivide") and first:
        return a / number, b / number
    return None
