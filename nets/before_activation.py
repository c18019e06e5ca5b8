"""What a layer computes before its last activation: logits, and "_pre" taps."""

import keras


class BeforeActivation(keras.layers.Layer):
    """The result of a layer without its activation; shares the layer's weights."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(name=f"{layer.name}_logits", dtype=layer.dtype_policy)
        self.layer = layer
        self.built = True

    def call(self, inputs):
        """What the activation would get."""
        # The layer's own arithmetic, whatever kind of layer it is.
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(inputs)
        finally:
            self.layer.activation = activation


def producer(tensor):
    """The layer or operation that made a tensor, and the tensors that it got."""
    operation, node, _ = tensor._keras_history
    # Not operation.input: a layer that is used twice has several.
    return operation, operation._inbound_nodes[node].input_tensors


def _before(tensor, activation, layer_type):
    """What the activation that made the tensor has got; the tensor without one."""
    operation, inputs = producer(tensor)
    if isinstance(operation, layer_type):
        return inputs[0]
    if getattr(operation, "activation", None) is not activation:
        return tensor
    if isinstance(operation, keras.layers.Activation):
        return inputs[0]
    return BeforeActivation(operation)(*inputs)


def before_relu(tensor):
    """What the ReLU that made the tensor has got; the tensor without one."""
    return _before(tensor, keras.activations.relu, keras.layers.ReLU)


def logits_of(output):
    """What the softmax that made the output has got; the output without one."""
    operation, _ = producer(output)
    if getattr(operation, "activation", None) is keras.activations.sigmoid:
        raise ValueError(
            "The model ends in a sigmoid, so that its classes do not exclude each "
            "other. Expected a softmax, or logits. "
            f"Received: layer {operation.name!r}."
        )
    return _before(output, keras.activations.softmax, keras.layers.Softmax)
