import numpy as np
import tensorflow as tf

from op_utils.memory_bank import memory_bank, update_rows


def test_a_bank_starts_with_rows_of_length_about_one():
    bank = memory_bank(200, 64, "bank")
    assert (bank.shape, bank.dtype, bank.trainable) == ((200, 64), tf.float32, False)
    bound = (3 / 64) ** 0.5
    assert 0.99 * bound < np.abs(bank).max() <= bound
    lengths = np.linalg.norm(bank, axis=1)
    np.testing.assert_allclose(lengths.mean(), 1.0, atol=0.02)


def test_an_update_averages_its_rows_and_leaves_the_others():
    bank = memory_bank(5, 3, "bank")
    before = bank.numpy()
    new = tf.constant([[0.0, 0.0, 2.0], [1.0, 1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(new)
        update_rows(bank, tf.constant([3, 1]), new, 0.25)
        total = tf.reduce_sum(bank)
    mixed = 0.25 * before[[3, 1]] + 0.75 * new.numpy()
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    np.testing.assert_allclose(bank.numpy()[[3, 1]], mixed, rtol=1e-5)
    np.testing.assert_array_equal(bank.numpy()[[0, 2, 4]], before[[0, 2, 4]])
    assert tape.gradient(total, new) is None
