"""Puts published arrays into our nets: all of them, or none."""

import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from common.errors import wrong
from nets import registry
from nets.base import Net
from nets.published import keys as published_keys
from nets.published.torch_file import Tensor
from nets.wresnet import WResNet

_PLACES = ("model", "state_dict", "net")  # of the weights in a PyTorch file
_HEADS = ("fc.weight", "linear.weight", "classifier.weight", "classifier.0.weight")
_MAT_BLOCK = re.compile(r"BasicBlock0\.\d+/conv0/kernel:0")
_NUM_LISTED = 6


class Checkpoint(NamedTuple):
    """What a PyTorch file holds.

    Attributes:
        weights: key -> tensor.
        options: the settings of the training (an argparse.Namespace), if any.
    """

    weights: dict[str, Tensor]
    options: dict


def find(tree) -> Checkpoint:
    """Finds the weights in what `torch_file.read` returned.

    They are at the top or under `model`, `state_dict` or `net`. The prefix `module.` of
    nn.DataParallel is removed. `num_batches_tracked` is left out, because it decides
    nothing where batch normalisation has a momentum.

    Raises:
        ValueError: there are none.
    """
    top = tree if isinstance(tree, dict) else {}
    candidates = (top, *(top.get(place) for place in _PLACES))
    weights = next(filter(_is_state_dict, candidates), None)
    if weights is None:
        held = _listed([str(key) for key in top]) or f"a {type(tree).__name__}"
        raise wrong(
            "The file holds no weights",
            expected=f"a state_dict, alone or under {', '.join(_PLACES)}",
            received=held,
        )
    if all(key.startswith("module.") for key in weights):
        weights = {key.removeprefix("module."): weights[key] for key in weights}
    weights = {
        key: tensor
        for key, tensor in weights.items()
        if key.rpartition(".")[2] != "num_batches_tracked"
    }
    options = [vars(v) for v in top.values() if isinstance(v, types.SimpleNamespace)]
    return Checkpoint(weights, options[0] if options else {})


def _is_state_dict(candidate) -> bool:
    return (
        isinstance(candidate, dict)
        and bool(candidate)
        and all(isinstance(key, str) for key in candidate)
        and all(isinstance(value, Tensor) for value in candidate.values())
    )


def net_of_state_dict(name: str, weights: Mapping[str, Tensor], **kwargs) -> Net:
    """Builds the net of this name with the weights of a state_dict.

    Args:
        name: of `nets.build`.
        weights: key -> tensor, of `find`.
        **kwargs: `mean` and `std` of `nets.build`.

    Raises:
        ValueError: the name is unknown, or the weights are not those of such a net.
    """
    name = registry.canonical_name(name)
    heads = [weights[key].shape for key in _HEADS if key in weights]
    if len(heads) != 1 or len(heads[0]) != 2 or 0 in heads[0]:
        raise wrong(
            "The number of classes is unknown, because the file has no head",
            expected=f"a matrix called {' or '.join(_HEADS)}",
            received=_listed(list(weights)),
        )
    net = registry.build(name, heads[0][0], **kwargs)
    _assign(net, published_keys.of_state_dict(net), weights, _as_in_pytorch)
    return net


def net_of_mat(arrays: Mapping[str, np.ndarray], **kwargs) -> WResNet:
    """Builds the WResNet of the sseung0703 TensorFlow 2 repository, with its weights.

    https://github.com/sseung0703/Knowledge_distillation_via_TF2.0; depth, width and
    classes are read off the arrays.

    Args:
        arrays: name of the variable -> array, of `scipy.io.loadmat`.
        **kwargs: `mean` and `std` of `nets.build`.

    Raises:
        ValueError: the arrays are not those of such a net.
    """
    # [1, 1, 1, C], [1, C] and [C] are one thing; MATLAB knows no vectors.
    arrays = {name: _without_leading_ones(array) for name, array in arrays.items()}
    blocks = [name for name in arrays if _MAT_BLOCK.fullmatch(name)]
    head = arrays.get("fc/kernel:0", np.empty(0))
    if not blocks or head.ndim != 2 or head.shape[0] < 64:
        raise wrong(
            "The file holds no net of the sseung0703 TensorFlow 2 repository",
            expected="a WResNet: BasicBlock0.0/conv0/kernel:0, ..., fc/kernel:0",
            received=_listed(list(arrays)) or "nothing",
        )
    depth, width = 6 * len(blocks) + 4, head.shape[0] // 64
    net = WResNet(
        head.shape[1],
        depth=depth,
        width=width,
        shortcut="raw",
        padding="same",
        name=f"wrn_{depth}_{width}",
        **kwargs,
    )
    _assign(net, published_keys.of_mat(net), arrays, _without_leading_ones)
    return net


def _as_in_pytorch(ours: np.ndarray) -> np.ndarray:
    """A view of one of our variables with the axes of PyTorch."""
    if ours.ndim == 4:
        height, width, inputs, outputs = range(4)
        if ours.shape[outputs] == 1:  # depthwise: [H, W, C, 1]
            inputs, outputs = outputs, inputs
        return ours.transpose(outputs, inputs, height, width)
    return ours.T  # dense: [in, out] -> [out, in]


def _without_leading_ones(array: np.ndarray) -> np.ndarray:
    """A view of [1, 1, C] as [C], of [1, 1, I, O] as [I, O]."""
    shape = list(array.shape)
    while len(shape) > 1 and shape[0] == 1:
        del shape[0]
    return array.reshape(shape)


def _assign(
    net: Net,
    variables: Mapping[str, keras.Variable],
    weights: Mapping[str, Tensor | np.ndarray],
    as_published: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Sets the variables, by key; ValueError unless keys and shapes are the same.

    `as_published` gives a view of an array of ours with the axes that the file has.
    """
    values = {key: np.empty(v.shape, np.float32) for key, v in variables.items()}
    views = {key: as_published(value) for key, value in values.items()}
    misshapen = [
        f"{key} {weights[key].shape} instead of {view.shape}"
        for key, view in views.items()
        if key in weights and weights[key].shape != view.shape
    ]
    faults = {
        "missing": [key for key in variables if key not in weights],
        "unexpected": [key for key in weights if key not in variables],
        "misshapen": misshapen,
    }
    _refuse(net, faults)
    for key, view in views.items():
        array = weights[key]
        view[...] = array.array() if isinstance(array, Tensor) else array
    not_finite = [key for key in values if not np.isfinite(values[key]).all()]
    _refuse(net, {"not finite": not_finite})
    for key, variable in variables.items():
        variable.assign(values[key])


def _refuse(net: Net, faults: Mapping[str, Sequence[str]]) -> None:
    """Raises ValueError if there are any faults, with all of them in one line."""
    found = {fault: keys for fault, keys in faults.items() if keys}
    if found:
        words = [f"{len(k)} {fault} ({_listed(k)})" for fault, k in found.items()]
        raise wrong(
            f"The file does not hold the weights of {net.name}",
            expected="the published keys and shapes of this net",
            received="; ".join(words),
        )


def _listed(keys: Sequence[str]) -> str:
    """The first keys, and how many more there are."""
    rest = len(keys) - _NUM_LISTED
    more = [f"and {rest} more"] if rest > 0 else []
    return ", ".join([*keys[:_NUM_LISTED], *more])
