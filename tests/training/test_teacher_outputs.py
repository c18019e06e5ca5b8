import numpy as np
import tensorflow as tf

import fakes
from training import teacher_outputs

TAPS = {"embedding": tf.ones([2, 8]), "stage1": tf.zeros([2, 8, 8, 4])}


def test_a_batch_is_split_into_what_methods_see_and_what_was_kept():
    batch = {"image": 1, teacher_outputs.KEY: TAPS}
    seen, kept = teacher_outputs.split(batch)
    assert (seen, kept) == ({"image": 1}, TAPS)
    assert teacher_outputs.KEY in batch, "the caller's batch stays as it is"
    assert teacher_outputs.split(seen) == (seen, {})


def test_kept_logits_are_taken_as_they_are():
    output = teacher_outputs.restored(None, {**TAPS, "logits": tf.ones([2, 5])})
    np.testing.assert_array_equal(output.logits, np.ones([2, 5]))
    assert output.taps.keys() == TAPS.keys()


def test_without_logits_the_head_gives_them():
    net = fakes.Net()
    output = teacher_outputs.restored(net, TAPS)
    np.testing.assert_array_equal(output.logits, net.head(TAPS["embedding"]))
