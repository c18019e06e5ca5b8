"""A head of one unit, for a yes or no, as one of two classes."""

import keras

from common.errors import wrong
from nets.brought import before_activation, model_check


def two_classes(model: keras.Model) -> keras.Model:
    """A model of one unit, for a yes or no, as one of two classes.

    The unit's logit z becomes the logits (0, z): the softmax of these gives 1 - p and p
    of the sigmoid's p. Kernel and bias are [0, w] and [0, b]; all else is shared.

    Args:
        model: Functional or Sequential, with a last `Dense(1)` with a sigmoid, behind
            it or in it, or with none (then the output is z itself).

    Returns:
        The model with an output [B, 2] of probabilities: of the class 0 and of 1.

    Raises:
        ValueError: the model has no such end.
    """
    end = model_check.last_operation(model)
    tensor = model.outputs[0] if end is not None else None
    is_sigmoid = before_activation.ends_in_sigmoid(end)
    if is_sigmoid and not isinstance(end, keras.layers.Dense):
        (tensor,) = before_activation.producer(tensor)[1]
        end, _ = before_activation.producer(tensor)
    is_linear = getattr(end, "activation", None) is keras.activations.linear
    is_unit = isinstance(end, keras.layers.Dense) and end.units == 1
    if not is_unit or before_activation.producer(tensor)[0] is not end:
        raise wrong(
            "The model does not end in one unit",
            expected="a Functional or Sequential model with a last Dense(1), its "
            "sigmoid in it or behind it",
            received=f"model {model.name!r} with "
            f"{'an unknown end' if end is None else f'{end.name!r} at its end'}",
        )
    if not (is_linear or before_activation.ends_in_sigmoid(end)):
        raise wrong(
            "The unit is neither a sigmoid nor a logit",
            expected="the one or the other",
            received=f"layer {end.name!r} with {end.activation}",
        )
    both = keras.layers.Dense(
        2,
        activation="softmax",
        use_bias=end.use_bias,
        dtype=end.dtype_policy,
        name=end.name,
    )
    output = both(*before_activation.producer(tensor)[1])
    both.set_weights(
        [keras.ops.concatenate([0.0 * w, w], axis=-1) for w in end.weights]
    )
    return keras.Model(model.inputs[0], output, name=model.name)
