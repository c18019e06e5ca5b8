"""What `fit` shows of an epoch: means of the steps' scalars."""

import keras
import tensorflow as tf

from training.totals import SKIPPED


class Means:
    """Means over an epoch; made when the step is traced, which knows the names.

    Attributes:
        by_name: the Keras metrics.
    """

    def __init__(self):
        self.by_name = {}

    def of_step(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The means so far, with one step's scalars; `SKIPPED` is counted.

        The gradient's norm is not finite in skipped steps, so its mean is over the
        others, and 0 where there are none.
        """
        if SKIPPED not in values:
            return {name: self.add(name, value) for name, value in values.items()}
        values, skipped = dict(values), values[SKIPPED]
        del values[SKIPPED]
        norm = tf.where(skipped > 0, 0.0, values.pop("gradient_norm"))
        results = {name: self.add(name, value) for name, value in values.items()}
        results["gradient_norm"] = self.add("gradient_norm", norm, weight=1 - skipped)
        return results | {SKIPPED: self.add(SKIPPED, skipped, keras.metrics.Sum)}

    def add(self, name, value, kind=keras.metrics.Mean, weight=None) -> tf.Tensor:
        """The mean (or sum) so far, with this value."""
        if name not in self.by_name:
            with tf.init_scope():
                self.by_name[name] = kind(name)
        self.by_name[name].update_state(value, weight)
        return self.by_name[name].result()
