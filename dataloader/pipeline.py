"""tf.data pipelines over a split: training with fresh order, evaluation.

Images stay uint8: the device scales and normalises them, which moves a quarter of
the bytes.
"""

import functools
from typing import Any

import tensorflow as tf

from common.errors import wrong
from dataloader import augmentation as augmentation_lib
from dataloader import (
    fetching,
    mixing,
    resizing,
    strong_augmentation,
)
from dataloader.augmentation import Augmentation
from dataloader.dataset import Split
from dataloader.without_autotuning import without_autotuning

_ORDER = 0  # random stream of the data order


def train_batches(
    split: Split,
    *,
    batch_size: int,
    first_epoch: int,
    num_epochs: int,
    skip_batches: int = 0,
    seed: int,
    augmentation: Augmentation,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of epochs first_epoch .. + num_epochs - 1.

    The order of an epoch is a function of (seed, epoch), the augmentation of an
    image one of (seed, epoch, index), the mixing one of (seed, epoch, batch's number).
    The len(split) % batch_size images left over sit out that epoch, other ones each
    time. So a run resumed at any batch gets exactly what it would have got, and images
    that are read from files arrive as those in memory do.

    Images of a split that resizes them are not padded: their crop is a random part
    of the image, see `resizing`.

    Args:
        split: the training examples.
        batch_size: B, at most len(split).
        first_epoch: epoch to begin with, from 0.
        num_epochs: how many epochs to give; 0 gives nothing.
        skip_batches: batches of the first epoch to leave out, at most all of them.
        seed: of order and augmentation; any 64-bit integer.
        augmentation: what to do with the images.

    Returns:
        Dataset of dicts: image, uint8 [B, H, W, C]; label, int32 [B]; index,
        int32 [B], position in `split`. If images are mixed, also other_label, int32
        [B], and label_share, float32 [B], see `mixing.mix`. All shapes static.

    Raises:
        ValueError: an argument is out of range.
    """
    _check_batch_size(batch_size, split, most=len(split))
    augmentation.check_fits(split.image_shape, batch_size)
    alphas: dict[str, Any] = {
        "mixup": augmentation.mixup,
        "cutmix": augmentation.cutmix,
    }
    steps = len(split) // batch_size
    _check_range("first_epoch", first_epoch, least=0)
    _check_range("num_epochs", num_epochs, least=0)
    _check_range("skip_batches", skip_batches, least=0, most=steps)

    def plan_epoch(epoch):
        """Indices and all random numbers of each batch of an epoch."""
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(split)),
            augmentation_lib.stream_seed(seed, epoch, _ORDER),
            alg="philox",
        )
        order = tf.reshape(order[: steps * batch_size], [steps, batch_size])
        version = augmentation.version(epoch)
        return _plans(split, order, augmentation, seed, version)

    def mixtures_of_epoch(epoch):
        mixtures = mixing.draw(seed, epoch, steps, *split.image_shape[:2], **alphas)
        return tf.data.Dataset.from_tensor_slices(mixtures)

    epochs = tf.data.Dataset.range(first_epoch, first_epoch + num_epochs)
    plans = epochs.flat_map(plan_epoch).skip(skip_batches)  # touches no image
    batches = _augmented(plans, split, batch_size, augmentation)
    if augmentation.mixes:
        mixtures = epochs.flat_map(mixtures_of_epoch).skip(skip_batches)
        mix = functools.partial(mixing.mix, **alphas)
        batches = tf.data.Dataset.zip(batches, mixtures).map(mix, **fetching.PARALLEL)
    return _finish(batches)


def version_batches(
    split: Split,
    *,
    batch_size: int,
    version: int,
    seed: int,
    augmentation: Augmentation,
) -> tf.data.Dataset:
    """All images in order, as `train_batches` shows them in one version's epochs.

    The last batch is filled up with copies of the last image. Images are not mixed,
    which belongs to a batch.

    Args:
        split: the training examples.
        batch_size: B, at most len(split).
        version: what `augmentation.version` says of the epoch.
        seed: as for `train_batches`.
        augmentation: the same.

    Returns:
        Dataset of dicts: image, uint8 [B, H, W, C]; label, int32 [B]; index,
        int32 [B]. All shapes static, the images equal to the bit.

    Raises:
        ValueError: an argument is out of range.
    """
    _check_batch_size(batch_size, split, most=len(split))
    _check_range("version", version, least=0)
    steps = -(-len(split) // batch_size)
    order = tf.reshape(tf.range(steps * batch_size), [steps, batch_size])
    order = tf.minimum(order, len(split) - 1)
    plans = _plans(split, order, augmentation, seed, version)
    return _finish(_augmented(plans, split, batch_size, augmentation))


def _plans(split, order, augmentation, seed, version):
    """What happens to the images `order`, int32 [batches, B], in a version."""
    shape = split.image_shape
    offsets, flips = augmentation_lib.draw(seed, version, len(split))
    distortions = strong_augmentation.draw(
        augmentation, seed, version, len(split), shape
    )
    plan = {
        "index": order,
        "offsets": tf.gather(offsets, order),
        "flips": tf.gather(flips, order),
        "distortions": tf.nest.map_structure(
            lambda rows: tf.gather(rows, order), distortions
        ),
    }
    if _cuts_out(split, augmentation):
        plan["seed"] = resizing.seeds(seed, version, order)
    return tf.data.Dataset.from_tensor_slices(plan)


def _augmented(plans, split, batch_size, augmentation):
    """The planned batches: image, label, index."""
    labels = fetching.on_host(split.labels)

    def crop(plan, height, width):
        return resizing.random_region(resizing.draw(plan["seed"]), height, width)

    def make_batch(image, plan):
        offsets, flips, index = plan["offsets"], plan["flips"], plan["index"]
        pads = augmentation.crops and not split.image_size
        if pads or augmentation.flips:
            if not pads:
                offsets = tf.fill(offsets.shape, augmentation_lib.PADDING)
            if not augmentation.flips:
                flips = tf.zeros_like(flips)
            image = augmentation_lib.augment(
                image, offsets, flips, augmentation.pad_mode if pads else "zero"
            )
        image = strong_augmentation.apply(augmentation, image, plan["distortions"])
        return {"image": image, "label": tf.gather(labels, index), "index": index}

    cut = crop if _cuts_out(split, augmentation) else None
    return fetching.batches(plans, split, batch_size, make_batch, cut)


def _cuts_out(split, augmentation) -> bool:
    return bool(split.image_size) and augmentation.crops


def eval_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """All images in order, in batches of one static size.

    The last batch is filled up with copies of the last image. A caller which
    concatenates its predictions keeps the first len(split) of them; one which
    sums over batches weights with `valid`. Building it copies images in memory; it
    can be iterated many times. Images of a split that resizes them are cut to their
    middle, see `resizing`.

    Args:
        split: the examples.
        batch_size: B; may exceed len(split).

    Returns:
        Dataset of dicts: image, uint8 [B, H, W, C]; label, int32 [B]; valid,
        bool [B], False for the copies.

    Raises:
        ValueError: `batch_size` is below 1 or `split` is empty.
    """
    _check_batch_size(batch_size, split)
    labels = fetching.on_host(split.labels)

    def plan_batch(start):
        index = start + tf.range(batch_size, dtype=tf.int64)
        valid = index < len(split)
        return {"index": tf.minimum(index, len(split) - 1), "valid": valid}

    def make_batch(image, plan):
        label = tf.gather(labels, plan["index"])
        return {"image": image, "label": label, "valid": plan["valid"]}

    plans = tf.data.Dataset.range(0, len(split), batch_size).map(plan_batch)
    return _finish(fetching.batches(plans, split, batch_size, make_batch))


def _finish(dataset):
    options = tf.data.Options()
    # There are no files to deal out to the workers of a strategy, only batches.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return without_autotuning(dataset.prefetch(tf.data.AUTOTUNE).with_options(options))


def _check_batch_size(batch_size, split, most=None):
    if not len(split):
        raise ValueError("The split is empty. Expected at least one example.")
    _check_range("batch_size", batch_size, least=1, most=most)


def _check_range(name, value, least, most=None):
    if value < least or (most is not None and value > most):
        limits = f">= {least}" if most is None else f"between {least} and {most}"
        raise wrong(
            f"The argument {name} is out of range",
            expected=f"an integer {limits}",
            received=f"{name}={value}",
        )
