"""tf.data without its autotuning, whose thread is slow to stop."""

import tensorflow as tf


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset with the parallel calls that AUTOTUNE begins with.

    Those are as many as there are cores, and at most 16.

    Whoever deletes an iterator waits for its autotuning thread. In TensorFlow 2.21 this
    often misses that it is to stop and sleeps on, twice as long after each look at the
    pipeline: up to a minute. And it may be the garbage collector that deletes it, in
    the middle of a training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
