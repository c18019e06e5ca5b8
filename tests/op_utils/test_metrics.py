import numpy as np
import pytest

from op_utils import metrics

RNG = np.random.default_rng(0)
LOGITS = (3 * RNG.normal(size=(50, 7))).astype(np.float32)
LABELS = RNG.integers(0, 7, 50)


def softmax(row):
    powers = [np.exp(float(x)) for x in row]
    return [power / sum(powers) for power in powers]


def test_log_softmax_equals_a_naive_one():
    expected = [np.log(softmax(row)) for row in LOGITS]
    found = metrics.log_softmax(LOGITS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_log_softmax_of_large_logits_is_finite_and_leaves_its_input():
    logits = np.array([[1e4, 0.0], [-1e4, -1e4]])
    kept = logits.copy()
    np.testing.assert_allclose(
        metrics.log_softmax(logits), [[0.0, -1e4], [-np.log(2), -np.log(2)]]
    )
    np.testing.assert_array_equal(logits, kept)


@pytest.mark.parametrize("k", [1, 2, 5, 7, 9])
def test_top_k_equals_sorting(k):
    hits = []
    for row, label in zip(LOGITS, LABELS, strict=True):
        ranked = sorted(range(7), key=lambda c: row[c], reverse=True)
        hits.append(label in ranked[:k])
    assert metrics.top_k_accuracy(LOGITS, LABELS, k) == np.mean(hits)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_of_equal_logits_the_first_ones_count(k):
    logits = np.zeros((4, 4))
    labels = np.arange(4)
    assert metrics.top_k_accuracy(logits, labels, k) == k / 4
    logits = np.array([[1.0, 5.0, 5.0, 5.0]] * 4)
    expected = sum(place < k for place in (3, 0, 1, 2)) / 4
    assert metrics.top_k_accuracy(logits, labels, k) == expected


def test_top_1_is_the_argmax_with_ties():
    logits = np.round(LOGITS)
    assert metrics.top_k_accuracy(logits, LABELS) == np.mean(logits.argmax(1) == LABELS)


@pytest.mark.parametrize("k", [1, 5, 7])
def test_nan_logits_are_never_right(k):
    everything = np.full((7, 7), np.nan)
    assert metrics.top_k_accuracy(everything, np.arange(7), k) == 0.0
    own, other = np.zeros((1, 7)), np.zeros((1, 7))
    own[0, 0] = other[0, 6] = np.nan
    assert metrics.top_k_accuracy(own, np.array([0]), k) == 0.0
    assert metrics.top_k_accuracy(other, np.array([0]), k) == 0.0


def test_infinite_logits_are_numbers():
    logits = np.array([[np.inf, 0.0, -np.inf]])
    found = [metrics.top_k_accuracy(logits, np.array([c]), 1) for c in range(3)]
    assert found == [1.0, 0.0, 0.0]


def test_negative_log_likelihood_equals_a_naive_one():
    losses = [
        -np.log(softmax(row)[label]) for row, label in zip(LOGITS, LABELS, strict=True)
    ]
    found = metrics.negative_log_likelihood(LOGITS, LABELS)
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-12)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_equals_a_naive_one(bins):
    confidences = [max(softmax(row)) for row in LOGITS]
    hits = [np.argmax(row) == label for row, label in zip(LOGITS, LABELS, strict=True)]
    expected = 0.0
    for b in range(bins):
        inside = [
            i for i, c in enumerate(confidences) if b / bins < c <= (b + 1) / bins
        ]
        if inside:
            accuracy = np.mean([hits[i] for i in inside])
            confidence = np.mean([confidences[i] for i in inside])
            expected += len(inside) / 50 * abs(accuracy - confidence)
    found = metrics.expected_calibration_error(LOGITS, LABELS, bins)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found > 0.01


@pytest.mark.parametrize("low", [0.4, 0.5])
def test_bins_are_kept_apart_and_closed_above(low):
    """A right and a wrong example would cancel in one bin; 0.5 is in the lower one."""
    rest = 1 - low
    probabilities = np.array([[low, 0.5 * rest, 0.5 * rest], [0.05, 0.05, 0.9]])
    found = metrics.expected_calibration_error(np.log(probabilities), np.zeros(2), 2)
    np.testing.assert_allclose(found, ((1 - low) + 0.9) / 2, rtol=1e-9)


def test_calibration_error_of_sure_nets():
    sure = 1e3 * np.eye(4)
    right, wrong = np.arange(4), (np.arange(4) + 1) % 4
    assert metrics.expected_calibration_error(sure, right) == 0.0
    assert metrics.expected_calibration_error(sure, wrong) == 1.0


@pytest.mark.filterwarnings("ignore:invalid value")
def test_losses_of_nan_logits_are_nan():
    logits = np.array([[np.nan, 0.0], [1.0, 0.0]])
    labels = np.array([0, 0])
    assert np.isnan(metrics.negative_log_likelihood(logits, labels))
    assert np.isnan(metrics.expected_calibration_error(logits, labels))


def test_agreement():
    other = LOGITS.copy()
    other[:10] = np.roll(other[:10], 1, axis=1)
    assert metrics.agreement(LOGITS, other) == 0.8
    assert metrics.agreement(LOGITS, 2 * LOGITS) == 1.0


def test_broken_nets_agree_with_nobody():
    broken = LOGITS.copy()
    broken[:5, 0] = np.nan
    assert metrics.agreement(broken, broken) == 0.9
    assert metrics.agreement(LOGITS, broken) == 0.9
    assert metrics.agreement(broken, LOGITS) == 0.9
