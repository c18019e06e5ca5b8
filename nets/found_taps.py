"""What a Keras model shows without being written for it: taps, logits, head."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import keras

from nets import before_activation

# They end no stage, although their output may be the last of its size.
_NO_STAGES = (
    keras.layers.Dropout,
    keras.layers.InputLayer,
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
)


class Tapped(NamedTuple):
    """The tensors of a model's graph that are taps.

    Attributes:
        logits: the tensor that the softmax, if there is one, would get.
        taps: name -> tensor.
        layers: name -> name of the layer whose output it is, of those with one.
        norms: name -> the batch norm that made the tap, of "_pre" taps.
        head: the layer from the embedding to the logits, or None.
        has_softmax: whether the model ends in a softmax, which is left out.
    """

    logits: keras.KerasTensor
    taps: dict[str, keras.KerasTensor]
    layers: dict[str, str]
    norms: dict[str, keras.layers.BatchNormalization]
    head: keras.layers.Layer | None
    has_softmax: bool


def has_graph(model: keras.Model) -> bool:
    """Whether layers' outputs are known: Functional and Sequential models."""
    return bool(getattr(model, "inputs", None)) and hasattr(model, "get_layer")


def sized(model: keras.Model, image_shape) -> keras.Model:
    """The same layers as a model of images (H, W, C), where it took any size."""
    if None not in model.inputs[0].shape[1:3]:
        return model
    images = keras.Input(tuple(image_shape))
    # call, not __call__: the layers one by one, instead of the model as one layer.
    return keras.Model(images, model.call(images), name=model.name)


def find(model: keras.Model, taps: Mapping[str, str] | None = None) -> Tapped:
    """The taps of a Functional or Sequential model.

    Args:
        model: of one image of known size, with one output [B, num_classes].
        taps: tap name -> layer name; None takes the last layer of every resolution, as
            stage1, stage2, ... from the largest to the smallest.

    Returns:
        These taps; for each what its ReLU gets, or itself without one, as "NAME_pre";
        "last_map", the smallest map; "embedding", the vector in front of the dense
        head, or without such a head the mean of the last map.

    Raises:
        ValueError: there is no such layer, its output is no map and no vector, or a tap
            is called "logits".
    """
    outputs = _outputs(model)
    layers = dict(taps) if taps else _last_of_each_resolution(model, outputs)
    if "logits" in layers:
        raise ValueError(
            "The logits are no tap. Expected other names of taps. Received: "
            f"taps={layers}."
        )
    found = {tap: _output_of(model, outputs, name) for tap, name in layers.items()}
    norms = {}
    for name, tensor in tuple(found.items()):
        if f"{name}_pre" in layers:  # The user knows it better.
            continue
        found[f"{name}_pre"] = before = before_activation.before_relu(tensor)
        producer, _ = before_activation.producer(before)
        if isinstance(producer, keras.layers.BatchNormalization):
            norms[f"{name}_pre"] = producer
    logits = before_activation.logits_of(model.outputs[0])
    maps = [x for x in found.values() if len(x.shape) == 4]
    if maps:
        found.setdefault("last_map", min(maps, key=lambda x: x.shape[1]))
    head, embedding = _head(logits)
    if head is None and maps:  # its head is no dense layer
        embedding = keras.layers.GlobalAveragePooling2D()(found["last_map"])
    if embedding is not None:
        found.setdefault("embedding", embedding)
    return Tapped(logits, found, layers, norms, head, logits is not model.outputs[0])


def _outputs(model) -> dict[str, keras.KerasTensor]:
    """Layer name -> its output; of one that is used again, the last.

    Not layer.output: a layer that another model has, too, may have begun there.
    """
    nodes = (getattr(model, "_functional", None) or model)._nodes_by_depth
    return {
        node.operation.name: node.outputs[0] if len(node.outputs) == 1 else node.outputs
        for depth in sorted(nodes, reverse=True)
        for node in nodes[depth]
    }


def _output_of(model, outputs, name: str):
    names = [layer.name for layer in model.layers]
    if name not in names:
        inside = [x.name for x in model.layers if name in _names_inside(x)]
        hint = [f" It is inside the model {x!r}, which is one layer." for x in inside]
        raise ValueError(
            f"The model has no such layer.{''.join(hint)} Expected one of "
            f"{', '.join(names)}. Received: {name!r}."
        )
    tensor = outputs[name]
    if not isinstance(tensor, keras.KerasTensor) or len(tensor.shape) not in (2, 4):
        raise ValueError(
            "A tap is one map [B, H, W, C] or one vector [B, D]. Expected a layer with "
            f"such an output. Received: {name!r} with {tensor}."
        )
    return tensor


def _names_inside(layer) -> list[str]:
    """Names of the layers that a model inside a model has."""
    return [inner.name for inner in getattr(layer, "layers", ())]


def _last_of_each_resolution(model, outputs) -> dict[str, str]:
    """Layer names by stage; sizes that round to one halving are one resolution."""
    height = model.inputs[0].shape[1]
    last = {}  # number of halvings -> layer name
    for layer in model.layers:
        tensor = outputs.get(layer.name)
        is_map = isinstance(tensor, keras.KerasTensor) and len(tensor.shape) == 4
        if not is_map or isinstance(layer, _NO_STAGES):
            continue
        if min(tensor.shape[1:3]) > 1:
            last[round(math.log2(height / tensor.shape[1]))] = layer.name
    return {f"stage{i}": last[n] for i, n in enumerate(sorted(last), 1)}


def _head(logits):
    """The layer that made the logits of one vector, and this vector; or None, None."""
    operation, inputs = before_activation.producer(logits)
    while _is_linear(operation):
        operation, inputs = before_activation.producer(inputs[0])
    is_layer = isinstance(operation, keras.layers.Layer)
    if not is_layer or isinstance(operation, keras.Model) or len(inputs) != 1:
        return None, None
    return (operation, inputs[0]) if len(inputs[0].shape) == 2 else (None, None)


def _is_linear(operation) -> bool:
    linear = getattr(operation, "activation", None) is keras.activations.linear
    return linear and isinstance(operation, keras.layers.Activation)
