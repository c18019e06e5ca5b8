"""The arrays that `fit` gets, as Keras users give them."""

import math

import numpy as np
import tensorflow as tf

from common.errors import wrong
from keras_fit import weights as fit_weights


def read(x, y, sample_weight, batch_size: int | None) -> tuple:
    """Images, labels, their weights and the batch size: lists become arrays.

    Args:
        x: of `fit`.
        y: the same.
        sample_weight: the same.
        batch_size: the same; None is 32, or what a dataset has.

    Raises:
        ValueError: a dataset, which has all of these itself, came with one of them.
    """
    if isinstance(x, tf.data.Dataset):
        given = {"y": y, "sample_weight": sample_weight}
        names = [name for name, value in given.items() if value is not None]
        if names:
            raise wrong(
                "A dataset has its labels and weights itself",
                expected="batches of (image, label, weight), or dicts with image, "
                "label and sample_weight",
                received=f"x=a tf.data.Dataset with {' and '.join(names)}",
            )
        return x, y, None, batch_size
    batch_size = 32 if batch_size is None else batch_size
    if batch_size < 1:
        raise wrong("A batch has images", expected="1 or more", batch_size=batch_size)
    x, y = (np.asarray(a) if isinstance(a, list | tuple) else a for a in (x, y))
    shape = getattr(x, "shape", None)
    number = shape[0] if shape is not None and len(shape) else 0
    return x, y, fit_weights.check_images(sample_weight, number), batch_size


def split(x, y, weight, share: float, validation_data=None) -> tuple:
    """Images, labels and weights to train on, and a tuple of those to validate on.

    The last images are held out, before any order is drawn, as in Keras.

    Args:
        x: images [N, H, W, C].
        y: labels [N].
        weight: [N], or None.
        share: of the images that is held out, above 0 and below 1.
        validation_data: of `fit`, which takes the place of a share.

    Raises:
        ValueError: these are no arrays, or one part would be empty.
    """
    if validation_data is not None:
        return x, y, weight, validation_data
    number = 0 if isinstance(x, tf.data.Dataset) or y is None else len(y)
    at = math.floor(number * (1.0 - share)) if 0 < share < 1 else 0
    if not 0 < at < number:
        raise wrong(
            "Nothing can be held out",
            expected="arrays with validation_split above 0 and below 1 that leaves "
            "images in both parts, or validation_data",
            received=f"validation_split={share}, {number} images in arrays",
        )
    parts = (x, y) if weight is None else (x, y, weight)
    first, last = (tuple(a[s] for a in parts) for s in (slice(at), slice(at, None)))
    return *(*first, None)[:3], last
