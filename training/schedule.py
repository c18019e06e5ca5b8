"""Learning rates of a whole phase, one per step, computed before it starts."""

from collections.abc import Sequence

import numpy as np


def constant(rate: float, total_steps: int) -> np.ndarray:
    """The same rate at every step; float32 [total_steps]."""
    return np.full(total_steps, rate, np.float32)


def step_decay(
    rate: float, total_steps: int, decay_steps: Sequence[int], decay_rate: float
) -> np.ndarray:
    """`rate` times `decay_rate` once for each of `decay_steps` already reached.

    Returns:
        float32 [total_steps]; step `decay_steps[0]` is the first decayed one.
    """
    passed = np.searchsorted(np.sort(decay_steps), np.arange(total_steps), "right")
    return (rate * np.power(decay_rate, passed, dtype=np.float64)).astype(np.float32)


def cosine(rate: float, total_steps: int) -> np.ndarray:
    """Half a cosine from `rate` to almost 0 (Loshchilov and Hutter 2017, eq. 5).

    https://arxiv.org/abs/1608.03983, without restarts; float32 [total_steps].
    """
    turn = np.pi * np.arange(total_steps) / max(total_steps, 1)
    return (0.5 * rate * (1.0 + np.cos(turn))).astype(np.float32)


def with_warmup(rates: np.ndarray, warmup_steps: int) -> np.ndarray:
    """Scales the first `warmup_steps` rates linearly, from 1/n to n/n."""
    ramp = (np.arange(len(rates)) + 1) / max(warmup_steps, 1)
    return (rates * np.minimum(ramp, 1.0)).astype(np.float32)
