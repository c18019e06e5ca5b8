"""What a training says of an epoch in its row of metrics.csv."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from training.observers import metrics_table
from training.observers.observer import Moment


def of_training(moment: Moment, means: Mapping[str, float]) -> dict:
    """Where the epoch ends, and the means of its steps' scalars."""
    row = {
        "phase": moment.phase,
        "epoch": moment.epoch,
        "step": moment.step,
        "learning_rate": moment.learning_rate,
    }
    means = dict(means)
    if "accuracy" in means:
        row["train_accuracy"] = means.pop("accuracy")
    return row | means


def norm(variables: Sequence[tf.Variable]) -> float:
    """Euclidean norm of all entries of all variables, in float32."""
    weights = [tf.cast(variable, tf.float32) for variable in variables]
    return float(tf.linalg.global_norm(weights))


def of_forwards(passes: Mapping[str, float], reads_cache: bool) -> dict:
    """How often a step asks each net for an image, and whether it read the cache."""
    row = {f"{role}_forward_passes": count for role, count in passes.items()}
    return row | ({metrics_table.CACHED: 1} if reads_cache else {})
