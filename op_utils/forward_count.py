"""How often a step runs its nets: calls counted while it is traced, and then pruned."""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

_times = contextvars.ContextVar("times", default=1)
# What a call shares with others of its graph, or leaves without computing anything.
_NO_WORK = ("Placeholder", "ReadVariableOp", "Const", "NoOp")


class _Call(NamedTuple):
    """A call of a net while a graph was made.

    Attributes:
        role: the net's.
        passes: for each image of the batch.
        graph: that of the innermost function.
        operations: what the call added to it.
    """

    role: str
    passes: float
    graph: Any
    operations: tuple[Any, ...]


class Counts:
    """The calls of nets in a graph.

    Args:
        roles: of the nets.
    """

    def __init__(self, roles):
        self._roles, self._calls = tuple(roles), []

    def add(self, call: _Call) -> None:
        """Notes a call."""
        self._calls.append(call)

    def executed(self) -> dict[str, float]:
        """Role -> forward passes for each image that a step runs.

        A pass with four views of each image counts as four. A call of which TensorFlow
        runs nothing, because nothing of it is needed, counts as none; one that is
        needed up to some layer counts whole. To be asked when the graphs are complete.
        """
        found = dict.fromkeys(self._roles, 0.0)
        needed = {}
        for call in self._calls:
            if call.graph not in needed:
                needed[call.graph] = _needed(call.graph)
            if not needed[call.graph].isdisjoint(call.operations):
                found[call.role] += call.passes
        return found


@contextlib.contextmanager
def counted(nets: Mapping[str, object], batch_size: int) -> Iterator[Counts]:
    """Counts the forward passes of nets while a step's graph is made.

    Args:
        nets: role -> Keras model.
        batch_size: images a step; what is counted is divided by it.

    Yields:
        The counts, complete at the end.
    """
    counts = Counts(nets)

    def counting(role, call):
        def wrapper(images, *args, **kwargs):
            graph = tf.compat.v1.get_default_graph()
            before = len(graph.get_operations())
            output = call(images, *args, **kwargs)
            passes = _times.get() * images.shape[0] / batch_size
            own = [op for op in graph.get_operations()[before:] if _works(op)]
            counts.add(_Call(role, passes, graph, tuple(own)))
            return output

        return wrapper

    # As plain attributes: Keras would take an assigned function for one of its own.
    for role, net in nets.items():
        object.__setattr__(net, "call", counting(role, net.call))
    try:
        yield counts
    finally:
        for net in nets.values():
            object.__delattr__(net, "call")


@contextlib.contextmanager
def repeated(times: int) -> Iterator[None]:
    """What is traced once inside runs `times` times, or at most so often."""
    token = _times.set(_times.get() * times)
    try:
        yield
    finally:
        _times.reset(token)


def _works(operation) -> bool:
    return operation.type not in _NO_WORK


def _needed(graph) -> set:
    """The operations of a function that run when it is called.

    They are those that its outputs depend on, and those with an effect of their own, as
    on moving statistics. That it is called itself, as the body of a loop, is taken for
    granted.
    """
    found, waiting = set(), [tensor.op for tensor in graph.outputs]
    waiting += graph.control_outputs
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return found
