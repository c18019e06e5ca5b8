"""Models in `.h5` files, as Keras 3 wrote them and as Keras 2 did."""

import copy
import json
import pathlib
import tempfile
from collections.abc import Iterator

import h5py
import keras

from common.errors import wrong

# What Keras 2 wrote of layers and Keras 3 does not take: class -> key -> the values
# with which the layer computes the same without it; None: it never counts.
_ONE, _NONE = (1,), (None,)
_UNUSED = {
    "Conv2DTranspose": {"groups": _ONE},
    "DepthwiseConv2D": {"groups": _ONE},
    "SeparableConv2D": {
        "groups": _ONE,
        "kernel_initializer": None,
        "kernel_regularizer": _NONE,
        "kernel_constraint": _NONE,
    },
    "SpatialDropout2D": {"noise_shape": _NONE, "trainable": None},
    **{
        f"Random{name}": {"rng_type": None}
        for name in (
            *("Brightness", "Contrast", "Crop", "Flip", "Height", "Rotation"),
            *("Translation", "Width", "Zoom"),
        )
    },
}

_ENDS = ("input_layers", "output_layers")


def load(path: pathlib.Path, config: dict) -> keras.Model:
    """Reads a model, not compiled.

    Args:
        path: of the file, which need not end in `.h5`.
        config: what it says of the model.

    Raises:
        ValueError: the weights are stored in another order than the layers have.
    """
    readable = as_keras_3_reads(config)
    if readable == config and path.suffix in (".h5", ".hdf5"):
        model = keras.saving.load_model(path, compile=False)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "model.h5")
            with h5py.File(path) as old, h5py.File(file, "w") as new:
                old.copy("model_weights", new)
                new.attrs["model_config"] = json.dumps(readable).encode()
            model = keras.saving.load_model(file, compile=False)
    _check_order(path, model)
    return model


def as_keras_3_reads(config: dict) -> dict:
    """The configuration of the same model without what only Keras 2 knew.

    Names with "/", which Keras 3 refuses, have "_" instead; an inner model gives its
    one output, not a list of it.
    """
    config = copy.deepcopy(config)
    for layer in _entries(config):
        inner = layer["config"]
        for key, values in _UNUSED.get(layer["class_name"], {}).items():
            if key in inner and (values is None or inner[key] in values):
                del inner[key]
        if "layers" in inner:
            _mend_graph(inner)
            for end in _ENDS:
                if len(inner.get(end, ())) == 1 and isinstance(inner[end][0], list):
                    inner[end] = inner[end][0]
    return config


def _entries(config) -> Iterator[dict]:
    """The model, its layers, and theirs."""
    if isinstance(config, dict) and isinstance(config.get("config"), dict):
        yield config
        for layer in config["config"].get("layers", ()):
            yield from _entries(layer)


def _mend_graph(model: dict) -> None:
    """Changes names of layers, and numbers of calls, as a model's graph has them."""
    for layer in model["layers"]:
        for place in (layer, layer.get("config", {})):
            if isinstance(place.get("name"), str):
                place["name"] = _plain(place["name"])
    inside = [layer.get("inbound_nodes") for layer in model["layers"]]
    ends = list(_references([model.get(end) for end in _ENDS]))
    references = [*_references(inside), *ends]
    for reference in references:
        reference[0] = _plain(reference[0])
    # A model's own inside is its first call in Keras 2. In Keras 3 it is none, but
    # Keras reads the ends of a graph as if it were one of a Functional model.
    models = {
        layer.get("name"): layer["class_name"] != "Sequential"
        for layer in model["layers"]
        if "layers" in layer["config"]
    }
    for name, is_functional in models.items():
        to_it = [reference for reference in references if reference[0] == name]
        calls = sorted({reference[1] for reference in to_it})
        for reference in to_it:
            is_end = any(reference is end for end in ends)
            reference[1] = calls.index(reference[1]) + (is_functional and is_end)


def _references(node) -> Iterator[list]:
    """The [layer, call, output, ...] of a graph."""
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            yield node
        for part in node:
            yield from _references(part)
    elif isinstance(node, dict):
        for part in node.values():
            yield from _references(part)


def _plain(name: str) -> str:
    return name.replace("/", "_")


def _check_order(path: pathlib.Path, model: keras.Model) -> None:
    """Weights are read in the layers' order: it must be that of their names."""
    with h5py.File(path) as file:
        group = file["model_weights"]
        names = [
            name.decode() if isinstance(name, bytes) else name
            for name in _listed(group, "layer_names")
        ]
        stored = [
            _plain(n) for n in names if len(group[n].attrs.get("weight_names", ()))
        ]
    layers = [layer.name for layer in model.layers if layer.weights]
    if sorted(stored) == sorted(layers) and stored != layers:
        raise wrong(
            "The weights lie in another order than the layers",
            expected="the model saved as .keras where it was built",
            received=f"{path} with {stored[0]}, ... for {layers[0]}, ...",
        )


def _listed(group, name: str) -> list:
    """A list among a group's attributes, which Keras cuts in parts if it is long."""
    if name in group.attrs:
        return list(group.attrs[name])
    parts = []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(list(group.attrs[f"{name}{len(parts)}"]))
    return [entry for part in parts for entry in part]
