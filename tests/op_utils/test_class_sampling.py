import numpy as np
import pytest
import tensorflow as tf

from op_utils.class_sampling import ClassSampler

# Unbalanced, unsorted, and class 2 of five is missing. N = 60.
LABELS = (
    np.random.default_rng(0)
    .permutation([0] * 30 + [1] * 17 + [3] * 12 + [4])
    .astype(np.int32)
)
INDEX = np.array([np.flatnonzero(LABELS == c)[0] for c in (0, 1, 3, 4, 0)])


def drawn(count, times=1):
    """[times, anchors, count]."""
    sampler = ClassSampler(LABELS, 5)
    draw = tf.function(
        lambda seed: sampler.other_classes(tf.constant(INDEX), count, seed)
    )
    return np.stack([draw(tf.constant([5, i])).numpy() for i in range(times)])


@pytest.mark.parametrize("count", [1, 10, 30])
def test_draws_are_of_other_classes_and_differ_from_each_other(count):
    for rows in drawn(count, 20):
        assert rows.dtype == np.int32
        for anchor, row in zip(INDEX, rows, strict=True):
            assert len(np.unique(row)) == count
            assert LABELS[anchor] not in LABELS[row]


def test_as_many_as_there_are_are_all_of_them():
    for rows in drawn(30, 5):
        np.testing.assert_array_equal(np.sort(rows[0]), np.flatnonzero(LABELS != 0))


def test_too_few_others_come_again():
    (rows,) = drawn(45)
    for anchor, row in zip(INDEX, rows, strict=True):
        others = np.flatnonzero(LABELS != LABELS[anchor])
        assert set(row) <= set(others)
        assert (len(np.unique(row)) == 45) == (len(others) >= 45)


@pytest.mark.parametrize("count", [10, 45])
def test_every_other_sample_is_as_likely(count):
    """Each count is about binomial; 5 standard deviations."""
    times = 2000
    rows = drawn(count, times)
    for position, anchor in enumerate(INDEX):
        others = LABELS != LABELS[anchor]
        found = np.bincount(rows[:, position].ravel(), minlength=60)
        assert not found[~others].any()
        expected = times * count / others.sum()
        assert np.abs(found[others] - expected).max() < 5 * np.sqrt(expected)


def test_seeds_and_anchors_draw_differently_and_equal_seeds_equally():
    first, second = drawn(10, 2)
    assert not np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], first[4])
    np.testing.assert_array_equal(first, drawn(10)[0])


def test_same_class_covers_the_class_with_the_anchor():
    sampler = ClassSampler(LABELS, 5)
    rows = np.stack(
        [
            sampler.same_class(tf.constant(INDEX), tf.constant([i, 1])).numpy()
            for i in range(400)
        ]
    )
    for anchor, column in zip(INDEX, rows.T, strict=True):
        assert set(column) == set(np.flatnonzero(LABELS == LABELS[anchor]))


def test_large_data_do_not_overflow():
    """Products of two positions go beyond 2^31."""
    labels = np.repeat(np.arange(3), 100_000)
    sampler = ClassSampler(labels, 3)
    index = tf.constant([0, 150_000, 299_999])
    rows = sampler.other_classes(index, 60_000, tf.constant([1, 2])).numpy()
    for anchor, row in zip(index.numpy(), rows, strict=True):
        assert len(np.unique(row)) == 60_000
        assert labels[anchor] not in labels[row]
        quarter = np.bincount(row // 25_000, minlength=12)
        assert quarter[quarter > 0].min() > 4000, "about 7500 each"


def test_one_class_alone_raises():
    with pytest.raises(ValueError, match=r"two classes.*Received: 4 examples of 1"):
        ClassSampler(np.full(4, 2), 5)
