"""Comparing what pipelines give."""

import numpy as np


def assert_same(first, second, least=1):
    """Batches, lists of dicts of arrays, equal to the last bit; at least so many."""
    assert len(first) == len(second) >= least
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def by_index(found):
    """Index -> image."""
    return {
        int(index): image
        for batch in found
        for index, image in zip(batch["index"], batch["image"], strict=True)
    }
