"""What a Keras model holds beside its graph: weights of which kind, state, a call."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

# Whose `call` for models with a graph is the graph.
_OF_KERAS = ("keras", "keras_hub")


def layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The model and all layers inside it, each once, outer ones before inner ones."""
    return model._flatten_layers()


def weights(model: keras.layers.Layer) -> tuple[list, list]:
    """All weights, each once: those made to be trained, frozen or not; the others.

    The others are such as batch norm's moving statistics and tables that were made not
    trainable. What random generators and metrics remember are no weights.
    """
    trained, others = {}, {}
    for layer in layers(model):
        # A frozen layer says of all its weights that they are not trainable, but keeps
        # where it put them when it made them.
        trained |= {id(v): v for v in layer._trainable_variables}
        others |= {id(v): v for v in layer._non_trainable_variables}
    both = trained.keys() & others.keys()
    return list(trained.values()), [v for i, v in others.items() if i not in both]


def state(model: keras.layers.Layer) -> list:
    """All that a call may change: everything but the weights made to be trained."""
    trained = {id(v) for v in weights(model)[0]}
    return [v for v in model.variables if id(v) not in trained]


@contextlib.contextmanager
def kept(model: keras.layers.Layer) -> Iterator[list]:
    """Restores the state at the end; what had changed is then in the list it gives.

    Losses of the calls in between are forgotten.
    """
    variables, changed = state(model), []
    before = [v.numpy().copy() for v in variables]
    try:
        yield changed
    finally:
        for variable, value in zip(variables, before, strict=True):
            if not np.array_equal(variable.numpy(), value, equal_nan=True):
                changed.append(variable)
                variable.assign(value)
        model._clear_losses()


def has_own_call(model: keras.Model) -> bool:
    """Whether a class of a user's own decides what calling the model does."""
    owners = [
        next(cls for cls in type(model).__mro__ if name in vars(cls))
        for name in ("call", "__call__")
    ]
    return any(x.__module__.partition(".")[0] not in _OF_KERAS for x in owners)
