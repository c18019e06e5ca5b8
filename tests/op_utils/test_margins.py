import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from op_utils import margins


@pytest.mark.parametrize("gamma", [0.3, -0.7, 2.0])
@pytest.mark.parametrize("beta", [-4.0, -0.2, 0.0, 0.5])
def test_expectation_equals_the_integral(gamma, beta):
    normal = scipy.stats.norm(beta, abs(gamma))
    low = min(beta, 0.0) - 12 * abs(gamma)
    moment, _ = scipy.integrate.quad(
        lambda x: x * normal.pdf(x), low, 0.0, points=[max(low, min(beta, 0.0))]
    )
    expected = moment / normal.cdf(0.0)
    result = margins.expected_negative([gamma], [beta])
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [expected], rtol=1e-5)


def test_rare_negatives_have_three_spreads():
    # Phi(-3.1) is just below 0.001, Phi(-3.05) just above.
    rare, common = margins.expected_negative([-2.0, -2.0], [6.2, 6.1])
    assert rare == -6.0
    normal = scipy.stats.norm(6.1, 2.0)
    expected = 6.1 - 4.0 * normal.pdf(0.0) / normal.cdf(0.0)
    np.testing.assert_allclose(common, expected, rtol=1e-5)


def test_dead_channels_have_finite_margins():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = margins.expected_negative(np.zeros(3), [-0.5, 0.0, 0.5])
    np.testing.assert_allclose(result, [-0.5, 0.0, 0.0], atol=1e-20)


def test_mean_negative_entry_of_the_batch():
    maps = np.random.default_rng(0).normal(size=(3, 4, 2, 5))
    maps[..., 1] = np.abs(maps[..., 1])
    expected = [
        x[x < 0].sum() / ((x < 0).sum() + 0.5) for x in np.moveaxis(maps, -1, 0)
    ]
    np.testing.assert_allclose(margins.batch_negative(maps, 0.5), expected)
    assert expected[1] == 0.0
    dead = margins.batch_negative(tf.zeros([2, 3, 3, 4]))
    np.testing.assert_array_equal(dead, np.zeros(4))
