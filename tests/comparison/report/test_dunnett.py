"""Dunnett's distribution: published points, SciPy, finer quadrature, closed forms."""

import numpy as np
import pytest
from scipy import special, stats

from comparison.report import dunnett


@pytest.mark.parametrize(
    ("k", "df", "c"),
    [(3, 20, 2.540), (24, 24, 3.217), (25, 52, 3.083), (60, 120, 3.238)],
)
def test_reference_values(k, df, c):
    assert dunnett.critical((k,), df) == pytest.approx(c, abs=6e-4)
    assert dunnett.probability(c, (k,), df) == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize("df", [1, 2, 5, 1000])
def test_one_difference_is_students_t(df):
    c = np.array([0.0, 0.5, 2.0, 20.0])
    expected = 1 - 2 * stats.t.sf(c, df)
    np.testing.assert_allclose(dunnett.probability(c, (1,), df), expected, atol=1e-7)
    assert dunnett.critical((1,), df) == pytest.approx(stats.t.ppf(0.975, df))


def finer(c, k, df):
    """The same expectation on 200 x 200 nodes, the spread's by its logarithm."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z, z_weights = 5 * (nodes + 1), 10 * weights * stats.norm.pdf(5 * (nodes + 1))
    low = 1e-7 if df < 4 else np.sqrt(stats.chi2.ppf(1e-13, df) / df)
    high = np.sqrt(stats.chi2.isf(1e-14, df) / df)
    half = (np.log(high) - np.log(low)) / 2
    u = np.exp(np.log(low) + half * (nodes + 1))
    density = np.sqrt(df) * u * stats.chi.pdf(np.sqrt(df) * u, df)
    reach = np.sqrt(2) * c * u[:, None]
    inside = (special.ndtr(z + reach) - special.ndtr(z - reach)) ** k
    return (half * weights * density) @ inside @ z_weights


@pytest.mark.parametrize("df", [1, 2, 3, 30, 1000])
@pytest.mark.parametrize("k", [2, 60, 200])
def test_nodes_are_enough(k, df):
    for level in (0.3, 0.95, 0.999):
        c = dunnett.critical((k,), df, level)
        assert finer(c, k, df) == pytest.approx(level, abs=5e-5)


def test_equals_scipy_where_there_are_no_blocks():
    """SciPy's quadrature is random; the average of some is good to 1e-4."""
    rng = np.random.default_rng(0)
    control, *others = rng.normal(size=(4, 6)) + [[0.0], [0.4], [1.3], [-0.9]]
    groups = np.stack([control, *others])
    spread = np.sqrt(groups.var(1, ddof=1).mean())
    t = (groups[1:].mean(1) - control.mean()) / (spread * np.sqrt(2 / 6))
    found = 1 - dunnett.probability(np.abs(t), (3,), 20)
    ps = [
        stats.dunnett(*others, control=control, random_state=seed).pvalue
        for seed in range(10)
    ]
    np.testing.assert_allclose(found, np.mean(ps, 0), atol=1e-4)


def test_differences_from_two_references_depend_by_the_spread_alone():
    """P(all |t| < c) by Monte Carlo; one family of four would give 0.81."""
    rng = np.random.default_rng(0)
    u = np.sqrt(rng.chisquare(3, 400_000) / 3)
    largest = 0.0
    for _ in range(2):
        reference, *others = rng.normal(size=(3, u.size))
        for other in others:
            largest = np.maximum(largest, np.abs(other - reference))
    found = dunnett.probability(2.3, (2, 2), 3)
    assert found == pytest.approx(np.mean(largest / np.sqrt(2) / u < 2.3), abs=3e-3)


def test_it_rises_from_0_to_1():
    found = dunnett.probability(np.linspace(0, 60, 200), (24,), 2)
    assert found[0] == 0 and np.all(np.diff(found) >= 0)
    assert found[-1] == pytest.approx(1, abs=3e-3) and found.max() <= 1
