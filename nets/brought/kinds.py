"""What the layers and operations of a graph do to maps: kinds of them."""

import keras

from nets.brought import preprocessing
from nets.brought.opened import Step
from nets.brought.preprocessing import kind

_LAYERS = keras.layers

# Their output shows no more than their input.
_PASSIVE = (
    _LAYERS.Cropping2D,
    _LAYERS.Dropout,
    _LAYERS.GaussianDropout,
    _LAYERS.GaussianNoise,
    _LAYERS.Identity,
    _LAYERS.Normalization,
    _LAYERS.Rescaling,
    _LAYERS.SpatialDropout2D,
    _LAYERS.ZeroPadding2D,
)
_RESIZING = (_LAYERS.CenterCrop, _LAYERS.RandomCrop, _LAYERS.Resizing)
_PASSIVE_OPERATIONS = ("Cast", "Copy", "Pad")

NORMS = (
    _LAYERS.BatchNormalization,
    _LAYERS.GroupNormalization,
    _LAYERS.LayerNormalization,
    _LAYERS.RMSNormalization,
)
DEPTHWISE = (_LAYERS.DepthwiseConv2D,)
CONVOLUTIONS = (_LAYERS.Conv2D, _LAYERS.SeparableConv2D, *DEPTHWISE)
_ACTIVATIONS = (
    _LAYERS.ELU,
    _LAYERS.LeakyReLU,
    _LAYERS.PReLU,
    _LAYERS.ReLU,
)

# Linear in the pixels, or as good as: normalised, or the largest of some.
_LINEAR = (
    *_PASSIVE,
    *NORMS,
    _LAYERS.Add,
    _LAYERS.Average,
    _LAYERS.AveragePooling2D,
    _LAYERS.Concatenate,
    _LAYERS.Flatten,
    _LAYERS.GlobalAveragePooling2D,
    _LAYERS.MaxPooling2D,
    _LAYERS.Permute,
    _LAYERS.Reshape,
    _LAYERS.Subtract,
    _LAYERS.UpSampling2D,
)
_LINEAR_IF_WITHOUT_ACTIVATION = (
    *CONVOLUTIONS,
    _LAYERS.Activation,
    _LAYERS.Conv2DTranspose,
    _LAYERS.Dense,
    _LAYERS.EinsumDense,
)
_LINEAR_OPERATIONS = (
    *_PASSIVE_OPERATIONS,
    "Add",
    "Average",
    "Concatenate",
    "ExpandDims",
    "GetItem",
    "Mean",
    "Moveaxis",
    "Reshape",
    "Squeeze",
    "Stack",
    "Subtract",
    "Transpose",
)
_LINEAR_WITH_A_NUMBER = ("Divide", "Multiply", "TrueDivide")

_NO_SUMS = (_LAYERS.Dot, _LAYERS.Multiply)
_SUMS = ("Add", "Average", "Concatenate", "Maximum", "Subtract")
_GLOBAL_POOLS = (_LAYERS.GlobalAveragePooling2D, _LAYERS.GlobalMaxPooling2D)


def is_map(tensor) -> bool:
    """Whether it is [B, H, W, C] of known size with more than one pixel a side."""
    shape = tensor.shape
    return len(shape) == 4 and None not in shape[1:] and min(shape[1:3]) > 1


def is_passive(operation) -> bool:
    """Whether its output shows no more than its input; augmentation moves it only."""
    is_passive_layer = isinstance(operation, _PASSIVE) or _augments(operation)
    return is_passive_layer or kind(operation) in _PASSIVE_OPERATIONS


def _augments(operation) -> bool:
    """Whether it is one of Keras' layers that change an image while it trains."""
    is_of_images = isinstance(operation, preprocessing.IMAGE_LAYER)
    return is_of_images and not isinstance(operation, _RESIZING)


def has_no_activation(operation) -> bool:
    """Whether a layer has none, or a linear one."""
    activation = getattr(operation, "activation", None)
    return activation is None or activation is keras.activations.linear


def is_linear(step: Step) -> bool:
    """Whether it adds nothing that bends: normalising and pooling count as linear."""
    operation = step.operation
    if isinstance(operation, _LINEAR_IF_WITHOUT_ACTIVATION):
        return has_no_activation(operation)
    if kind(operation) in _LINEAR_WITH_A_NUMBER:
        return len(step.inputs) == 1
    return isinstance(operation, _LINEAR) or kind(operation) in _LINEAR_OPERATIONS


def is_activation(operation) -> bool:
    """Whether it is a layer or operation that does nothing but bend."""
    if isinstance(operation, _LAYERS.Activation):
        return not has_no_activation(operation)
    is_operation = type(operation).__module__ == "keras.src.ops.nn"
    return isinstance(operation, _ACTIVATIONS) or is_operation


def is_sum(step: Step) -> bool:
    """Whether two maps become one: a residual sum, or a concatenation."""
    if len({id(x) for x in step.inputs}) < 2 or not is_map(step.outputs[0]):
        return False
    size = step.outputs[0].shape[1:3]
    if any(len(x.shape) != 4 or x.shape[1:3] != size for x in step.inputs):
        return False
    is_layer = isinstance(step.operation, keras.layers.Layer)
    sums = not isinstance(step.operation, _NO_SUMS) if is_layer else None
    return sums if is_layer else kind(step.operation) in _SUMS


def pools_all(step: Step) -> bool:
    """Whether a step makes one vector of a map, be it [B, 1, 1, C]."""
    operation = step.operation
    if isinstance(operation, _LAYERS.AveragePooling2D | _LAYERS.MaxPooling2D):
        return tuple(operation.pool_size) == tuple(step.inputs[0].shape[1:3])
    return isinstance(operation, _GLOBAL_POOLS) or kind(operation) in ("Mean", "Max")
