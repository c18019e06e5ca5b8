import numpy as np
import pytest
import tensorflow as tf

from op_utils.rotated_views import rotated_views


@pytest.mark.parametrize("jit", [False, True])
def test_quarters_are_numpys(jit):
    images = np.random.default_rng(0).normal(size=(2, 3, 3, 4))
    views = tf.function(rotated_views, jit_compile=jit)(tf.constant(images)).numpy()
    assert views.shape == (2, 4, 3, 3, 4)
    for quarter in range(4):
        turned = np.rot90(images, quarter, axes=(1, 2))
        np.testing.assert_array_equal(views[:, quarter], turned)


def test_images_that_are_not_square_raise():
    with pytest.raises(ValueError, match=r"square images.*\(1, 2, 3, 1\)"):
        rotated_views(tf.zeros([1, 2, 3, 1]))
