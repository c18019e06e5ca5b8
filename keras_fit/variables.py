"""Whose variables a `DistillationModel` calls its own: the student's and the method's.

Keras' `weights`, `get_weights`, `set_weights`, `count_params`, `summary` and, by them,
`restore_best_weights` see what a model holds as layers. The method is no layer, and the
teacher, which nobody wants changed back, must be none.
"""

import keras

from distiller.framework import base


class MethodVariables(keras.layers.Layer):
    """A layer of the method's variables, which computes nothing.

    Args:
        method: the `base.Distiller`, None before there is one.
    """

    def __init__(self, method: base.Distiller | None = None):
        super().__init__(name="method")
        self.method = method
        self.built = True

    @property
    def variables(self) -> list:
        """All variables of the method."""
        found = [] if self.method is None else list(self.method.variables)
        for number, variable in enumerate(found):
            if not hasattr(variable, "path"):  # a tf.Variable; TensorBoard wants one
                name = variable.name.partition(":")[0]
                variable.path = f"{self.name}/{name}_{number}"
        return found

    @property
    def weights(self) -> list:
        """The same: a method's draws have no state."""
        return self.variables

    @property
    def trainable_weights(self) -> list:
        """Those that an optimizer updates."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list:
        """Banks and moving statistics."""
        return self.non_trainable_variables


class Untracked:
    """Holds a net that Keras is not to find.

    Args:
        net: or None.
    """

    def __init__(self, net):
        self.net = net


def end_with(optimizer: keras.optimizers.Optimizer, trained) -> None:
    """Lets the optimizer's averages become those variables that they are averages of.

    At the end of `fit` Keras gives them to `model.trainable_weights` in that order. A
    phase trains some of these, in another order.

    Args:
        optimizer: with or without `use_ema`.
        trained: what it was built with, in its order.
    """
    finalize, trained = optimizer.finalize_variable_values, list(trained)
    optimizer.finalize_variable_values = lambda _: finalize(trained)
