"""Size and cost of any Keras model: parameters and multiply-accumulates."""

import math

import keras
import tensorflow as tf

from common.errors import wrong
from nets.base import Net
from nets.brought import model_state

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BATCHES = ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")


def count_parameters(model: keras.Model) -> int:
    """Number of numbers made to be trained, frozen or not, each once.

    Batch norm's moving statistics and other tables that were made not trainable do not
    count; `count_non_trainable` has them.
    """
    return _count_numbers(model_state.weights(model)[0])


def count_non_trainable(model: keras.Model) -> int:
    """Number of numbers that are not trained, what Keras' summary calls so.

    These are frozen parameters, which `count_parameters` counts as well, and what was
    made not trainable. What random generators remember is no weight and does not count.
    """
    trained = {id(v) for v in model.trainable_variables}
    own = [v for kind in model_state.weights(model) for v in kind]
    return _count_numbers(v for v in own if id(v) not in trained)


def _count_numbers(variables) -> int:
    return sum(math.prod(v.shape) for v in variables)


def multiply_accumulates(model: keras.Model, image_shape=None) -> int:
    """Multiply-accumulates of one image's forward pass.

    Convolutions, dense layers and attention's products count, biases and everything
    else do not; a border that is padded counts like the inside. The model is traced for
    a batch of one, and the graph's convolutions, matrix products and Einsum nodes are
    counted, those in called functions included, those in the bodies of `tf.cond` and
    `tf.while_loop` not.

    Args:
        model: any built Keras model of one image.
        image_shape: (H, W, C); None takes that of the model.

    Raises:
        ValueError: the shape of the images is unknown or not wholly given.
    """
    if image_shape is None:
        image_shape = _image_shape(model)
    if not image_shape or None in image_shape:
        raise wrong(
            f"The cost of {model.name!r} depends on the size of the image",
            expected="the argument image_shape=(H, W, C)",
            image_shape=image_shape,
        )
    forward = tf.function(lambda images: model(images, training=False), autograph=False)
    images = tf.TensorSpec([1, *image_shape], tf.float32)
    return _count(forward.get_concrete_function(images).graph)


def _image_shape(model):
    try:
        return model.image_shape  # one of our nets
    except AttributeError:
        shape = getattr(model, "input_shape", None)  # Functional, Sequential
        return shape and shape[1:]


def _count(graph) -> int:
    total = 0
    for operation in graph.get_operations():
        if operation.type in _CALLS:
            # TensorFlow has no public way from a call to its body's static shapes.
            name = operation.get_attr("f").name
            total += _count(graph._get_function(name).graph)
        elif operation.type == "Conv2D":
            *window, _ = operation.inputs[1].shape  # height, width, channels read
            total += operation.outputs[0].shape.num_elements() * math.prod(window)
        elif operation.type == "DepthwiseConv2dNative":
            height, width, _, _ = operation.inputs[1].shape
            total += operation.outputs[0].shape.num_elements() * height * width
        elif operation.type == "MatMul":
            columns = operation.outputs[0].shape[-1]
            total += operation.inputs[0].shape.num_elements() * columns
        elif operation.type in _BATCHES:
            summed = operation.inputs[0].shape[
                -2 if operation.get_attr("adj_x") else -1
            ]
            total += operation.outputs[0].shape.num_elements() * summed
        elif operation.type == "Einsum" and len(operation.inputs) == 2:
            total += _einsum(operation)
        elif operation.type == "Conv2DBackpropInput":  # a transposed convolution
            height, width, made, _ = operation.inputs[1].shape
            read = operation.inputs[2].shape.num_elements()
            total += read * height * width * made
    return total


def _einsum(operation) -> int:
    """The product of the sizes of all letters, and of what "..." stands for."""
    terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    others = [1]
    for term, tensor in zip(terms, operation.inputs, strict=True):
        before, dots, after = term.partition("...")
        shape = list(tensor.shape)
        sizes |= zip(before, shape[: len(before)], strict=True)
        sizes |= zip(after, shape[len(shape) - len(after) :], strict=True)
        if dots:
            others.append(math.prod(shape[len(before) : len(shape) - len(after)]))
    return math.prod(sizes.values()) * max(others)


def facts(net: Net) -> dict:
    """Of one of our nets, what a result says: `sizes`, and its normalisation.

    Of a net that `wrapped.seen_by` shows other images, `mean` and `std` are its own.
    """
    own = net
    while isinstance(inner := getattr(own, "model", None), Net):
        own = inner
    scale = {"mean": list(own.mean), "std": list(own.std)}
    return {**sizes(net), **scale}


def sizes(model: keras.Model) -> dict[str, int]:
    """What `report.TITLES` calls so, of a model whose input size is known."""
    return {
        "parameters": count_parameters(model),
        "non_trainable_parameters": count_non_trainable(model),
        "multiply_accumulates": multiply_accumulates(model),
    }
