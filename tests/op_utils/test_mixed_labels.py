import types

import numpy as np
import pytest
import tensorflow as tf

from op_utils import mixed_labels

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 3)).astype(np.float32)
LABELS, OTHERS = np.array([0, 1, 2, 0, 1]), np.array([1, 2, 2, 1, 0])
SHARES = np.array([1.0, 0.7, 0.4, 0.5, 0.0], np.float32)
MIXED = {"label": LABELS, "other_label": OTHERS, "label_share": SHARES}


def numpy_cross_entropy(targets):
    powers = np.exp(LOGITS.astype(np.float64))
    return -(targets * np.log(powers / powers.sum(1, keepdims=True))).sum(1).mean()


def test_cross_entropy_equals_numpy():
    one_hot = np.eye(3)
    found = mixed_labels.cross_entropy({"label": LABELS}, tf.constant(LOGITS))
    expected = numpy_cross_entropy(one_hot[LABELS])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_cross_entropy_of_mixed_labels_is_that_of_their_mixture():
    share = SHARES[:, np.newaxis]
    targets = share * np.eye(3)[LABELS] + (1 - share) * np.eye(3)[OTHERS]
    found = mixed_labels.cross_entropy(MIXED, tf.constant(LOGITS))
    np.testing.assert_allclose(found, numpy_cross_entropy(targets), rtol=1e-6)


def test_the_larger_share_is_the_main_label():
    np.testing.assert_array_equal(mixed_labels.main_label(MIXED), [0, 1, 2, 0, 0])
    np.testing.assert_array_equal(mixed_labels.main_label({"label": LABELS}), LABELS)


def test_a_method_that_reads_labels_refuses_mixed_batches():
    reads, not_ = (
        types.SimpleNamespace(name="crd", needs_labels=needs) for needs in (True, False)
    )
    with pytest.raises(ValueError, match="have two.*other_label.* for crd"):
        mixed_labels.check_can_read(reads, MIXED)
    mixed_labels.check_can_read(reads, {"label": LABELS})
    mixed_labels.check_can_read(not_, MIXED)


def test_weights_multiply_what_each_image_loses_by_each_of_its_labels():
    """The sum is over B, not over the weights, as Keras has it."""
    classes, images = np.array([0.5, 2.0, 3.0], np.float32), np.float32([1, 0, 2, 3, 4])
    share = SHARES[:, np.newaxis]
    targets = share * np.eye(3)[LABELS] + (1 - share) * np.eye(3)[OTHERS]
    targets = targets * classes * images[:, np.newaxis]
    batch = {**MIXED, "sample_weight": tf.constant(images)}
    found = mixed_labels.weighted(classes)(batch, tf.constant(LOGITS))
    np.testing.assert_allclose(found, numpy_cross_entropy(targets), rtol=1e-6)
    assert mixed_labels.weighted(None) is mixed_labels.cross_entropy
