"""The teacher's logits on the test images, computed once for all runs that report them.

Beside a short training on a share of the data, they are a large part of what a run asks
of its teacher.
"""

import os
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from teacher_cache import key as cache_key
from teacher_cache.store import CacheFolder, SetAside
from training import evaluation

SPLIT, NAME = "test", "test_logits"


def keep(
    evaluator: evaluation.Evaluator,
    data,
    teacher,
    directory: os.PathLike,
    log: Callable[[str], None] = print,
) -> None:
    """Has the evaluator remember them: from an earlier run, or computed and kept.

    They are those that the evaluator computes itself, to the last bit: it compares the
    first batch, and is left to compute all if there is any difference.

    Args:
        evaluator: with the split `SPLIT`.
        data: a `dataloader.TrainingData`, whose test split it is.
        teacher: the net, which must not change afterwards.
        directory: where all caches are.
        log: told what is found and done, a line each.

    Raises:
        ValueError: they do not fit on the disk.
        OSError: the disk cannot be written.
    """
    split = evaluator.splits[SPLIT]
    shape = [evaluation.BATCH_SIZE, *data.train.image_shape]
    forward = evaluator.forward(teacher).get_concrete_function(
        tf.TensorSpec(shape, tf.uint8)
    )
    facts = cache_key.test_facts(data, teacher, forward)
    folder = CacheFolder(
        pathlib.Path(directory) / cache_key.of(facts),
        {NAME: tuple(forward.structured_outputs.shape[1:])},
        len(split.labels),
        "float32",
        log,
    )
    kept = _rows(folder, facts, lambda: evaluator.logits(teacher, SPLIT))
    live = evaluator.first_logits(teacher, SPLIT)
    if not np.array_equal(kept[: len(live)], live, equal_nan=True):
        log(
            f"teacher cache: {folder.array(0, NAME)} is not used: it differs from what "
            "the teacher says of the test images"
        )
        return
    evaluator.remember(teacher, SPLIT, kept)


def _rows(folder: CacheFolder, facts, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """All of them; computed, and once again if they are damaged."""
    for is_last in (False, True):
        missing = folder.missing({0: frozenset({NAME})})
        if missing:
            folder.fill(missing, facts, lambda *_: [{NAME: compute()}])
        try:
            return folder.rows(0, NAME, np.arange(folder.size))
        except SetAside as error:
            if is_last:
                raise
            folder.log(f"teacher cache: {error}; computed again")
