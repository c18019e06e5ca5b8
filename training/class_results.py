"""How well a net tells each class: as a list for programs and a table for people."""

from collections.abc import Sequence

import numpy as np

from op_utils import metrics
from training import report

SHOWN = 20  # classes in the table
_WIDTH = 40  # of a class's name in it


def measure(
    logits: np.ndarray, labels: np.ndarray, names: Sequence[str] | None
) -> tuple[float, list[dict]]:
    """The mean of the classes' accuracies, and the figures of each class.

    Args:
        logits: [N, C].
        labels: integers [N].
        names: of the C classes; None calls them by their numbers.

    Returns:
        The mean, over the classes that have images; and of each class, in the order of
        the logits, a dict of `class`, `images`, `recall` (its accuracy) and
        `precision`, of which those that nothing is known of are None.
    """
    found = metrics.per_class(logits, labels)
    names = names or range(logits.shape[1])
    rows = [
        {
            "class": str(name),
            "images": int(images),
            **{
                key: None if np.isnan(value) else float(value)
                for key, value in (("recall", recall), ("precision", precision))
            },
        }
        for name, images, recall, precision in zip(names, *found.values(), strict=True)
    ]
    return metrics.balanced_accuracy(found["recall"]), rows


def table(rows: Sequence[dict], most: int = SHOWN) -> str:
    """The classes as aligned text; of more than `most`, those of the least accuracy."""
    title, shown = "class", list(rows)
    if len(rows) > most:
        title = f"the {most} worst of {len(rows)} classes"
        known = [row for row in rows if row["recall"] is not None]
        shown = sorted(known, key=lambda row: row["recall"])[:most]
    lines = [[title, "images", "accuracy %", "precision %"]]
    for row in shown:
        shares = (_percent(row[key]) for key in ("recall", "precision"))
        lines.append([_short(row["class"]), f"{row['images']:,}", *shares])
    return report.aligned(lines)


def _short(name: str) -> str:
    """A name in one line, and of a long one, as ImageNet's are, its beginning."""
    name = " ".join(name.split())
    name = name if name.isprintable() else ascii(name)
    return name if len(name) <= _WIDTH else f"{name[: _WIDTH - 3]}..."


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
