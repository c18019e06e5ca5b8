"""What a Keras model shows without being written for it: taps, logits, head."""

import difflib
from collections.abc import Mapping
from typing import NamedTuple

import keras

from common.errors import wrong
from nets.brought import before_activation, preprocessing
from nets.brought.opened import Graph
from nets.brought.stages import Stages


class Saved(dict):
    """Taps of a net that was saved: accepted before, and taken as they are."""


class Tapped(NamedTuple):
    """The tensors of a model's graph that are taps.

    Attributes:
        logits: the tensor that the softmax, if there is one, would get.
        taps: name -> tensor.
        layers: name -> name of the layer whose output it is, of those with one.
        norms: name -> the batch norm that made the tap, of "_pre" taps.
        head: the layer from the embedding to the logits, or None.
        has_softmax: whether the model ends in a softmax, which is left out.
        why_no_maps: why no map is a tap, or "".
        notes: what a user should know.
    """

    logits: keras.KerasTensor
    taps: dict[str, keras.KerasTensor]
    layers: dict[str, str]
    norms: dict[str, keras.layers.BatchNormalization]
    head: keras.layers.Layer | None
    has_softmax: bool
    why_no_maps: str = ""
    notes: tuple[str, ...] = ()


def find(
    graph: Graph,
    taps: Mapping[str, str] | None = None,
    *,
    any_layer_is_head: bool = False,
) -> Tapped:
    """The taps of a Functional or Sequential model.

    Args:
        graph: of a model of one image of known size, with one output [B, num_classes].
        taps: tap name -> layer name, "inner/layer" inside a model; None takes the ends
            of the stages (`stages.Stages`) as stage1, stage2, ... from the largest map
            to the smallest.
        any_layer_is_head: whether the last layer is the head even if it only scales or
            drops logits, as in files of before, whose weights are found by it.

    Returns:
        These taps; for each what its ReLU gets, or itself without one, as "NAME_pre";
        "last_map", the smallest map; "embedding", the vector that the last dense layer
        gets, or without such a layer the mean of the last map.

    Raises:
        ValueError: there is no such layer, its output is no map and no vector, or
            pixels still, or patches of them that become tokens; or a tap is called
            "logits".
    """
    stages = Stages(graph)
    layers = dict(taps) if taps else stages.layers
    if "logits" in layers:
        raise wrong(
            "The logits are no tap", expected="other names of taps", taps=layers
        )
    found = {tap: _output_of(graph, name) for tap, name in layers.items()}
    if not isinstance(taps, Saved):
        for tap, tensor in found.items():
            _check_shows_more_than_pixels(stages, tap, layers[tap], tensor)
    # A model inside is its last layer.
    names = {id(x): step.name for step in graph.steps for x in step.outputs}
    layers = {tap: names.get(id(x), layers[tap]) for tap, x in found.items()}
    norms = {}
    for name, tensor in tuple(found.items()):
        if f"{name}_pre" in layers:  # The user knows it better.
            continue
        found[f"{name}_pre"] = before = before_activation.before_relu(tensor)
        producer, _ = before_activation.producer(before)
        if isinstance(producer, keras.layers.BatchNormalization):
            norms[f"{name}_pre"] = producer
    output = graph.outputs[0]
    logits = before_activation.logits_of(output)
    maps = [x for x in found.values() if len(x.shape) == 4]
    notes = graph.notes
    if maps:
        last = found.setdefault("last_map", min(maps, key=lambda x: x.shape[1]))
        goes_on = stages.tokens_after(last)
        notes += (_GOES_ON_IN_TOKENS,) if goes_on else ()
    head, embedding = _head(logits, any_layer_is_head)
    if embedding is None and maps and not goes_on:  # its head is no dense layer
        # Keras' own name for it may be that of a layer that a file brought.
        mean = keras.layers.GlobalAveragePooling2D(name="mean_of_last_map")
        embedding = mean(last)
    if embedding is not None:
        found.setdefault("embedding", embedding)
    return Tapped(
        logits,
        found,
        layers,
        norms,
        head,
        logits is not output,
        "" if maps else stages.why_no_maps,
        notes,
    )


_GOES_ON_IN_TOKENS = (
    "after its last map the model goes on in tokens, which are no taps yet: its "
    "stages are those of its convolutions"
)


def _output_of(graph: Graph, name: str):
    tensors = graph.tensors()
    if name not in tensors:
        ends = [known for known in tensors if known.endswith(f"/{name}")]
        hint = f" It is inside a model: {', '.join(ends)}." if ends else ""
        hint += "".join(
            f" It is inside {step.name!r}, which is one layer, as its graph is not "
            "all that it computes or it is used twice: build it on the outer input."
            for step in graph.steps
            if name in _names_inside(step.operation)
        )
        raise ValueError(
            f"The model has no such layer.{hint} Expected one of "
            f"{_some(tensors, name)}. Received: {name!r}."
        )
    tensor = tensors[name]
    if len(tensor.shape) not in (2, 4):
        raise wrong(
            "A tap is one map [B, H, W, C] or one vector [B, D], and tokens are not "
            "supported yet",
            expected="a layer with such an output",
            received=f"{name!r} with {tensor}",
        )
    return tensor


def _some(names, like: str) -> str:
    """All names, or of a big model's those that are alike, or else its last ones."""
    if len(names) <= 40:
        return ", ".join(names)
    alike = difflib.get_close_matches(like, names, n=20, cutoff=0.4)
    shown = ", ".join(alike or list(names)[-20:])
    return f"the model's {len(names)} layers, such as {shown}"


def _names_inside(layer) -> list[str]:
    """Names of the layers that a model inside a model has."""
    return [inner.name for inner in getattr(layer, "layers", ())]


def _check_shows_more_than_pixels(stages, tap: str, layer: str, tensor) -> None:
    if id(tensor) in stages.pixels:
        raise wrong(
            "Preprocessing is no tap: the layer's output is pixels still, which no "
            "weights have seen",
            expected="a layer behind it",
            received=f"{tap}={layer}",
        )
    if stages.is_linear_patch(tensor):
        raise wrong(
            "Patches of pixels are no tap: tokens are not supported yet, and what the "
            "model does before them is linear",
            expected="no taps, which leaves its embedding and logits",
            received=f"{tap}={layer}",
        )


def _head(logits, any_layer: bool):
    """The layer that made the logits of one vector, and this vector.

    Where logits are scaled, normalised or dropped after that layer, it is None: by
    itself it does not make them. Without such a layer both are.
    """
    operation, inputs = before_activation.producer(logits)
    makes_logits = True
    while _is_linear(operation) or (not any_layer and _only_scales(logits)):
        makes_logits = makes_logits and _is_linear(operation)
        (logits,) = inputs
        operation, inputs = before_activation.producer(logits)
    is_layer = isinstance(operation, keras.layers.Layer)
    if not is_layer or isinstance(operation, keras.Model) or len(inputs) != 1:
        return None, None
    if len(inputs[0].shape) != 2:
        return None, None
    return operation if makes_logits else None, inputs[0]


def _is_linear(operation) -> bool:
    linear = getattr(operation, "activation", None) is keras.activations.linear
    return linear and isinstance(operation, keras.layers.Activation)


def _only_scales(tensor) -> bool:
    """Whether no matrix made it of a vector as long: a temperature, norm or dropout."""
    operation, inputs = before_activation.producer(tensor)
    same = len(inputs) == 1 and inputs[0].shape == tensor.shape
    mixes = any(len(v.shape) > 1 for v in preprocessing.weights(operation))
    return same and len(tensor.shape) == 2 and not mixes
