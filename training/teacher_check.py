"""What a given teacher knows of the data, told before hours are spent on it."""

from collections.abc import Callable

import numpy as np

from op_utils import metrics

LARGEST = 2000  # images that are looked at: seconds, however large the data are


def before_training(
    settings, folder, teacher, evaluator, data, log: Callable[[str], None] = print
) -> None:
    """Tells a given teacher's accuracy, and warns if it is no better than a guess.

    On the validation split if there is one, otherwise on training images as they are,
    before augmentation; the test images are not looked at. Draws no random number. A
    run that goes on has told it before.

    Args:
        settings: an `settings.Options`.
        folder: the `run_folder.RunFolder`.
        teacher: the net as it sees the run's images; None where there is none.
        evaluator: the run's `evaluation.Evaluator`.
        data: a `dataloader.TrainingData`.
        log: told, a line each.
    """
    is_new = not folder.checkpoints.directory.exists()
    if teacher is None or not settings.has_trained_teacher or not is_new:
        return
    name = "validation" if len(data.validation) else "training"
    split = data.validation if len(data.validation) else data.train
    split = split.take(spread(split.labels, LARGEST))
    accuracy = metrics.top_k_accuracy(evaluator.logits_of(teacher, split), split.labels)
    count, commonest = len(split), commonest_share(split.labels)
    log(
        f"teacher: {100 * accuracy:.2f} % right on {count:,} {name} images (the "
        f"commonest class is {100 * commonest:.2f} % of them)"
    )
    if is_a_guess(accuracy, commonest, count):
        log(
            "warning: the teacher is no better than one that always names the "
            "commonest class. Check that its classes stand in the data's order "
            "(docs/your_data.md) and how it wants its pixels (--teacher_scaling, or "
            "the mean and std in its file)"
        )


def spread(labels: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most so many labels, with each class's share of them.

    At even distances among those of one class; ascending.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    by_class = np.argsort(labels, kind="stable")
    return np.sort(by_class[np.arange(most) * len(labels) // most])


def commonest_share(labels: np.ndarray) -> float:
    """The commonest class's share of the labels, 0 to 1."""
    return float(np.bincount(labels).max() / len(labels))


def is_a_guess(accuracy: float, commonest: float, count: int) -> bool:
    """Whether an accuracy is no more than naming the commonest class may reach.

    Args:
        accuracy: 0 to 1, measured on `count` images.
        commonest: the commonest class's share.
        count: number of images. Two standard deviations of a share of so many count
            as none, but of very few images at most half of what is possible.
    """
    noise = 2 * np.sqrt(commonest * (1 - commonest) / count)
    return bool(accuracy <= commonest + min(noise, (1 - commonest) / 2))
