"""A Keras model's graph with the models inside it opened: every layer has a name."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import keras

from nets.brought import model_state

# Where a model's call is Keras' own, its graph is all that it computes.
_OWN_CALLS = ("keras.src.models.functional", "keras.src.models.sequential")


class Step(NamedTuple):
    """One use of a layer or operation.

    Attributes:
        name: of the layer, "inner/layer" inside a model, at any depth; a layer that is
            used k times is "layer@1", "layer@2", ..., and last "layer".
        operation: the layer or operation.
        inputs: the tensors that it got.
        outputs: the tensors that it made.
        arguments: its call's `args` and `kwargs`, constants included.
    """

    name: str
    operation: keras.Operation
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]
    arguments: object


@dataclasses.dataclass(frozen=True)
class Graph:
    """What a Functional or Sequential model computes.

    Attributes:
        inputs: the images.
        outputs: what the model returns.
        steps: in an order in which they can be computed, without the input layers.
        models: name of a model inside -> its output.
        named_outputs: what a model calls its stages (KerasHub's `pyramid_outputs`).
        notes: what a user should know.
    """

    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]
    steps: tuple[Step, ...]
    models: dict[str, keras.KerasTensor]
    named_outputs: dict[str, keras.KerasTensor]
    notes: tuple[str, ...] = ()

    def tensors(self) -> dict[str, keras.KerasTensor]:
        """Name -> output, of steps and inner models with one."""
        found = {s.name: s.outputs[0] for s in self.steps if len(s.outputs) == 1}
        return {**self.models, **found}

    def model(self, outputs, name: str) -> keras.Model:
        """A model from the images to tensors of the graph, or made of them."""
        with _unique_names([step.operation for step in self.steps]):
            return keras.Model(self.inputs, outputs, name=name)


def has_graph(model: keras.Model) -> bool:
    """Whether layers' outputs are known: Functional and Sequential models."""
    return bool(getattr(model, "inputs", None)) and hasattr(model, "get_layer")


def operations(model: keras.Model) -> list[keras.Operation]:
    """The layers and operations of a model's own graph, a model inside as one."""
    return list(functional(model).operations)


def opened(model: keras.Model, image_shape=None) -> Graph:
    """The graph of a model of one image.

    A model inside it (transfer learning, KerasHub's classifiers) is opened wherever
    its graph is all that it computes: its layers become steps. A model that is used
    more than once, or that has a `call` of its own, stays one step. Layers are shared,
    so that a frozen one stays frozen.

    Args:
        model: as `has_graph` says.
        image_shape: (H, W, C), for a model that takes any size.
    """
    given = model.inputs[0]
    unknown = image_shape is not None and None in given.shape[1:3]
    found = _Found()
    if unknown or any(_opens(layer) for layer in model.layers):
        shape = tuple(image_shape) if unknown else given.shape[1:]
        images = keras.Input(batch_shape=(given.shape[0], *shape), dtype=given.dtype)
        outputs = _replayed(model, images, "", found)
        with _unique_names(found.operations):
            flat = keras.Model(images, outputs)
    else:
        found.add_named_outputs(model, {id(x): x for x in _tensors(model)})
        flat = model
    return Graph(
        inputs=list(flat.inputs),
        outputs=list(flat.outputs),
        steps=_steps(flat, found.names),
        models=found.models,
        named_outputs=found.named_outputs,
        notes=tuple(found.notes),
    )


class _Found:
    """What is met on the way through a model and the models inside it."""

    def __init__(self):
        self.names, self.models, self.named_outputs = {}, {}, {}
        self.notes, self.operations = [], []

    def add_named_outputs(self, model, tensors):
        """Notes the model's own named outputs; `tensors`: id -> the replayed one."""
        # A dict in KerasHub; anything else of that name is not for us.
        outputs = getattr(model, "pyramid_outputs", None)
        for name, tensor in outputs.items() if isinstance(outputs, dict) else ():
            if id(tensor) in tensors:
                self.named_outputs[name] = tensors[id(tensor)]


def functional(model: keras.Model) -> keras.Model:
    """The Functional model that a Sequential one is, too; of another the model."""
    return getattr(model, "_functional", None) or model


def calls(model: keras.Model) -> list:
    """The graph's calls in an order in which they can be computed, without inputs."""
    by_depth = functional(model)._nodes_by_depth
    depths = sorted(by_depth, reverse=True)
    return [n for depth in depths for n in by_depth[depth] if not n.is_input]


def _tensors(model):
    return [tensor for node in calls(model) for tensor in node.outputs]


def _opens(layer) -> bool:
    is_plain = isinstance(layer, keras.Model) and has_graph(layer)
    return is_plain and (
        not model_state.has_own_call(layer)
        and type(layer).call.__module__ in _OWN_CALLS
        and hasattr(functional(layer), "_nodes_by_depth")
        and len(layer.inputs) == len(functional(layer).outputs) == 1
    )


def _replayed(model, images, prefix: str, found: _Found) -> list[keras.KerasTensor]:
    """The model's outputs for symbolic images, layer by layer."""
    graph = functional(model)
    nodes = calls(model)
    uses = [id(node.operation) for node in nodes]
    tensors = {id(graph.inputs[0]): _as(graph.inputs[0], images)}
    for node in nodes:
        operation = node.operation
        name = prefix + operation.name
        args, kwargs = node.arguments.fill_in(tensors)
        if _opens(operation) and uses.count(id(operation)) == 1:
            (inner,) = (x for x in keras.tree.flatten(args) if _is_symbolic(x))
            outputs = _replayed(operation, inner, f"{name}/", found)
            found.models[name] = outputs[0]
            found.notes += _notes(operation, name, kwargs)
        else:
            outputs = keras.tree.flatten(operation(*args, **kwargs))
            found.names[_key(outputs[0])] = name
            found.operations.append(operation)
        tensors.update(zip(map(id, node.outputs), outputs, strict=True))
    found.add_named_outputs(model, tensors)
    return [tensors[id(output)] for output in graph.outputs]


def _notes(model, name, kwargs) -> list[str]:
    moves = any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for layer in model._flatten_layers()
    )
    if kwargs.get("training") is not False or not moves:
        return []
    # Functional.call hands its own `training` to every layer, whatever was recorded.
    return [
        f"{name} is called with training=False, which Keras overrides when the whole "
        f"model trains: its batch norms move; {name}.trainable = False keeps them"
    ]


