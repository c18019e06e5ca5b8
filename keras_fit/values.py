"""Whether labels and pixels are what they are taken for, before they teach."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from common.errors import wrong
from nets.base import Net

_PIXELS = 10.0  # what normalised images without a negative number never reach

_FRACTION = (
    "The labels are no classes. Expected integers, or whole numbers. Received: floats "
    "with a fraction."
)


def as_classes(label: tf.Tensor) -> tf.Tensor:
    """Labels [B] as int32; floats that are whole numbers are classes, too.

    Raises:
        ValueError: they are no vector, or a float is no whole number. Within a graph
            this is an `InvalidArgumentError` where the batch is computed.
    """
    if label.shape.rank == 1 and label.dtype.is_floating:
        whole = tf.round(label)
        try:
            check = tf.debugging.assert_equal(label, whole, message=_FRACTION)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(_FRACTION) from error
        with tf.control_dependencies([check] if check is not None else []):
            label = tf.cast(whole, tf.int32)
    return label


def checked(batches: tf.data.Dataset) -> Iterator:
    """The batches; ValueError for one whose labels are no whole numbers."""
    try:
        yield from batches
    except tf.errors.InvalidArgumentError as error:
        if _FRACTION in str(error):
            raise ValueError(_FRACTION) from error
        raise


def check_pixels(net: Net, x) -> None:
    """Raises ValueError if float images are stored pixels, which nobody normalised.

    They have no negative numbers and are more than twice as large as white is once the
    net has normalised it.

    Args:
        net: one of ours or a wrapped model, whose mean and std tell the range.
        x: arrays, or a dataset, of which the first batch is looked at.
    """
    images = _images(x)
    dtype = getattr(images, "dtype", None)
    if dtype is None or not tf.as_dtype(dtype).is_floating or 0 in images.shape:
        return
    low, high = float(np.min(images)), float(np.max(images))
    white = max((1 - mean) / std for mean, std in zip(net.mean, net.std, strict=True))
    if low >= 0 and high > max(_PIXELS, 2 * white):
        raise wrong(
            "The images are stored pixels, and floats are taken as normalised ones",
            expected="uint8, which the net normalises by itself, or "
            "student.normalise(images.astype('uint8'))",
            received=f"{tf.as_dtype(dtype).name} from {low:g} to {high:g}",
        )


def _images(x):
    """The images of what `fit`, `evaluate` or `predict` get; None if there are none."""
    if isinstance(x, tf.data.Dataset):
        spec = _first(x.element_spec)
        has_floats = spec is not None and spec.dtype.is_floating
        x = next(iter(x.take(1)), None) if has_floats else None
    return _first(x)


def _first(x):
    """The images of a batch, or their specification; None if there are none."""
    if isinstance(x, tuple | list):
        x = x[0] if x else None
    return x.get("image") if isinstance(x, dict) else x


class CheckedPixels:
    """What a Keras model that trains a `student` looks at before it takes images."""

    def check_pixels(self, x) -> None:
        """See `check_pixels`; a Keras model as it is takes any floats."""
        if not self.is_plain:
            check_pixels(self.student, x)

    def evaluate(self, x=None, *args, **kwargs):
        """As `keras.Model.evaluate`.

        Args:
            x: see `keras.Model.evaluate`.
            *args: the same.
            **kwargs: the same.

        Raises:
            ValueError: the images are floats that nobody normalised.
        """
        self.check_pixels(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`.

        Args:
            x: see `keras.Model.predict`.
            *args: the same.
            **kwargs: the same.

        Raises:
            ValueError: the images are floats that nobody normalised.
        """
        self.check_pixels(x)
        return super().predict(x, *args, **kwargs)
