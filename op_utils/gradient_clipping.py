"""Keeps a method's gradient from drowning the task's, one variable at a time."""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf


def clip_to_task(task_gradients: Sequence, method_gradients: Sequence, ratio) -> list:
    """For each variable g + clip(m), with clip(m) = m min(1, ratio ||g|| / ||m||).

    A common factor of all gradients, such as a loss scale, passes through.

    Args:
        task_gradients: g, a tensor or None for each variable.
        method_gradients: m, likewise.
        ratio: scalar, at least 0: how long m may be in units of g.

    Returns:
        The sums. Where one of the two is None, the other as it is: variables that the
        task does not reach are the method's own, and no task of theirs can drown.
    """
    return [
        _clipped_sum(g, m, ratio)
        for g, m in zip(task_gradients, method_gradients, strict=True)
    ]


def _clipped_sum(task, method, ratio):
    if task is None or method is None:
        return method if task is None else task
    bound = ratio * tf.norm(task)
    return task + method * tf.minimum(
        1.0, tf.math.divide_no_nan(bound, tf.norm(method))
    )


def epoch_ramp(epoch: tf.Tensor) -> tf.Tensor:
    """1 / (1 + exp(-e)), e whole epochs: 0.5 in the first one, then towards 1."""
    return tf.sigmoid(tf.floor(epoch))


def combiner(*, ramp: bool) -> Callable:
    """The `combine` of a `Phase` of a method that clips to the task's gradient.

    Source: Lee et al., Self-supervised Knowledge Distillation Using Singular Value
    Decomposition, https://arxiv.org/abs/1807.06819, in the form of the authors' code.

    Args:
        ramp: whether the ratio is `epoch_ramp` of the phase; otherwise it is 1.
    """
    return functools.partial(_combine, ramp)


def _combine(ramp, task_gradients, method_gradients, batch):
    ratio = epoch_ramp(batch["epoch"]) if ramp else 1.0
    return clip_to_task(task_gradients, method_gradients, ratio)
