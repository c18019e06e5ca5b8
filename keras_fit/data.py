"""What `fit` and `evaluate` get, as the batches that methods see."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from common.errors import wrong
from distiller.framework import base
from keras_fit import values as fit_values
from keras_fit import weights as fit_weights
from op_utils import image_weights


def batches_of(
    x, y, batch_size: int, *, shuffle: bool, seed: int, weight=None, first: int = 0
) -> tf.data.Dataset:
    """Dicts with `image`, `label` and, if they are known, `index`, `sample_weight`.

    Those of arrays go on for ever, epoch after epoch.

    Args:
        x: images [N, H, W, C] with `y`, or a dataset of batches (see `as_batch`).
        y: integers [N] or [N, 1]; None with a dataset.
        batch_size: of arrays; an epoch's last, smaller batch is left out.
        shuffle: whether arrays come in another order every epoch.
        seed: of the order.
        weight: of each image, [N]; None in a dataset, whose batches have them.
        first: how often arrays were passed through before; the order goes on from it.

    Raises:
        ValueError: these are no such images and labels.
    """
    if isinstance(x, tf.data.Dataset):
        return x.map(
            # AutoGraph would put its own lines in front of an error's.
            tf.autograph.experimental.do_not_convert(
                lambda *data: as_batch(data[0] if len(data) == 1 else data)
            )
        )
    shapes = [getattr(array, "shape", ()) for array in (x, y)]
    if len(shapes[0]) != 4 or not shapes[1] or shapes[0][0] != shapes[1][0]:
        raise wrong(
            "These are no images with their labels",
            expected="arrays [N, H, W, C] and [N], or a tf.data.Dataset of batches "
            "with both",
            received=f"{_kind(x)} and {_kind(y)}",
        )
    with tf.device("cpu"):  # all of them, of which one batch at a time is needed
        given = (x, y) if weight is None else (x, y, weight)
        data = as_batch(tuple(map(tf.convert_to_tensor, given)))

    def epoch_of(number):
        order = tf.range(shapes[0][0])
        if shuffle:  # without tf.data's shuffle, which the global seed changes
            order = tf.random.experimental.stateless_shuffle(order, [seed, number])
        order = tf.data.Dataset.from_tensor_slices(order)
        return order.batch(batch_size, drop_remainder=True)

    batches = tf.data.Dataset.counter(first).flat_map(epoch_of)
    batches = batches.map(
        lambda index: {
            "index": index,
            **{name: tf.gather(array, index) for name, array in data.items()},
        },
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    options = tf.data.Options()
    options.autotune.enabled = False  # see `dataloader.without_autotuning`
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def as_batch(data) -> dict[str, tf.Tensor]:
    """A dict with `image`, floats in float32, and `label`, int32 [B].

    Args:
        data: (image, label), (image, label, weight), or a dict with these, the weight
            as `sample_weight`; labels and weights are [B] or [B, 1], labels integers or
            whole numbers.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        data = dict(zip(("image", "label", image_weights.KEY), data, strict=False))
    if not isinstance(data, dict) or not {"image", "label"} <= data.keys():
        parts = tuple(data) if isinstance(data, dict | tuple | list) else (data,)
        raise wrong(
            "A batch is not clear",
            expected="images, labels and perhaps weights, or a dict with image and "
            "label",
            received=", ".join(map(_kind, parts)),
        )
    image, label = data["image"], data["label"]
    if label.shape.rank == 2 and label.shape[1] == 1:
        label = label[:, 0]
    label = fit_values.as_classes(label)
    if label.shape.rank != 1 or not label.dtype.is_integer:
        raise wrong(
            "The labels are no classes",
            expected="integers [N], such as those of one_hot.argmax(1)",
            received=_kind(label),
        )
    image = tf.cast(image, tf.float32) if image.dtype.is_floating else image
    data = fit_weights.as_floats(data)
    return {**data, "image": image, "label": tf.cast(label, tf.int32)}


def steps_of(batches: tf.data.Dataset, y, batch_size: int) -> int:
    """Batches in an epoch of arrays or of a dataset; below 1: it has no end."""
    return int(batches.cardinality()) if y is None else len(y) // batch_size


def check_batches(batches: tf.data.Dataset, steps: int, batch_size=None) -> None:
    """Raises ValueError unless batches are alike, so large, and an epoch has some."""
    images = batches.element_spec["image"]
    if images.shape.rank and batch_size not in (None, images.shape[0]):
        raise wrong(
            "A dataset has its batches",
            expected=f"batch_size=None, or {images.shape[0]}",
            batch_size=batch_size,
        )
    if images.shape.rank != 4 or None in images.shape or steps < 1:
        raise wrong(
            "Batches must be alike and counted",
            expected="a dataset with images of static shape, batch(size, "
            "drop_remainder=True), and of known length, or steps_per_epoch",
            received=f"images {images.shape}, {steps} batches",
        )


def data_spec(
    batches: tf.data.Dataset, labels, num_classes: int, look: Callable
) -> base.DataSpec:
    """What the methods may know of the data.

    Args:
        batches: of `batches_of`.
        labels: of all images, of arrays; None reads them off one pass over the data.
        num_classes: of the student.
        look: gets the first batch of that pass. Another iterator, only to look, would
            change the order of a dataset that shuffles.

    Raises:
        ValueError: the data go on for ever, or a label is no class of the student.
    """
    batch_size = batches.element_spec["image"].shape[0]
    if labels is None:
        labels = _read_labels(batches, look)
    labels = np.asarray(labels, np.int32).reshape(-1)
    if not 0 <= labels.min() <= labels.max() < num_classes:
        raise wrong(
            "The labels do not fit the student",
            expected=f"them from 0 to {num_classes - 1}",
            received=f"from {labels.min()} to {labels.max()}",
        )
    return base.DataSpec(len(labels), num_classes, labels, batch_size)


def check_same(data: base.DataSpec, batches: tf.data.Dataset, y) -> None:
    """Raises ValueError unless these batches and labels are those of `data`."""
    size = batches.element_spec["image"].shape[0]
    number = data.num_examples if y is None else len(y)
    if (number, size) != (data.num_examples, data.batch_size):
        raise wrong(
            "The method is made for other data",
            expected=f"{data.num_examples} images in batches of {data.batch_size}, or "
            "a new DistillationModel of the same student",
            received=f"{number} images in batches of {size}",
        )


def check_index(method: base.Distiller, batches: tf.data.Dataset) -> None:
    """Raises ValueError if the method needs an index that the batches lack."""
    if method.needs_index and "index" not in batches.element_spec:
        raise wrong(
            "The method remembers every image",
            expected="arrays, or dicts with image, label and index, the image's "
            "position in the data",
            received=f"batches with {', '.join(batches.element_spec)}",
        )


def _read_labels(batches, look) -> np.ndarray:
    if int(batches.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise wrong(
            "The data have no end, so that they cannot be counted",
            expected="DistillationModel(..., data=DataSpec(...)), or a dataset without "
            "repeat()",
            received=batches,
        )
    labels, index = [], []
    for batch in fit_values.checked(batches):
        if not labels:
            look(batch)
        labels.append(batch["label"].numpy())
        index.append(batch["index"].numpy() if "index" in batch else [])
    labels, index = np.concatenate(labels), np.concatenate(index).astype(int)
    if not len(index):
        return labels
    ordered = np.zeros(index.max() + 1, np.int32)
    ordered[index] = labels
    return ordered


def _kind(value) -> str:
    """What an error says of a value."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return repr(value) if isinstance(value, str | None) else type(value).__name__
    return f"{getattr(value.dtype, 'name', value.dtype)} {tuple(shape)}"
