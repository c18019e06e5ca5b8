"""Sums of each step's scalars, kept on the device and in the checkpoint."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.errors import NonFiniteLoss

# A scalar of each step where a loss scaler is in use: 1 if it skipped the step.
SKIPPED = "skipped_steps"


class Totals:
    """Adds up named scalars over the steps of an epoch, and watches for bad ones.

    Args:
        names: of the scalars, in a fixed order; `SKIPPED`, if among them, is counted.
        may_overflow: names that a loss scaler handles when they are not finite. Their
            means are over the steps that it did not skip.
    """

    def __init__(self, names: Sequence[str], may_overflow: Sequence[str] = ()):
        self.names = tuple(name for name in names if name != SKIPPED)
        self.may_overflow = frozenset(may_overflow)
        self._watched = tf.constant([n not in may_overflow for n in self.names])
        size = len(self.names)
        # Two rows: the epoch, the interval between two logs. Two counts likewise.
        self._sums = tf.Variable(tf.zeros([2, size], tf.float64), name="sums")
        self._counts = tf.Variable(tf.zeros([2], tf.int64), name="counts")
        # Likewise; only where there may be any.
        self._skipped = None
        if SKIPPED in names:
            self._skipped = tf.Variable(tf.zeros([2], tf.int64), name=SKIPPED)
        self._bad_step = tf.Variable(-1, dtype=tf.int64, name="bad_step")
        self._bad_values = tf.Variable(tf.zeros([size]), name="bad_values")

    @property
    def variables(self) -> tuple:
        """What a checkpoint needs in order to go on in the middle of an epoch."""
        return self._sums, self._counts

    @property
    def skipped(self) -> tuple:
        """The same of the steps skipped; of none where there is no loss scaler.

        Apart, as the checkpoints of earlier versions do not have it.
        """
        return () if self._skipped is None else (self._skipped,)

    def add(self, scalars: dict[str, tf.Tensor], step: tf.Tensor) -> None:
        """Adds one step's scalars; runs in the graph."""
        values = tf.stack([scalars[name] for name in self.names])
        is_bad = tf.reduce_any(self._watched & ~tf.math.is_finite(values))
        is_first = is_bad & (self._bad_step < 0)
        bad_step = tf.where(is_first, tf.cast(step, tf.int64), self._bad_step)
        self._bad_values.assign(tf.where(is_first, values, self._bad_values))
        self._bad_step.assign(bad_step)
        finite = tf.where(tf.math.is_finite(values), values, tf.zeros_like(values))
        self._sums.assign_add(tf.stack([tf.cast(finite, tf.float64)] * 2))
        self._counts.assign_add([1, 1])
        if self._skipped is not None:
            self._skipped.assign_add([tf.cast(scalars[SKIPPED], tf.int64)] * 2)

    def check(self, phase: str) -> None:
        """Raises `NonFiniteLoss`, naming terms and step, if a step was not finite."""
        step = int(self._bad_step)
        if step < 0:
            return
        values = dict(zip(self.names, self._bad_values.numpy(), strict=True))
        bad = [f"{k}={v}" for k, v in values.items() if not np.isfinite(v)]
        raise NonFiniteLoss(
            f"training diverged in step {step + 1} of phase '{phase}': expected finite "
            f"losses and gradients. Received: {', '.join(bad)}. The last good "
            "checkpoint is kept; a lower --learning_rate, a longer --warmup_epochs or "
            "a smaller weight of that term may help."
        )

    def epoch_means(self) -> dict[str, float]:
        """Means over the steps since this was last called, and the number skipped.

        Where all were skipped, what overflows has no mean and is left out.
        """
        return self._take(0)

    def interval_means(self) -> dict[str, float]:
        """The same, with times of its own."""
        return self._take(1)

    def _take(self, row: int) -> dict[str, float]:
        count, sums = int(self._counts[row]), self._sums[row].numpy().tolist()
        totals = dict(zip(self.names, sums, strict=True))
        self._sums[row].assign(tf.zeros([len(self.names)], tf.float64))
        self._counts[row].assign(0)
        if self._skipped is None:
            return {name: total / max(count, 1) for name, total in totals.items()}
        skipped = int(self._skipped[row])
        self._skipped[row].assign(0)
        means = {}
        for name, total in totals.items():
            steps = count - skipped if name in self.may_overflow else count
            if steps or not count:
                means[name] = total / max(steps, 1)
        return {**means, SKIPPED: skipped}
