"""Size and cost of any Keras model: parameters and multiply-accumulates."""

import math

import keras
import tensorflow as tf

from nets import model_state
from nets.base import Net

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


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

    Convolutions and dense layers count, biases and everything else do not; a border
    that is padded counts like the inside. The model is traced for a batch of one, and
    the graph's Conv2D, DepthwiseConv2dNative and MatMul nodes are counted, those in
    called functions included, those in the bodies of `tf.cond` and `tf.while_loop`
    not.

    Args:
        model: any built Keras model of one image.
        image_shape: (H, W, C); None takes that of the model.

    Raises:
        ValueError: the shape of the images is unknown or not wholly given.
    """
    if image_shape is None:
        image_shape = _image_shape(model)
    if not image_shape or None in image_shape:
        raise ValueError(
            f"The cost of {model.name!r} depends on the size of the image. Expected "
            f"the argument image_shape=(H, W, C). Received: image_shape={image_shape}."
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
    return total


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
