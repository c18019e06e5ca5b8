"""The block model: paired t, least squares, the committed table, simulated tables."""

import numpy as np
import pytest
from scipy import stats

from comparison.report import block_model, dunnett

NAN = np.nan


def test_two_rows_are_the_paired_t_test():
    values = np.array([[61.0, 64.0, 60.0, 66.0], [60.0, 61.0, 61.0, 63.0]])
    found = block_model.compare(values, [1, None])
    expected = stats.ttest_rel(*values)
    interval = expected.confidence_interval()
    assert (found.family, found.df, found.blocks) == ((1,), 3, 4)
    assert found.difference[0] == pytest.approx(1.5)
    assert found.p()[0] == pytest.approx(expected.pvalue, abs=1e-9)
    half = found.critical * found.se[0]
    assert (1.5 - half, 1.5 + half) == pytest.approx((interval.low, interval.high))
    assert np.isnan(found.difference[1]) and np.isnan(found.p()[1])


def test_a_whole_table_by_hand():
    """Residuals are +-1 in the last row, which is noisier than s, and -+0.5 above."""
    values = np.array([[1.0, 1.0], [3.0, 3.0], [6.5, 3.5]])
    found = block_model.compare(values, [None, 0, 0])
    assert found.df == 2
    assert found.s == pytest.approx(np.sqrt(3 / 2))
    np.testing.assert_allclose(found.difference[1:], [2, 4])
    # s^2 = 1.5 of the reference; 2 / (2 - 1) of the last row.
    np.testing.assert_allclose(found.se[1:] ** 2, [(1.5 + 1.5) / 2, (2 + 1.5) / 2])
    assert found.half_width == pytest.approx(found.critical * np.sqrt(1.5))


def test_a_block_takes_nothing_from_the_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3))
    plain = block_model.compare(values, [None, 0, 0, 0, 0])
    moved = block_model.compare(values + [0.0, 40.0, -7.0], [None, 0, 0, 0, 0])
    np.testing.assert_allclose(moved.difference, plain.difference)
    np.testing.assert_allclose(moved.se, plain.se)


@pytest.mark.parametrize("seed", range(8))
def test_missing_cells_equal_numpys_least_squares(seed):
    rng = np.random.default_rng(seed)
    rows, blocks = 6, 4
    values = rng.normal(size=(rows, blocks))
    values[rng.random(values.shape) < 0.4] = NAN
    found = block_model.compare(values, [0] * rows)
    row, block = np.nonzero(np.isfinite(values))
    matrix = np.concatenate([np.eye(rows)[row], np.eye(blocks)[block]], 1)
    inverse, rank = np.linalg.pinv(matrix), np.linalg.matrix_rank(matrix)
    effects = inverse @ values[row, block]
    rest = values[row, block] - matrix @ effects
    assert found.df == len(row) - rank
    variance = rest @ rest / found.df
    own = [rest[row == m] @ rest[row == m] for m in range(rows)]
    own = [x / max((row == m).sum() - 1, 1) for m, x in enumerate(own)]
    for m in range(1, rows):
        contrast = np.eye(rows + blocks)[m] - np.eye(rows + blocks)[0]
        if np.linalg.matrix_rank(np.vstack([matrix, contrast])) > rank:
            assert np.isnan(found.difference[m]) and np.isnan(found.se[m])
            continue
        weights = inverse[m] - inverse[0]
        expected = weights**2 @ np.maximum(variance, own)[row]
        assert found.difference[m] == pytest.approx(effects[m] - effects[0])
        assert found.se[m] ** 2 == pytest.approx(expected)


def test_a_row_with_fewer_cells_is_judged_by_them():
    """Among many rows the blocks are known, so that its own cells are what counts."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 4))
    values[1, 1:] = NAN
    found = block_model.compare(values, [None] + [0] * 199)
    reference = max(found.s**2, _own(values, found, 0))
    assert found.se[1] ** 2 == pytest.approx(found.s**2 + reference / 4, rel=0.01)


def _own(values, found, row):
    rest = values - np.nanmean(values, 0)
    rest = rest[row] - rest[row].mean()
    return rest @ rest / 3


def test_rows_without_a_common_block_are_not_compared():
    values = np.array([[1.0, 2.0, NAN], [3.0, 5.0, NAN], [NAN, NAN, 9.0]])
    found = block_model.compare(values, [None, 0, 0])
    assert (found.family, found.df) == ((1,), 1)  # 5 cells less rank 4
    assert found.difference[1] == pytest.approx(2.5)
    assert np.isnan(found.difference[2])


@pytest.mark.parametrize(
    "values",
    [
        [[1.0], [2.0]],  # one block
        [[1.0, 3.0], [1.5, 3.5]],  # no spread
        [[0.1, 0.3], [0.1 + 0.2, 0.5 - 1e-17]],  # but for rounding
        [[1.0, NAN], [NAN, 2.0]],
        [[NAN, NAN], [1.0, 2.0]],
        [[NAN, NAN], [NAN, NAN]],
    ],
)
def test_no_estimate_of_the_spread_no_interval(values):
    found = block_model.compare(np.array(values), [None, 0])
    assert (found.s, found.critical, found.half_width) == (None, None, None)
    assert found.blocks_to_show(1.0) is None
    assert np.isnan(found.p()).all() and np.isnan(found.se).all()


def test_blocks_that_would_show_a_difference():
    values = np.random.default_rng(0).normal(size=(10, 3))
    found = block_model.compare(values, [None] + [0] * 9)
    blocks = found.blocks_to_show(1.0)

    def half(blocks):
        c = dunnett.critical((9,), 9 * (blocks - 1))
        return c * found.s * np.sqrt(2 / blocks)

    assert half(blocks) <= 1.0 < half(blocks - 1)


# Of methods whose spreads run in geometric steps, and of the student alone.
SPREADS = [(1.0, 1.0, 1.0)] + [(0.33, 2.4, alone) for alone in (0.85, 1.2, 2.4)]


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high", "alone"), SPREADS)
def test_all_intervals_of_simulated_tables_hold_together(low, high, alone):
    """20,000 tables of 60 methods and the student alone in three blocks."""
    rng = np.random.default_rng(16)
    tables, methods, blocks = 20_000, 60, 3
    spreads = np.append(alone, np.geomspace(low, high, methods))[:, None]
    effects = rng.normal(scale=3.0, size=(methods + 1, 1))
    values = effects + spreads * rng.normal(size=(tables, methods + 1, blocks))
    values += rng.normal(scale=2.0, size=(tables, 1, blocks))
    found = block_model.compare(values, [None] + [0] * methods)
    assert (found.family, found.df) == ((methods,), methods * (blocks - 1))
    true = effects[1:, 0] - effects[0, 0]
    reach = found.critical * found.se[:, 1:]
    holds = (np.abs(found.difference[:, 1:] - true) <= reach).all(1).mean()
    if low == high:
        assert 0.95 <= holds <= 0.98
    else:
        assert holds >= 0.86
