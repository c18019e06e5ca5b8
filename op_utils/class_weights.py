"""How much each class counts in the label loss, so that rare ones are not lost."""

import operator
from collections.abc import Sequence

import numpy as np

from common.errors import wrong

BALANCED = "balanced"


def balanced(labels, num_classes: int) -> np.ndarray:
    """Weights n / (classes * n_c), scikit-learn's "balanced"; n_c images of class c.

    The mean weight of the images is 1. Classes are counted that have images; those that
    have none get 1, which is never used.

    Args:
        labels: integers [N], of the images that are trained on.
        num_classes: number of logits.

    Returns:
        float32 [num_classes], positive.
    """
    counts = np.bincount(np.asarray(labels), minlength=num_classes)
    weights = np.ones(num_classes)
    present = counts > 0
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)


def of(given, labels, num_classes: int) -> np.ndarray | None:
    """The weights that a user asks for.

    Args:
        given: "balanced"; class -> weight, where a class that is not named has 1, as in
            `keras.Model.fit`; or None or "" for none.
        labels: integers [N], of the images that are trained on.
        num_classes: number of logits.

    Returns:
        float32 [num_classes], or None.

    Raises:
        ValueError: it is none of these, a class is unknown, or a weight is no finite
            number of 0 or more.
    """
    if given is None or isinstance(given, str) and not given:
        return None
    if isinstance(given, str) and given == BALANCED:
        return balanced(labels, num_classes)
    weights = np.ones(num_classes, np.float32)
    try:
        pairs = [(operator.index(c), float(w)) for c, w in dict(given).items()]
        is_known = all(
            0 <= label < num_classes and 0 <= weight < np.inf for label, weight in pairs
        )
    except (TypeError, ValueError):
        is_known = False
    if not is_known:
        raise wrong(
            "class_weight is not clear",
            expected="'balanced', or {class: weight} with classes from 0 to "
            f"{num_classes - 1} and finite weights, 0 or more",
            received=f"class_weight={given!r}",
        )
    for label, weight in pairs:
        weights[label] = weight
    return weights


def check_has_label_loss(phases: Sequence, task_weight: float, name: str) -> None:
    """Raises ValueError if no phase has a label loss, which the classes could weigh.

    Args:
        phases: the method's.
        task_weight: of those phases that name none.
        name: of the setting, as its user gave it.
    """
    weights = [phase.task_weight for phase in phases]
    if not any(task_weight if weight is None else weight for weight in weights):
        raise wrong(
            "Classes weigh the label loss alone, and there is none in any phase",
            expected="a task_weight above 0, or no class_weight",
            received=f"{name} with task_weight={task_weight:g}",
        )
