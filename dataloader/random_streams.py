"""Independent streams of random numbers, each a function of seed and epoch alone.

0 is the data order; 1 and 2 crops and flips, 10 and 11 RandAugment, 16 resized crops,
20 and 21 Cutout, 30 to 36 the mixing of images.
"""

import tensorflow as tf


def stream_seed(seed, epoch, stream: int) -> tf.Tensor:
    """The int64 [2] seed of one of several independent draws of an epoch."""
    seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.fold_in(seed, stream, alg="philox")


def integers(seed, epoch, stream: int, count: int, limit: int) -> tf.Tensor:
    """Int32 [count], evenly from 0 to limit - 1; entry i does not depend on `count`."""
    # Philox by name: "auto_select" takes another generator on a TPU host.
    return tf.random.stateless_uniform(
        [count],
        stream_seed(seed, epoch, stream),
        minval=0,
        maxval=limit,
        dtype=tf.int32,
        alg="philox",
    )
