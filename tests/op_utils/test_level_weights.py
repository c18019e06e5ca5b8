import numpy as np

from op_utils.level_weights import halved_from_deepest


def test_the_deepest_counts_fully():
    np.testing.assert_array_equal(halved_from_deepest([8.0, 6.0, 5.0]), [2.0, 3.0, 5.0])
    np.testing.assert_array_equal(halved_from_deepest([7.0]), [7.0])
