"""Statistics of pixels."""

import numpy as np


def pixel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation over all pixels of each channel.

    Args:
        images: uint8 [N, H, W, C].

    Returns:
        (mean, std), C numbers each, of pixels scaled to [0, 1]. The deviation is at
        least one grey level, so that a constant channel can be divided by it.
    """
    return count_statistics(count_values(images))


def count_values(images: np.ndarray) -> np.ndarray:
    """How often each channel of uint8 [N, H, W, C] has each value, int64 [C, 256]."""
    # Counting the 256 values is exact and, done in blocks, needs no float copy.
    counts = np.zeros([images.shape[-1], 256], np.int64)
    for start in range(0, len(images), 1024):
        for channel, count in enumerate(counts):
            pixels = images[start : start + 1024, ..., channel].ravel()
            count += np.bincount(pixels, minlength=256)
    return counts


def count_statistics(
    counts: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`pixel_statistics` from what `count_values` counted."""
    share = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values  # [C]
    variance = (share * (values - mean[:, np.newaxis]) ** 2).sum(axis=1)
    std = np.maximum(np.sqrt(variance), 1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())
