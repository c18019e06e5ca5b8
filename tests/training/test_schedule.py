import numpy as np
import pytest

from training import schedule


def test_constant():
    rates = schedule.constant(0.05, 4)
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.full(4, 0.05, np.float32))


@pytest.mark.parametrize("decay_steps", [[3, 5, 6], [6, 3, 5], [3.0, 5.0, 6.0]])
def test_step_decay_falls_at_the_given_steps(decay_steps):
    rates = schedule.step_decay(0.1, 8, decay_steps, 0.2)
    powers = [0, 0, 0, 1, 1, 2, 3, 3]
    expected = [0.1 * 0.2**power for power in powers]
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.array(expected).astype(np.float32))


def test_step_decay_counts_a_step_given_twice_twice():
    rates = schedule.step_decay(1.0, 3, [1, 1], 0.5)
    np.testing.assert_array_equal(rates, np.float32([1.0, 0.25, 0.25]))


def test_cosine_equals_the_closed_form():
    rates = schedule.cosine(0.4, 10)
    expected = [0.2 * (1 + np.cos(np.pi * step / 10)) for step in range(10)]
    assert rates.dtype == np.float32
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert rates[0] == np.float32(0.4)
    assert (np.diff(rates) < 0).all()
    assert rates[-1] > 0


@pytest.mark.parametrize("make", [schedule.constant, schedule.cosine])
def test_no_steps_have_no_rates(make):
    assert make(0.1, 0).shape == (0,)


def test_warmup_scales_the_first_steps():
    rates = schedule.with_warmup(np.float32([8, 8, 8, 8, 4, 4]), 4)
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.float32([2, 4, 6, 8, 4, 4]))


@pytest.mark.parametrize("warmup_steps", [0, 1])
def test_no_warmup_changes_nothing(warmup_steps):
    rates = schedule.cosine(0.1, 5)
    np.testing.assert_array_equal(schedule.with_warmup(rates, warmup_steps), rates)


def test_warmup_may_be_longer_than_the_training():
    rates = schedule.with_warmup(np.float32([10, 10]), 5)
    np.testing.assert_array_equal(rates, np.float32([2, 4]))
