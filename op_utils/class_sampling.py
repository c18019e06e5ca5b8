"""Random samples of an anchor's class, and of all other classes."""

import numpy as np
import tensorflow as tf

from common.errors import wrong

# A class's permutations differ in one of so many factors and in the starting point.
FACTORS = 256


class ClassSampler:
    """Draws indices of a data set for given anchors, with stateless random numbers.

    The samples are sorted by class. Without an anchor's class, n samples from position
    `start` on, the M = N - n others have the numbers 0 .. M - 1, and the draw k = 0, 1,
    ... takes the number (a k + b) mod M. That is a permutation because a has no common
    factor with M: the draws differ from each other, and each sample is as likely as
    any other, since b is uniform. Choosing the first of random keys would cost many
    times more.

    Args:
        labels: int [N], by index; some classes may be missing.
        num_classes: labels are below it.

    Raises:
        ValueError: there are samples of one class alone.
    """

    def __init__(self, labels: np.ndarray, num_classes: int):
        labels = np.asarray(labels)
        sizes = np.bincount(labels, minlength=num_classes)
        if np.count_nonzero(sizes) < 2:
            raise wrong(
                "Negatives are samples of other classes",
                expected="training data with at least two classes",
                received=f"{len(labels)} examples of {np.count_nonzero(sizes)} class",
            )
        self.size = len(labels)
        self.fewest_others = int(self.size - sizes.max())
        self.labels = tf.constant(labels, tf.int32)
        self.order = tf.constant(np.argsort(labels, kind="stable"), tf.int32)
        self.sizes = tf.constant(sizes, tf.int64)
        self.starts = tf.constant(np.cumsum(sizes) - sizes, tf.int64)
        self.factors = tf.constant(
            np.stack([_coprime(self.size - n) for n in sizes]), tf.int64
        )

    def same_class(self, index: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Any sample of the anchor's class, itself included.

        Args:
            index: int [B], the anchors.
            seed: int [2].

        Returns:
            int32 [B].
        """
        label = tf.gather(self.labels, index)
        number = _uniform(index.shape, seed) % tf.gather(self.sizes, label)
        return tf.gather(self.order, tf.gather(self.starts, label) + number)

    def other_classes(self, index: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Samples of other classes than the anchor's.

        They are drawn without replacement, but with it for an anchor that has fewer
        than `count` of them.

        Args:
            index: int [B], the anchors.
            count: draws for each anchor.
            seed: int [2].

        Returns:
            int32 [B, count].
        """
        label = tf.gather(self.labels, index)
        size = tf.gather(self.sizes, label)[:, tf.newaxis]
        start = tf.gather(self.starts, label)[:, tf.newaxis]
        others = self.size - size  # M, int64: products of two positions come up
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
        column = tf.cast(_uniform(index.shape, seeds[0]) % FACTORS, tf.int32)
        factor = tf.gather_nd(self.factors, tf.stack([label, column], axis=1))
        shift = _uniform((*index.shape, 1), seeds[1]) % others
        turn = tf.range(count, dtype=tf.int64)[tf.newaxis, :]
        if self.fewest_others < count:
            any_turn = _uniform((*index.shape, count), seeds[2]) % others
            turn = tf.where(others < count, any_turn, turn)
        number = (factor[:, tf.newaxis] * turn + shift) % others  # [B, count]
        position = number + tf.where(number < start, tf.zeros_like(size), size)
        return tf.gather(self.order, position)


def _coprime(number: int) -> np.ndarray:
    """[FACTORS] of 1 .. number - 1 without a common factor; the same at every call."""
    drawn = np.random.default_rng(0).integers(1, max(number, 2), 32 * FACTORS)
    fitting = drawn[np.gcd(drawn, number) == 1]
    # Below 1e9 at least one in seven fits; 1 always does.
    return np.resize(np.append(fitting, 1), FACTORS)


def _uniform(shape, seed) -> tf.Tensor:
    """int64 from 0 to 2^63 - 2; a remainder of it is uniform but for 1e-9."""
    return tf.random.stateless_uniform(shape, seed, 0, tf.int64.max, dtype=tf.int64)
