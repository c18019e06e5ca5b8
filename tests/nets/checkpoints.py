"""Whether TensorFlow's checkpoints see all of a net."""

import numpy as np
import tensorflow as tf


def assert_a_checkpoint_holds_all(net, folder):
    """Each variable is saved under a key of its own and comes back."""
    kept = net.get_weights()
    path = tf.train.Checkpoint(net=net).save(str(folder / "checkpoint"))
    keys = [key for key, _ in tf.train.list_variables(path) if key.startswith("net/")]
    assert len(keys) == len(net.variables) == len({v.path for v in net.variables})
    for variable in net.variables:
        variable.assign(tf.fill(variable.shape, 0.5))
    tf.train.Checkpoint(net=net).restore(path).assert_consumed()
    for old, new in zip(kept, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
