"""SGD as all published recipes run it: momentum, and L2 inside the gradient."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from common.errors import NonFiniteLoss

# Skipping this many steps in a row means that no loss scale helps.
MAX_SKIPPED_STEPS = 50


class SGD:
    """Momentum SGD with coupled weight decay and, for float16, loss scaling.

        g <- gradient + weight_decay * w
        v <- momentum * v - rate * g
        w <- w + v                              (Nesterov: w + momentum * v - rate * g)

    Keras' own `weight_decay` is decoupled, which is about ten times weaker at
    momentum 0.9, so the decay is added to the gradient here. Variables without
    a gradient stay untouched, decay included.

    Args:
        variables: everything that may get a gradient, in a fixed order (slots
            are saved by position).
        momentum, weight_decay: as above.
        nesterov: as above.
        scale_loss: multiply the loss by a dynamic scale, undone before the update.
    """

    def __init__(
        self,
        variables: Sequence,
        *,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        scale_loss: bool = False,
    ):
        self.trained = tuple(variables)
        self.weight_decay = weight_decay
        self._sgd = keras.optimizers.SGD(
            learning_rate=1.0, momentum=momentum, nesterov=nesterov
        )
        self._scaled = scale_loss
        self._optimizer = (
            keras.optimizers.LossScaleOptimizer(self._sgd) if scale_loss else self._sgd
        )
        self._optimizer.build(list(self.trained))
        self.skipped = tf.Variable(0, dtype=tf.int32, name="skipped_in_a_row")

    @property
    def variables(self) -> tuple:
        """Slots, iteration count, loss scale: all that a checkpoint needs."""
        return (*self._optimizer.variables, self.skipped)

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to differentiate."""
        return self._optimizer.scale_loss(loss) if self._scaled else loss

    def unscale(self, value: tf.Tensor) -> tf.Tensor:
        """Undoes `scale` for a gradient's norm."""
        return value / self._loss_scale() if self._scaled else value

    def apply(self, gradients: Sequence, rate: tf.Tensor) -> tf.Tensor | None:
        """Updates `trained` by gradients of the scaled loss (None: untouched).

        Returns:
            Whether the step was skipped, as some gradient is not finite; a scalar. None
            where the loss is not scaled, and no step ever is.
        """
        # The optimizer divides by the loss scale, so the decay is multiplied by it.
        decay = self.weight_decay * self._loss_scale()
        decayed, variables = with_decay(gradients, self.trained, decay)
        if not variables:
            return tf.constant(False) if self._scaled else None
        before = tf.identity(self._sgd.iterations.value)
        self._sgd.learning_rate = rate
        self._optimizer.apply(decayed, variables)
        if not self._scaled:
            return None
        # A skipped step does not count as an iteration.
        is_skipped = tf.equal(self._sgd.iterations.value, before)
        self.skipped.assign(tf.where(is_skipped, self.skipped + 1, 0))
        return is_skipped

    def check(self) -> None:
        """Raises `NonFiniteLoss` if no loss scale gives finite gradients."""
        if int(self.skipped) >= MAX_SKIPPED_STEPS:
            raise NonFiniteLoss(
                f"{int(self.skipped)} steps in a row had gradients that are not "
                "finite in float16. Expected the loss scale to find a value that "
                "works. --precision=mixed_bfloat16 or float32 needs none."
            )

    def _loss_scale(self) -> tf.Tensor:
        if not self._scaled:
            return tf.constant(1.0)
        return tf.convert_to_tensor(self._optimizer.dynamic_scale)


def with_decay(gradients: Sequence, variables: Sequence, decay) -> tuple[list, list]:
    """L2 inside the gradient: gradient + decay * variable.

    Args:
        gradients: None for variables that stay untouched, decay included.
        variables: as many.
        decay: scalar.

    Returns:
        (gradients, variables) of those that have a gradient.
    """
    pairs = zip(gradients, variables, strict=True)
    pairs = [(g, v) for g, v in pairs if g is not None]
    decayed = [g + decay * tf.convert_to_tensor(v) for g, v in pairs]
    return decayed, [v for _, v in pairs]
