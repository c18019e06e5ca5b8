"""Class-balanced choices of training examples: validation split and fractions."""

import numpy as np

from common.errors import wrong

_VALIDATION, _FRACTION = 0, 1  # separate random streams of one seed


def split_validation(
    labels: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divides examples into training and validation, the same share of each class.

    A class of n examples gives round(share * n) of them to validation, at least
    1 and at most n - 1, so that no class is missing from the training side.

    Args:
        labels: integers [N].
        share: part held out, 0 <= share < 1; 0 holds nothing out.
        seed: integer >= 0; the choice is a function of `labels` and `seed`.

    Returns:
        (train_indices, validation_indices), both ascending positions in `labels`.

    Raises:
        ValueError: `share` or `seed` is out of range.
    """
    if not 0 <= share < 1:  # written so that nan fails too
        raise wrong(
            "The validation share is out of range",
            expected="0 <= share < 1",
            share=share,
        )
    held_out = np.zeros(len(labels), bool)
    if share > 0:
        for members in _shuffled_classes(labels, seed, _VALIDATION):
            count = min(max(round(share * len(members)), 1), len(members) - 1)
            held_out[members[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def balanced_subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Chooses the same fraction of every class.

    A class of n examples keeps round(fraction * n) of them, at least 1. Subsets
    are nested: with one seed, a smaller fraction is contained in a larger one.

    Args:
        labels: integers [N].
        fraction: part kept, 0 < fraction <= 1.
        seed: integer >= 0; the choice is a function of `labels` and `seed`.

    Returns:
        Ascending positions in `labels`. If those are what a validation split left
        over, `train_indices[result]` refers to the published training split.

    Raises:
        ValueError: `fraction` or `seed` is out of range.
    """
    if not 0 < fraction <= 1:  # written so that nan fails too
        raise wrong(
            "The fraction of training data is out of range",
            expected="0 < fraction <= 1",
            fraction=fraction,
        )
    kept = [
        members[: max(round(fraction * len(members)), 1)]
        for members in _shuffled_classes(labels, seed, _FRACTION)
    ]
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.intp)


def _shuffled_classes(labels, seed, stream):
    """Yields the positions of each class in a random order."""
    if seed < 0:
        raise wrong(
            "The seed is out of range", expected="an integer >= 0", received=f"{seed=}"
        )
    labels = np.asarray(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        # NumPy promises the raw bits of PCG64 for ever, Generator.permutation not.
        bits = np.random.PCG64([seed, stream, int(label)]).random_raw(len(members))
        yield members[np.argsort(bits, kind="stable")]
