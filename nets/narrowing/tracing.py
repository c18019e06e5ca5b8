"""What is known of all axes in a model's graph: the rules, call by call."""

import keras

from common.errors import wrong
from nets.brought.opened import calls, functional
from nets.narrowing import rules as width_rules
from nets.narrowing import rules_of_ops as width_rules_of_ops
from nets.narrowing import widths
from nets.narrowing.axes import Axes, Call, axes_in, of_shape


def has_graph(op) -> bool:
    """Whether it is a model that computes its graph, and nothing else."""
    graph = functional(op)
    if not isinstance(op, keras.Model) or not hasattr(graph, "_nodes_by_depth"):
        return False
    return is_built_in(type(op)) or any(
        is_built_in(kind) and kind is not keras.Model and type(op).call is kind.call
        for kind in type(op).__mro__
        if hasattr(kind, "call")
    )


def is_built_in(kind: type) -> bool:
    """Whether a class is Keras' own."""
    return kind.__module__.partition(".")[0] == "keras"


class Traced:
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
                raise wrong(
                    "The graph holds numbers for each channel",
                    expected="a layer with weights instead",
                    received=f"{called(op)} with {size.number} numbers",
                )

    def run(self, model, inputs: list[Axes]) -> list[Axes]:
        """The axes of a model's outputs, for those of its inputs."""
        graph = functional(model)
        before = self.inputs.setdefault(id(model), inputs)
        for one, other in zip(before, inputs, strict=True):
            for mine, its in zip(one.sizes, other.sizes, strict=True):
                if mine is not None and its is not None and mine.number == its.number:
                    widths.equate(mine, its)
        found = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for node in calls(graph):
            args, kwargs = node.arguments.fill_in(found)
            outputs = self._call(node.operation, args, kwargs, node.outputs)
            found |= zip(map(id, node.outputs), outputs, strict=True)
        return [found[id(x)] for x in graph.outputs]

    def _call(self, op, args, kwargs, outputs) -> list[Axes]:
        shapes = [tuple(x.shape) for x in outputs]
        call = Call(op, args, kwargs, shapes, self.numbers)
        try:
            if has_graph(op):
                found = self.run(op, axes_in((args, kwargs)))
                return [_filled(*pair) for pair in zip(found, shapes, strict=True)]
            found = _rule(call)(call)
        except widths.Clash as clash:
            raise wrong(
                f"The width of a layer cannot be derived: {clash}",
                expected="one whose output follows from its inputs' channels",
                received=called(op),
            ) from None
        return [found] if isinstance(found, Axes) else list(found)


def _filled(axes: Axes, shape) -> Axes:
    """A model of images of any size says less of its outputs than one knows outside."""
    sizes = zip(axes.sizes, of_shape(shape).sizes, strict=True)
    return Axes(tuple(known if size is None else size for size, known in sizes))


def called(op) -> str:
    """A layer or operation, in errors."""
    return f"layer {op.name!r}, a {type(op).__name__}"


def _rule(call: Call):
    kind = type(call.op)
    if kind in width_rules.LAYERS:
        return width_rules.LAYERS[kind]
    if is_built_in(kind):
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
    raise wrong(
        "The model has a layer that is not built into Keras, of whose width nothing is "
        "known",
        expected="built-in layers alone",
        received=called(call.op),
    )
