"""How much each of several levels of a net counts."""

from collections.abc import Sequence

import tensorflow as tf


def halved_from_deepest(losses: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Loss i of n, counted from 1, times 2^(i - n): the deepest counts fully.

    Args:
        losses: one for each level, the shallowest first.

    Returns:
        As many weighted losses, in the same order.
    """
    deepest = len(losses) - 1
    return [2.0 ** (level - deepest) * loss for level, loss in enumerate(losses)]
