import numpy as np
import pytest
import tensorflow as tf

from op_utils import gradient_clipping

TASK = [np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([1.0, 0.0])]  # norms 5 and 1
METHOD = [np.array([[0.0, 30.0], [40.0, 0.0]]), np.array([0.0, 0.25])]  # 50 and 0.25


def test_each_variable_is_clipped_by_itself():
    first, second = gradient_clipping.clip_to_task(TASK, METHOD, 0.5)
    np.testing.assert_allclose(first, TASK[0] + 0.05 * METHOD[0])
    np.testing.assert_allclose(second, TASK[1] + METHOD[1])  # never scaled up


def test_a_loss_scale_passes_through():
    scaled = [[1024.0 * g for g in side] for side in (TASK, METHOD)]
    for plain, found in zip(
        gradient_clipping.clip_to_task(TASK, METHOD, 0.7),
        gradient_clipping.clip_to_task(*scaled, 0.7),
        strict=True,
    ):
        np.testing.assert_allclose(found, 1024.0 * plain)


def test_what_one_side_does_not_reach_is_the_others():
    found = gradient_clipping.clip_to_task(
        [TASK[0], None, None], [None, METHOD[0], None], 1.0
    )
    assert found[0] is TASK[0] and found[1] is METHOD[0] and found[2] is None


def test_zero_gradients_stay_finite():
    zero = np.zeros(2)
    found = gradient_clipping.clip_to_task([zero, TASK[1]], [METHOD[1], zero], 1.0)
    np.testing.assert_array_equal(found, [zero, TASK[1]])


@pytest.mark.parametrize("epoch, ratio", [(0, 0.5), (0.9, 0.5), (1, 0.73106), (50, 1)])
def test_the_ramp_rises_with_whole_epochs(epoch, ratio):
    batch = {"epoch": tf.constant(epoch, tf.float64)}
    found = gradient_clipping.combiner(ramp=True)(TASK, METHOD, batch)[0]
    np.testing.assert_allclose(found, TASK[0] + ratio * 0.1 * METHOD[0], rtol=1e-5)


def test_without_ramp_the_ratio_is_one():
    batch = {"epoch": tf.constant(0.0)}
    found = gradient_clipping.combiner(ramp=False)(TASK, METHOD, batch)[0]
    np.testing.assert_allclose(found, TASK[0] + 0.1 * METHOD[0])
