"""The end of a run as a table for people and as numbers for programs."""

from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from op_utils import metrics

COLUMNS = {
    "role": "",
    "net": "net",
    "top1": "top-1 %",
    "top5": "top-5 %",
    "loss": "loss",
    "parameters": "parameters",
    "non_trainable_parameters": "non-trainable",
    "multiply_accumulates": "multiply-accumulates",
    "compression": "compression",
}

_UNKNOWN = {"non_trainable_parameters": "?"}

# What test.py prints, one line each.
TITLES = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "balanced_accuracy": "mean of the classes' accuracies",
    "loss": "negative log-likelihood (nats)",
    "expected_calibration_error": "expected calibration error",
    "agreement": "agreement with the teacher",
    "teacher_top1": "top-1 accuracy of the teacher",
    "parameters": "parameters",
    "non_trainable_parameters": "non-trainable parameters",
    "multiply_accumulates": "multiply-accumulates",
    "images_per_second": "images/s",
}


def quality(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracies from 0 to 1 and the mean negative log-likelihood in nats."""
    return {
        "top1": metrics.top_k_accuracy(logits, labels),
        "top5": metrics.top_k_accuracy(logits, labels, k=5),
        "loss": metrics.negative_log_likelihood(logits, labels),
    }


def table(entries: Mapping[str, Mapping]) -> str:
    """Aligned text of nets by role, each with the keys of `COLUMNS`.

    Compression is the first entry's parameter count over each one's. Results of before
    do not say how many parameters are not trainable.
    """
    largest = next(iter(entries.values()))["parameters"]
    rows = [list(COLUMNS.values())]
    for role, entry in entries.items():
        compression = f"{largest / entry['parameters']:.1f}x"
        values = {**_UNKNOWN, **entry, "role": role, "compression": compression}
        rows.append([_text(key, values[key]) for key in COLUMNS])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text with columns of equal width; the first column to the left."""
    return tabulate(
        rows, tablefmt="plain", stralign="right", colalign=("left",),
        disable_numparse=True,
    )  # fmt: skip


def _text(key: str, value) -> str:
    if key in ("top1", "top5"):
        return f"{100 * value:.2f}"
    if key == "loss":
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
