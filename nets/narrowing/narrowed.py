"""A small model of the same graph: all widths times a factor."""

import contextlib
import copy
import random

import keras
from keras import tree

from common.errors import wrong
from nets.brought import keras_errors
from nets.brought.opened import calls, functional
from nets.narrowing import axes as width_axes
from nets.narrowing import widths
from nets.narrowing.axes import Axes, of_shape
from nets.narrowing.tracing import (
    Traced,
    called,
    has_graph,
    is_built_in,
)


def narrow(
    model: keras.Model,
    width: float = 0.5,
    *,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """A student to begin with: the model with fewer channels everywhere.

    Filters, units, and the keys of attention are multiplied by `width` and rounded as
    `widths.scaled` says; all else follows: depthwise convolutions, normalisations,
    reshapes to so many channels, sums, concatenations, models inside the model. Inputs
    and outputs keep their shapes, and layers their names. What has been measured of
    the data (`Normalization`) stays; all other weights are fresh and trained, also
    where the model's are frozen or called with training=False.

    Args:
        model: Functional or Sequential, of layers that Keras has built in.
        width: greater than 0, at most 1.
        seed: of the fresh weights; None draws them. Initialisers with a seed of their
            own keep it.
        name: of the new model; None takes the model's with "_narrow".

    Returns:
        A model that shares nothing with the other, not compiled.

    Raises:
        ValueError: the model has a layer that is not built in, or one whose width
            cannot be derived; or `width` is out of its range.
    """
    if isinstance(width, bool) or not 0 < width <= 1:
        raise wrong(
            "The width is no share of the model's",
            expected="a number greater than 0, at most 1",
            received=f"{width=}",
        )
    _check_is_graph(model)
    graph = functional(model)
    _check_ends(model, graph)
    traced = Traced()
    for output in traced.run(model, [of_shape(x.shape) for x in graph.inputs]):
        width_axes.hold(output)
    traced.check_given()
    with _seeded(seed):
        small = _Builder(traced, width).model(model, name or f"{model.name}_narrow")
    for old, new in zip(graph.outputs, small.outputs, strict=True):
        if old.shape != new.shape:
            raise wrong(
                "The narrow model ends otherwise",
                expected=f"an output of {old.shape}",
                received=new.shape,
            )
    return small


def _check_is_graph(model) -> None:
    """Raises ValueError unless it is a Functional or Sequential model of Keras' own."""
    kind = type(model)
    is_graph = hasattr(functional(model), "_nodes_by_depth")
    if isinstance(model, keras.Sequential) and not is_graph:
        raise wrong(
            "The model's sizes are not known yet",
            expected="one that is built: call it, or begin with keras.Input",
            model=model.name,
        )
    if not is_graph or not is_built_in(kind):
        way = "a Functional or Sequential model of built-in layers"
        if is_graph:
            way = "keras.Model(model.inputs, model.outputs), which has its layers alone"
        raise wrong(
            "Only a graph of Keras' own layers can be narrowed",
            expected=way,
            received=f"model={model.name!r}, a {kind.__name__}",
        )


def _check_ends(model, graph) -> None:
    """Raises ValueError for a model without a head, whose last maps would stay."""
    maps = [tuple(x.shape) for x in graph.outputs if len(x.shape) > 2]
    if maps:
        raise wrong(
            "The model has no head, and what it ends in would keep its width",
            expected="one with an output (None, classes): add pooling and a Dense "
            "layer first",
            received=f"model={model.name!r} with an output {maps[0]}",
        )


class _Builder:
    """Makes the new layers, each once, and calls them as the old ones were."""

    def __init__(self, traced: Traced, factor: float):
        self._traced, self._factor = traced, factor
        self._made: dict[int, keras.Operation] = {}  # id of the old one -> the new

    def model(self, model, name: str) -> keras.Model:
        """The new model."""
        graph = functional(model)
        axes = self._traced.inputs[id(model)]
        inputs = [
            self._input(x, sizes) for x, sizes in zip(graph.inputs, axes, strict=True)
        ]
        if type(model) is keras.Sequential:
            new = keras.Sequential(inputs, name=name)
            for layer in model.layers:
                with _named(layer):
                    new.add(self._new(layer))
                self._keep_measured(layer, self._new(layer))
        else:
            new = self._functional(graph, inputs, name)
        new.dtype_policy = model.dtype_policy
        return new

    def _input(self, tensor, axes: Axes):
        config = tensor._keras_history.operation.get_config()
        sizes = zip(tensor.shape, axes.sizes, strict=True)
        shape = [None if n is None else self._chosen(size) for n, size in sizes]
        return keras.layers.InputLayer(**{**config, "batch_shape": shape}).output

    def _functional(self, graph, inputs, name: str) -> keras.Model:
        found = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for node in calls(graph):
            args, kwargs = node.arguments.fill_in(found)
            if kwargs.get("training", True) is False:  # as a frozen model is called
                del kwargs["training"]
            op = self._new(node.operation)
            with _named(op):
                outputs = tree.flatten(op(*args, **kwargs))
            found |= zip(map(id, node.outputs), outputs, strict=True)
            self._keep_measured(node.operation, op)
        structures = graph._inputs_struct, graph._outputs_struct
        ends = [tree.map_structure(lambda x: found[id(x)], s) for s in structures]
        return keras.Model(*ends, name=name)

    def _new(self, op):
        """The new layer or operation for an old one."""
        if id(op) not in self._made:
            self._made[id(op)] = self._make(op)
        return self._made[id(op)]

    def _make(self, op):
        if has_graph(op):
            return self.model(op, op.name)
        sizes = self._traced.numbers.get(id(op), {})
        try:
            changes = {name: self._chosen(size) for name, size in sizes.items()}
        except widths.Clash as clash:
            raise wrong(
                f"A width does not come out whole: {clash}",
                expected="another width",
                received=f"width={self._factor:g} for {called(op)}",
            ) from None
        if isinstance(op, keras.layers.Layer):
            trained = {"trainable": True} if "trainable" in op.get_config() else {}
            return type(op).from_config({**op.get_config(), **trained, **changes})
        if changes:
            return type(op)(**changes, name=op.name)
        new = copy.copy(op)
        new._inbound_nodes, new._outbound_nodes = [], []
        return new

    def _chosen(self, size):
        if isinstance(size, tuple):
            return tuple(map(self._chosen, size))
        return size.chosen(self._factor) if isinstance(size, widths.Size) else size

    @staticmethod
    def _keep_measured(old, new) -> None:
        if isinstance(old, keras.layers.Normalization):
            new.set_weights(old.get_weights())
            new.finalize_state()


@contextlib.contextmanager
def _named(op):
    """Keras' errors name many things, in many lines."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The narrow model does not fit together. Expected layers whose channels "
            f"follow from those before. Received: {called(op)}: "
            f"{keras_errors.line_of(error)}"
        ) from error


@contextlib.contextmanager
def _seeded(seed: int | None):
    """Keras draws the seeds of fresh layers from Python's own generator."""
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
