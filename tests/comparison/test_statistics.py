import math

import pytest
from scipy import stats

from comparison import statistics


def test_spread_of_nothing_and_of_one():
    assert statistics.spread([]) == statistics.Spread(0, None, None)
    assert statistics.spread([0.5]) == statistics.Spread(1, 0.5, None)


def test_spread_divides_by_one_less():
    assert statistics.spread([1.0, 2.0, 6.0]) == statistics.Spread(3, 3.0, 7**0.5)


def test_paired_by_hand():
    """1, 2, 3: mean 2, error 1 / sqrt(3), t(0.975, 2) = 4.30265, t = 3.46410."""
    found = statistics.paired([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)
    assert (found.n, found.mean) == (3, 2.0)
    assert found.low == pytest.approx(2 - half)
    assert found.high == pytest.approx(2 + half)
    # Two-sided with 2 degrees of freedom: 1 - t / sqrt(2 + t^2).
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14))
    assert found.adjusted is None


def test_paired_equals_scipy():
    ours, alone = [0.61, 0.64, 0.6, 0.66], [0.6, 0.61, 0.61, 0.63]
    found = statistics.paired([a - b for a, b in zip(ours, alone, strict=True)])
    expected = stats.ttest_rel(ours, alone)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0], [0.1 + 0.2, 0.3, 0.3]])
def test_no_estimate_of_the_spread_no_test(values):
    found = statistics.paired(values)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.n == len(values)


def test_holm_by_hand():
    # 3 * 0.01, 2 * 0.03, 1 * 0.04 raised to 0.06.
    assert statistics.holm([0.04, None, 0.01, 0.03]) == [
        pytest.approx(0.06), None, pytest.approx(0.03), pytest.approx(0.06)
    ]  # fmt: skip
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([None]) == [None]
