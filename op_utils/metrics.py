"""Figures of a classifier from all its logits at once, in NumPy float64."""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float64 [N, C], of logits [N, C]."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Share of examples whose label is among the k largest logits, 0 to 1.

    Of equal logits the one with the smaller class counts as larger, as in argmax.
    Where a logit is nan there is no prediction, so the example counts as wrong.
    """
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1])[None] < labels[:, None]
    rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return float(np.mean((rank < k) & _is_predicted(logits)))


def per_class(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """How well each class is told, [C] each, C the number of logits.

    Where a logit is nan there is no prediction, as in `top_k_accuracy`.

    Args:
        logits: [N, C].
        labels: integers [N].

    Returns:
        `images`: how many are of the class; `recall`: the share of these that is
        predicted as such, nan where there are none; `precision`: the share of what is
        predicted as the class that is of it, nan where nothing is.
    """
    num_classes, is_predicted = logits.shape[1], _is_predicted(logits)
    predicted = logits.argmax(axis=1)[is_predicted]
    hits = predicted[predicted == labels[is_predicted]]
    of_class, as_class, right = (
        np.bincount(classes, minlength=num_classes)
        for classes in (labels, predicted, hits)
    )
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan
        return {
            "images": of_class,
            "recall": right / of_class,
            "precision": right / as_class,
        }


def balanced_accuracy(recall: np.ndarray) -> float:
    """The mean of the classes' recalls, those without images left out; 0 to 1."""
    return float(np.mean(recall[~np.isnan(recall)]))


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the examples, in nats."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def expected_calibration_error(
    logits: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Guo et al. 2017, eq. 3: |accuracy - confidence| averaged over the examples.

    https://arxiv.org/abs/1706.04599. `bins` equal intervals of confidence, each
    open below and closed above. Between 0 and 1.
    """
    confidence = np.exp(log_softmax(logits).max(axis=1))
    hits = logits.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=hits - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def agreement(logits: np.ndarray, other: np.ndarray) -> float:
    """Share of examples for which two nets predict the same class, 0 to 1.

    A net with a nan among the logits of an example predicts none.
    """
    is_equal = logits.argmax(axis=1) == other.argmax(axis=1)
    return float(np.mean(is_equal & _is_predicted(logits) & _is_predicted(other)))


def _is_predicted(logits: np.ndarray) -> np.ndarray:
    return ~np.isnan(logits).any(axis=1)
