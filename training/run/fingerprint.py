"""A fingerprint of what a traced function computes: its graph and its weights."""

import hashlib
from collections.abc import Iterable

import tensorflow as tf

from common.errors import wrong

# Names are the tracer's, other ones each time; a graph is what is left without them.
_NAMES = ("_class", "_user_specified_name", "container", "shared_name", "debug_name")
_NAMES += ("_gradient_op_type",)  # of functions with a gradient of their own, as silu


def graph_digest(function) -> str:
    """SHA-256 of a concrete function's operations, their attributes and inputs.

    Equal for equal computations, in whatever process and under whatever names they are
    traced; unlike a saved configuration it holds the code of a user's own layers, too.
    """
    graph = function.graph.as_graph_def()
    bodies = {body.signature.name: body for body in graph.library.function}
    return _digest_of_nodes(graph.node, (), bodies)


def weights_digest(function, variables: Iterable) -> str:
    """SHA-256 of all values that a concrete function reads, in the graph's order.

    Args:
        function: the concrete function.
        variables: where its weights are, `keras.Variable`s or `tf.Variable`s.
    """
    values = [v if isinstance(v, tf.Variable) else v.value for v in variables]
    by_handle = {id(value.handle): value for value in values}
    digest = hashlib.sha256()
    for captured in function.captured_inputs:
        if captured.dtype != tf.resource:
            _add_array(digest, captured.numpy())
        elif id(captured) in by_handle:
            _add_array(digest, by_handle[id(captured)].numpy())
        else:
            raise wrong(
                "A net reads a resource that is none of its variables",
                expected="variables that Keras tracks",
                received=captured,
            )
    return digest.hexdigest()


def net_digest(net) -> str:
    """SHA-256 of all weights of a net, in Keras' order: equal nets, equal digests."""
    digest = hashlib.sha256()
    for array in net.get_weights():
        _add_array(digest, array)
    return digest.hexdigest()


def _add_array(digest, array):
    digest.update(f"{array.dtype.name}{array.shape}".encode())
    digest.update(array.tobytes())


def _digest_of_nodes(nodes, arguments, bodies) -> str:
    numbers = {name: f"argument {i}" for i, name in enumerate(arguments)}
    numbers |= {node.name: str(i) for i, node in enumerate(nodes)}
    digest = hashlib.sha256()
    for node in nodes:
        inputs, waits = [], []
        for text in node.input:
            name, *output = text.removeprefix("^").split(":")
            number = ":".join([numbers.get(name, name), *output])
            (waits if text.startswith("^") else inputs).append(number)
        # TensorFlow sorts what a node waits for by name.
        digest.update(f"{node.op}({inputs}, {sorted(waits)})".encode())
        for name in sorted(node.attr.keys() - set(_NAMES)):
            value = _attribute(node.attr[name], bodies)
            digest.update(f"{name}={len(value)}:".encode() + value)
    return digest.hexdigest()


def _attribute(value, bodies) -> bytes:
    """An attribute's bytes; of a function those of what it computes."""
    functions = [value.func] if value.HasField("func") else value.list.func
    if not functions:
        return value.SerializeToString(deterministic=True)
    return b"".join(
        _function_digest(bodies[function.name], bodies).encode()
        for function in functions
    )


def _function_digest(body, bodies) -> str:
    arguments = [argument.name for argument in body.signature.input_arg]
    numbers = _digest_of_nodes(body.node_def, arguments, bodies)
    # Which of its nodes are the results, by place.
    places = {node.name: str(i) for i, node in enumerate(body.node_def)}
    places |= {name: f"argument {i}" for i, name in enumerate(arguments)}
    results = [body.ret[result.name] for result in body.signature.output_arg]
    text = [
        ":".join([places.get(head, head), *rest])
        for head, *rest in (result.split(":") for result in results)
    ]
    return hashlib.sha256("\n".join([numbers, *text]).encode()).hexdigest()
