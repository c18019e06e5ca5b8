"""Weights of images in a mean over a batch."""

import types

import numpy as np
import pytest
import tensorflow as tf

from op_utils import image_weights

VALUES = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("values", [VALUES, VALUES[:, 0, 0]])
def test_the_mean_is_over_the_images_whatever_they_weigh(values):
    weight = np.array([2.0, 0.0, 1.0, 3.0])
    expected = np.mean([w * x.mean() for w, x in zip(weight, values, strict=True)])
    found = image_weights.mean(tf.constant(values), tf.constant(weight))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    plain = image_weights.mean(tf.constant(values))
    np.testing.assert_array_equal(plain, tf.reduce_mean(values))


def test_a_method_that_relates_images_refuses_weights():
    relates, weighs = (
        types.SimpleNamespace(name="rkd", weighs_images=can) for can in (False, True)
    )
    with pytest.raises(ValueError, match="Received: sample_weight for rkd"):
        image_weights.check_can_weigh(relates, {"sample_weight": 0})
    both = types.SimpleNamespace(
        name="composition", weighs_images=False, parts=(weighs, relates)
    )
    relates.name = "sp"
    with pytest.raises(ValueError, match="Received: sample_weight for sp[.]"):
        image_weights.check_can_weigh(both, {"sample_weight": 0})
    image_weights.check_can_weigh(relates, {})
    image_weights.check_can_weigh(weighs, {"sample_weight": 0})
