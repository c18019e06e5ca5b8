"""What a layer computes before its last activation: logits, and "_pre" taps.

Only of built-in layers is it known that what their attribute `activation` names is the
last thing they do: a user's layer may call so what it uses somewhere inside.
"""

import keras

from common.errors import wrong

_ENDING_IN_ACTIVATION = frozenset(
    {
        keras.layers.Activation,
        keras.layers.Conv1D,
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2D,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3D,
        keras.layers.Conv3DTranspose,
        keras.layers.Dense,
        keras.layers.DepthwiseConv1D,
        keras.layers.DepthwiseConv2D,
        keras.layers.EinsumDense,
        keras.layers.SeparableConv1D,
        keras.layers.SeparableConv2D,
    }
)


def _operation_of(function) -> type:
    """The type of operation by which a function of Keras stands in a graph."""
    return type(function(keras.KerasTensor((1, 2)))._keras_history.operation)


_SOFTMAX = (keras.layers.Softmax, _operation_of(keras.ops.softmax))
_RELU = (
    keras.layers.ReLU,
    _operation_of(keras.ops.relu),
    _operation_of(keras.activations.relu),
)
_SIGMOID = (_operation_of(keras.ops.sigmoid),)
_KNOWN = frozenset({*_ENDING_IN_ACTIVATION, *_SOFTMAX, *_RELU, *_SIGMOID})
_CALLS = frozenset({"call", "__call__", "quantized_call"})


class BeforeActivation(keras.layers.Layer):
    """The result of a layer without its activation; shares the layer's weights.

    Args:
        layer: built, of a built-in type whose last operation is its activation.
    """

    def __init__(self, layer: keras.layers.Layer):
        dtype = layer.dtype_policy
        if layer.quantization_mode:  # This layer has nothing to quantise.
            dtype = dtype.name.rpartition("_from_")[2]
        # Not named after the layer: two taps may be of the same one.
        super().__init__(dtype=dtype, autocast=layer.autocast)
        self.layer = layer
        self.built = True

    def call(self, inputs):
        """What the activation would get."""
        layer = self.layer
        # Its arithmetic only, not __call__: that would regularise this output, too.
        compute = layer.quantized_call if layer.quantization_mode else layer.call
        activation, layer.activation = layer.activation, keras.activations.linear
        try:
            return compute(inputs)
        finally:
            layer.activation = activation


class Whole(keras.layers.Layer):
    """A layer as it is, in the place in a file where `BeforeActivation` once was."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(dtype=layer.dtype_policy, autocast=layer.autocast)
        self.layer = layer
        self.built = True

    def call(self, inputs):
        """What the layer returns."""
        return self.layer(inputs)


def producer(tensor):
    """The layer or operation that made a tensor, and the tensors that it got."""
    operation, node, _ = tensor._keras_history
    # Not operation.input: a layer that is used twice has several.
    return operation, operation._inbound_nodes[node].input_tensors


def before_relu(tensor):
    """What the ReLU that made the tensor has got; the tensor without one.

    A ReLU of another threshold than zero is none: the methods look at signs.
    """
    operation, _ = producer(tensor)
    if not ends_in_relu(operation):
        return tensor
    return _before(tensor, keras.activations.relu, _RELU)


def ends_in_relu(operation) -> bool:
    """Whether the last that a layer or operation does is a ReLU, as above."""
    of_relu = _ends_in(operation, keras.activations.relu, _RELU)
    return of_relu and getattr(operation, "threshold", 0) == 0


def ends_in_sigmoid(operation) -> bool:
    """Whether the last that a layer or operation does is a sigmoid; not if None."""
    return operation is not None and _ends_in(
        operation, keras.activations.sigmoid, _SIGMOID
    )


def is_only_activation(operation) -> bool:
    """Whether a layer or operation that ends in an activation does nothing else."""
    return _built_in(operation) in (*_RELU, *_SOFTMAX, keras.layers.Activation)


def logits_of(output):
    """What the softmax that made the output has got; the output without one.

    Raises:
        ValueError: the output comes from a sigmoid, or from a softmax over images.
    """
    operation, _ = producer(output)
    if ends_in_sigmoid(operation):
        raise wrong(
            "The model ends in a sigmoid, so that its classes do not exclude each "
            "other",
            expected="a softmax, or logits",
            received=f"layer {operation.name!r}",
        )
    axis = getattr(operation, "axis", -1)
    is_softmax = _built_in(operation) in _SOFTMAX
    if is_softmax and axis not in (last := len(output.shape) - 1, -1, [last], [-1]):
        raise wrong(
            "The model ends in a softmax that is not over its classes",
            expected="axis=-1",
            received=f"layer {operation.name!r} with axis={axis}",
        )
    return _before(output, keras.activations.softmax, _SOFTMAX)


def has_softmax_inside(output) -> bool:
    """Whether a layer of a user's own that has a softmax somewhere made the output."""
    operation, _ = producer(output)
    softmax = getattr(operation, "activation", None) is keras.activations.softmax
    return softmax and _built_in(operation) is None


def _built_in(operation) -> type | None:
    """The built-in type that decides what an operation computes; None of others.

    A subclass counts as its base, unless it has a `call` of its own.
    """
    if "call" in vars(operation):
        return None
    for cls in type(operation).__mro__:
        if cls in _KNOWN:
            return cls
        if not _CALLS.isdisjoint(vars(cls)):
            break
    return None


def _ends_in(operation, function, types) -> bool:
    """Whether the last that an operation does is to apply an activation function."""
    kind = _built_in(operation)
    is_known = kind in _ENDING_IN_ACTIVATION
    return kind in types or (is_known and operation.activation is function)


def _before(tensor, function, types):
    """What the activation that made the tensor has got; the tensor without one."""
    operation, inputs = producer(tensor)
    # A second input is a mask, which changes what the activation computes.
    if len(inputs) != 1 or not _ends_in(operation, function, types):
        return tensor
    if is_only_activation(operation):
        return inputs[0]
    return BeforeActivation(operation)(*inputs)
