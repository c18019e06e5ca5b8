"""The step from positions in a split to its images, in memory or not."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from dataloader import decoding, resizing
from dataloader.dataset import Split
from dataloader.encoded import EncodedImages
from dataloader.without_autotuning import without_autotuning

PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


def batches(
    plans: tf.data.Dataset,
    split: Split,
    batch_size: int,
    finish: Callable,
    crop: Callable | None = None,
) -> tf.data.Dataset:
    """Gets the images of each plan.

    Images in memory that keep their size are gathered, a batch in one go. Others are
    read, decoded and resized one by one, in parallel, and arrive in the same order.

    Args:
        plans: dicts of tensors [B, ...], among them `index`: positions in `split`.
        split: where the images are.
        batch_size: B.
        finish: (uint8 images [B, H, W, C], plan) -> what the result holds.
        crop: of splits that are resized: (one example's part of the plan, height,
            width) -> int32 [4], the part of its image to resize; None takes the
            middle, see `resizing.resize_and_centre`.
    """
    if isinstance(split.images, np.ndarray) and not split.image_size:
        images = on_host(split.images)

        def gather(plan):
            return finish(tf.gather(images, plan["index"]), plan)

        return plans.map(gather, **PARALLEL)
    fetch = _fetcher(split, crop)
    singles = plans.unbatch().map(lambda plan: (fetch(plan), plan), **PARALLEL)
    return singles.batch(batch_size, drop_remainder=True).map(finish, **PARALLEL)


def decoded(images: EncodedImages) -> tf.data.Dataset:
    """The images in their order, uint8 [H, W, C] each, decoded in parallel."""
    whole, _ = _readers(images)
    return without_autotuning(tf.data.Dataset.range(len(images)).map(whole, **PARALLEL))


def held(images: EncodedImages) -> np.ndarray:
    """Reads all images, which must be of one size, into memory: uint8 [N, H, W, C]."""
    result, end = np.empty(images.shape, np.uint8), 0
    for batch in decoded(images).batch(256).as_numpy_iterator():
        start, end = end, end + len(batch)
        result[start:end] = batch
    return result


def on_host(array: np.ndarray) -> tf.Tensor:
    """The array as an eager CPU tensor.

    Functions capture those by reference. NumPy arrays would be written into the
    graph as constants, 150 MB for CIFAR, 2 GB at most.
    """
    with tf.device("CPU:0"):
        return tf.constant(array)


def _fetcher(split, crop):
    """(one example's plan) -> its image in the split's size."""
    whole, part = _readers(split.images)
    size = split.image_size

    def fetch(plan):
        if not size:
            image = whole(plan["index"])
        elif crop is None:
            image = resizing.resize_and_centre(whole(plan["index"]), size)
        else:
            image = part(plan["index"], lambda *sides: crop(plan, *sides))
            image = resizing.resize(image, size, size)
        return tf.ensure_shape(image, split.image_shape)

    return fetch


def _readers(images):
    """Two functions: of an index, and of an index and what chooses a part."""
    if isinstance(images, np.ndarray):
        array = on_host(images)
        whole = array.__getitem__
    else:
        encoded, channels = images.reader(), images.shape[-1]

        def whole(index):
            return decoding.decode(encoded(index), channels)

        # Where sizes are equal the images may as well be held in memory, and then
        # the pixels must be the same to the bit: no short cut for them.
        if None in images.shape:
            return whole, lambda index, choose: decoding.decode_region(
                encoded(index), channels, choose
            )
    return whole, lambda index, choose: decoding.region(whole(index), choose)
