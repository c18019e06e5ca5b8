import numpy as np
import pytest

from op_utils.channel_products import as_rows, channel_products


def test_rows_are_positions():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    rows = as_rows(maps)
    assert rows.shape == (2, 12, 5)
    np.testing.assert_array_equal(rows[1, 4 * 2 + 3], maps[1, 2, 3])


@pytest.mark.parametrize("positions", [2, 9])
def test_products_equal_the_definition(positions):
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, positions, 4))
    second = rng.normal(size=(3, positions, 6))
    expected = np.zeros((3, 4, 6))
    for b, m, n in np.ndindex(expected.shape):
        expected[b, m, n] = first[b, :, m] @ second[b, :, n]
    np.testing.assert_allclose(channel_products(first, second), expected)