def _as(expected, tensor):
    """A tensor in the precision in which a model takes it."""
    same = tensor.dtype == expected.dtype
    return tensor if same else keras.ops.cast(tensor, expected.dtype)


def _is_symbolic(value) -> bool:
    return isinstance(value, keras.KerasTensor)


@contextlib.contextmanager
def _unique_names(operations) -> Iterator[None]:
    """Meanwhile no two have one name, as a layer inside and one outside may.

    Keras looks at names when a model is made of layers, and refuses equal ones.
    """
    own = {id(operation): (operation, operation.name) for operation in operations}
    taken = set()
    try:
        for operation, name in own.values():
            if name in taken:
                operation.name = f"{name}_{id(operation)}"
            taken.add(name)
        yield
    finally:
        for operation, name in own.values():
            if operation.name != name:
                operation.name = name


def _key(tensor):
    operation, node, _ = tensor._keras_history
    return id(operation), node


def _steps(model, names) -> tuple[Step, ...]:
    nodes = calls(model)
    full = [names.get(_key(n.outputs[0]), n.operation.name) for n in nodes]
    steps = []
    for i, (node, name) in enumerate(zip(nodes, full, strict=True)):
        if name in full[i + 1 :]:
            name = f"{name}@{full[:i].count(name) + 1}"
        tensors = tuple(node.input_tensors), tuple(node.outputs)
        steps.append(Step(name, node.operation, *tensors, node.arguments))
    return tuple(steps)
