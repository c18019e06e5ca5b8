"""A small model of the same graph: all widths times a factor."""

import contextlib
import copy
import random

import keras
from keras import tree

from nets import width_axes, width_rules, width_rules_of_ops, widths
from nets.width_axes import Axes, Call, axes_in, of_shape


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
        raise ValueError(
            "The width is no share of the model's. Expected a number greater than 0, "
            f"at most 1. Received: width={width!r}."
        )
    graph = _graph_of(model)
    _check_ends(model, graph)
    traced = _Traced()
    for output in traced.run(model, [of_shape(x.shape) for x in graph.inputs]):
        width_axes.hold(output)
    traced.check_given()
    with _seeded(seed):
        return _Builder(traced, width).model(model, name or f"{model.name}_narrow")


def _graph_of(model) -> keras.Model:
    """The Functional model in a model; ValueError if it is none of layers."""
    inner = getattr(model, "_functional", None) or model
    kind = type(model)
    if isinstance(model, keras.Sequential) and inner is model:
        raise ValueError(
            "The model's sizes are not known yet. Expected one that is built: call it, "
            f"or begin with keras.Input. Received: model={model.name!r}."
        )
    if hasattr(inner, "_nodes_by_depth") and _is_built_in(kind):
        return inner
    way = "a Functional or Sequential model of built-in layers"
    if hasattr(inner, "_nodes_by_depth"):
        way = "keras.Model(model.inputs, model.outputs), which has its layers alone"
    raise ValueError(
        f"Only a graph of Keras' own layers can be narrowed. Expected {way}. "
        f"Received: model={model.name!r}, a {kind.__name__}."
    )


def _check_ends(model, graph) -> None:
    """Raises ValueError for a model without a head, whose last maps would stay."""
    maps = [tuple(x.shape) for x in graph.outputs if len(x.shape) > 2]
    if maps:
        raise ValueError(
            "The model has no head, and what it ends in would keep its width. Expected "
            "one with an output (None, classes): add pooling and a Dense layer first. "
            f"Received: model={model.name!r} with an output {maps[0]}."
        )


def _is_built_in(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "keras"


def _nodes(graph):
    """The graph's calls in an order in which they can be computed."""
    nodes = graph._nodes_by_depth
    for depth in sorted(nodes, reverse=True):
        for node in nodes[depth]:
            if not node.is_input:
                yield node


class _Traced:
    """What is known of all axes of a model's graph.

    Attributes:
        numbers: id of a layer or operation -> what of its configuration changes.
        inputs: id of a model -> the axes of what it gets.
    """

    def __init__(self):
        self.numbers, self.inputs = {}, {}

    def check_given(self) -> None:
        """Raises ValueError if numbers for each channel meet channels that change."""
        for op, size in self.numbers.get("given", ()):
            if not size.is_fixed:
                raise ValueError(
                    "The graph holds numbers for each channel. Expected a layer with "
                    f"weights instead. Received: {_called(op)} with {size.number} "
                    "numbers."
                )

    def run(self, model, inputs: list[Axes]) -> list[Axes]:
        """The axes of a model's outputs, for those of its inputs."""
        graph = _graph_of(model)
        before = self.inputs.setdefault(id(model), inputs)
        for one, other in zip(before, inputs, strict=True):
            for mine, its in zip(one.sizes, other.sizes, strict=True):
                if mine is not None and its is not None and mine.number == its.number:
                    widths.equate(mine, its)
        found = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for node in _nodes(graph):
            args, kwargs = node.arguments.fill_in(found)
            outputs = self._call(node.operation, args, kwargs, node.outputs)
            found |= zip(map(id, node.outputs), outputs, strict=True)
        return [found[id(x)] for x in graph.outputs]

    def _call(self, op, args, kwargs, outputs) -> list[Axes]:
        shapes = [tuple(x.shape) for x in outputs]
        call = Call(op, args, kwargs, shapes, self.numbers)
        try:
            if isinstance(op, keras.Model):
                found = self.run(op, axes_in((args, kwargs)))
                return [_filled(*pair) for pair in zip(found, shapes, strict=True)]
            found = _rule(call)(call)
        except widths.Clash as clash:
            raise ValueError(
                f"The width of a layer cannot be derived: {clash}. Expected one whose "
                "output follows from its inputs' channels. Received: "
                f"{_called(op)}."
            ) from None
        return [found] if isinstance(found, Axes) else list(found)


def _filled(axes: Axes, shape) -> Axes:
    """A model of images of any size says less of its outputs than one knows outside."""
    sizes = zip(axes.sizes, of_shape(shape).sizes, strict=True)
    return Axes(tuple(known if size is None else size for size, known in sizes))


def _called(op) -> str:
    return f"layer {op.name!r}, a {type(op).__name__}"


def _rule(call: Call):
    kind = type(call.op)
    if kind in width_rules.LAYERS:
        return width_rules.LAYERS[kind]
    if _is_built_in(kind):
        inside = ".applications." in kind.__module__
        names = width_rules.INSIDE_APPLICATIONS if inside else width_rules_of_ops.OPS
        if (inside or ".ops." in kind.__module__) and kind.__name__ in names:
            return names[kind.__name__]
        # Augmentation, for one: what reads the images, or nothing that changes.
        is_layer = isinstance(call.op, keras.layers.Layer)
        plain = not is_layer or not call.op.weights
        plain = plain and not isinstance(call.op, keras.layers.Lambda)
        if plain and all(axes.is_fixed for axes in call.tensors):
            return lambda call: [of_shape(shape) for shape in call.shapes]
        raise widths.Clash("of its kind nothing is known")
    raise ValueError(
        "The model has a layer that is not built into Keras, of whose width nothing is "
        f"known. Expected built-in layers alone. Received: {_called(call.op)}."
    )


class _Builder:
    """Makes the new layers, each once, and calls them as the old ones were."""

    def __init__(self, traced: _Traced, factor: float):
        self._traced, self._factor, self._made = traced, factor, {}

    def model(self, model, name: str) -> keras.Model:
        """The new model."""
        graph = _graph_of(model)
        axes = self._traced.inputs[id(model)]
        inputs = [
            self._input(x, sizes) for x, sizes in zip(graph.inputs, axes, strict=True)
        ]
        if type(model) is keras.Sequential:
            new = keras.Sequential(inputs, name=name)
            for layer in model.layers:
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
        for node in _nodes(graph):
            args, kwargs = node.arguments.fill_in(found)
            if kwargs.get("training", True) is False:  # as a frozen model is called
                del kwargs["training"]
            op = self._new(node.operation)
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
        if isinstance(op, keras.Model):
            return self.model(op, op.name)
        sizes = self._traced.numbers.get(id(op), {})
        try:
            changes = {name: self._chosen(size) for name, size in sizes.items()}
        except widths.Clash as clash:
            raise ValueError(
                f"A width does not come out whole: {clash}. Expected another width. "
                f"Received: width={self._factor:g} for {_called(op)}."
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
