"""Any Keras optimizer where a step expects `training.optimizer.SGD`."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from training.optimizer import with_decay


class KerasOptimizer:
    """A Keras optimizer that updates by its own learning rate.

    Args:
        optimizer: not yet built, or built for these variables.
        variables: everything that may get a gradient, in a fixed order.
        l2: weight decay inside the gradient, as `optimizer.SGD` has it; Keras' own
            `weight_decay` is decoupled.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables, l2: float = 0):
        self.optimizer, self.trained, self.l2 = optimizer, tuple(variables), l2
        optimizer.build(list(self.trained))

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to differentiate."""
        return self.optimizer.scale_loss(loss)

    def unscale(self, value: tf.Tensor) -> tf.Tensor:
        """Undoes `scale` for a gradient's norm."""
        return value / self.optimizer.scale_loss(tf.constant(1.0))

    def apply(self, gradients: Sequence, rate=None) -> tf.Tensor | None:
        """Updates `trained` by gradients of the scaled loss (None: untouched).

        Returns:
            Whether the step was skipped, as `optimizer.SGD.apply` says it.
        """
        del rate
        is_scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        before = self.unscale(tf.constant(1.0))
        decay = self.optimizer.scale_loss(tf.constant(float(self.l2)))
        decayed, variables = with_decay(gradients, self.trained, decay)
        if variables:
            self.optimizer.apply(decayed, variables)
        # Of all steps only a skipped one lowers the loss scale.
        return self.unscale(tf.constant(1.0)) > before if is_scaled else None
