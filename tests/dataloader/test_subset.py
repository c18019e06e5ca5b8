import numpy as np
import pytest

from dataloader import subset

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [40, 33, 10, 3]))


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.5, 0.999, 1.0])
def test_fraction_of_every_class(fraction):
    chosen = subset.balanced_subset(LABELS, fraction, seed=1)
    expected = [max(round(fraction * n), 1) for n in (40, 33, 10, 3)]
    assert np.bincount(LABELS[chosen]).tolist() == expected
    assert np.all(np.diff(chosen) > 0)  # ascending, none twice


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_fractions_are_nested(seed):
    subsets = [
        set(subset.balanced_subset(LABELS, fraction, seed).tolist())
        for fraction in (0.05, 0.1, 0.25, 0.5, 1)
    ]
    for small, large in zip(subsets, subsets[1:], strict=False):
        assert small < large
    assert subsets[-1] == set(range(len(LABELS)))


def test_fraction_is_a_function_of_the_seed():
    first, again, other = (subset.balanced_subset(LABELS, 0.5, s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_choices_outlive_numpy_versions():
    labels = np.arange(20) % 2
    chosen = subset.balanced_subset(labels, 0.3, seed=5)
    np.testing.assert_array_equal(chosen, [2, 5, 12, 14, 15, 19])
    _, validation = subset.split_validation(labels, 0.2, seed=5)
    np.testing.assert_array_equal(validation, [3, 14, 15, 16])


def test_classes_are_chosen_independently():
    labels = np.repeat([0, 1], 50)
    chosen = subset.balanced_subset(labels, 0.5, seed=0)
    assert set(chosen[:25]) != set(chosen[25:] - 50)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_validation_takes_its_share_of_every_class(share):
    train, validation = subset.split_validation(LABELS, share, seed=1)
    together = np.concatenate([train, validation])
    assert sorted(together.tolist()) == list(range(len(LABELS)))
    expected = [min(max(round(share * n), 1), n - 1) for n in (40, 33, 10, 3)]
    assert np.bincount(LABELS[validation], minlength=4).tolist() == expected
    assert np.all(np.diff(train) > 0) and np.all(np.diff(validation) > 0)


def test_no_share_holds_nothing_out():
    train, validation = subset.split_validation(LABELS, 0, seed=1)
    assert train.tolist() == list(range(len(LABELS)))
    assert len(validation) == 0 and validation.dtype == train.dtype
    assert LABELS[validation].shape == (0,)


def test_a_class_of_one_stays_in_training():
    train, validation = subset.split_validation(np.array([0, 1, 1]), 0.9, seed=0)
    assert 0 in train and len(validation) == 1


def test_validation_is_a_function_of_the_seed():
    first, again, other = (subset.split_validation(LABELS, 0.3, s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[1]) != set(other[1])


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=rf"0 < fraction <= 1.*fraction={fraction}"):
        subset.balanced_subset(LABELS, fraction, seed=0)


@pytest.mark.parametrize("share", [1, -0.1, float("nan")])
def test_share_out_of_range(share):
    with pytest.raises(ValueError, match=rf"0 <= share < 1.*share={share}"):
        subset.split_validation(LABELS, share, seed=0)


def test_negative_seed():
    with pytest.raises(ValueError, match=">= 0.*seed=-1"):
        subset.balanced_subset(LABELS, 0.5, seed=-1)
    with pytest.raises(ValueError, match=">= 0.*seed=-1"):
        subset.split_validation(LABELS, 0.5, seed=-1)
