"""A teacher's output that was computed before and comes with the batch."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

KEY = "teacher_output"  # of a batch: name -> float32 [B, ...], taps and logits
LOGITS, EMBEDDING = "logits", "embedding"


class KeptOutput(NamedTuple):
    """What of a net's output was kept; as the net returns it.

    Attributes:
        logits: [B, num_classes].
        taps: name -> [B, ...], those that were kept.
    """

    logits: tf.Tensor
    taps: dict[str, tf.Tensor]


def split(batch: Mapping) -> tuple[dict, dict[str, tf.Tensor]]:
    """The batch as methods see it; and what it has under `KEY`, or {}."""
    batch = dict(batch)
    return batch, batch.pop(KEY, {})


def restored(teacher, kept: Mapping[str, tf.Tensor]) -> KeptOutput:
    """The teacher's output; without logits among it, its head gives them.

    A matrix product may round a row by where in the batch it stands. The head, in the
    same place as in the whole net, gives the same bits; logits from elsewhere do not.

    Args:
        teacher: a net; its `head` is asked for logits of `EMBEDDING`.
        kept: name -> [B, ...].
    """
    taps = {name: tap for name, tap in kept.items() if name != LOGITS}
    if LOGITS in kept:
        return KeptOutput(kept[LOGITS], taps)
    return KeptOutput(teacher.head(taps[EMBEDDING]), taps)
