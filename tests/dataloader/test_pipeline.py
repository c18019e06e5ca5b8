import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

import dataloader
from dataloader import augmentation as augmentation_lib
from dataloader import cutout, mixing, randaugment
from dataloader.augmentation import Augmentation
from dataloader.dataset import Split
from dataloader.encoded import ImageFiles
from tests.dataloader.same import assert_same, by_index

PLAIN = Augmentation(crops=False, flips=False)
MEAN, MIXED = (0.2, 0.4, 0.6), {"mixup": 0.4, "cutmix": 1.0}
PERIODIC = Augmentation(period=2)
EVERYTHING = Augmentation(period=2, randaugment=1, cutout=3, mean=MEAN, **MIXED)


def make_split(size=50, shape=(8, 6, 3)):
    images = np.random.default_rng(0).integers(0, 256, [size, *shape], np.uint8)
    return dataloader.Split(images, np.arange(size, dtype=np.int32) % 7)


SPLIT = make_split()


def batches(split=SPLIT, **changes):
    """Training batches as a list of dicts of arrays."""
    arguments = dict(
        batch_size=8, first_epoch=0, num_epochs=1, seed=3, augmentation=Augmentation()
    )
    dataset = dataloader.train_batches(split, **arguments | changes)
    return list(dataset.as_numpy_iterator())


def order(found):
    return np.concatenate([batch["index"] for batch in found])


def test_shapes_are_static():
    dataset = dataloader.train_batches(
        SPLIT,
        batch_size=8,
        first_epoch=0,
        num_epochs=1,
        seed=0,
        augmentation=Augmentation(),
    )
    assert dataset.element_spec == {
        "image": tf.TensorSpec([8, 8, 6, 3], tf.uint8),
        "label": tf.TensorSpec([8], tf.int32),
        "index": tf.TensorSpec([8], tf.int32),
    }


def test_shapes_of_mixed_batches_are_static():
    assert three_epochs(EVERYTHING).element_spec == {
        "image": tf.TensorSpec([8, 8, 6, 3], tf.uint8),
        "label": tf.TensorSpec([8], tf.int32),
        "index": tf.TensorSpec([8], tf.int32),
        "other_label": tf.TensorSpec([8], tf.int32),
        "label_share": tf.TensorSpec([8], tf.float32),
    }


def test_an_epoch_has_no_image_twice():
    for epoch in (0, 1, 7):
        indices = order(batches(first_epoch=epoch))
        assert len(indices) == 48  # 50 without the remainder
        assert len(set(indices)) == 48


def test_epochs_and_seeds_differ():
    first = order(batches())
    assert not np.array_equal(first, order(batches(first_epoch=1)))
    assert not np.array_equal(first, order(batches(seed=4)))
    # Other images sit out: over many epochs nobody is forgotten.
    assert set(order(batches(num_epochs=10))) == set(range(50))


def test_images_and_labels_belong_to_the_index():
    for batch in batches(augmentation=PLAIN):
        np.testing.assert_array_equal(batch["image"], SPLIT.images[batch["index"]])
        np.testing.assert_array_equal(batch["label"], SPLIT.labels[batch["index"]])


def test_iterating_twice_and_building_twice_is_the_same():
    dataset = dataloader.train_batches(
        SPLIT,
        batch_size=8,
        first_epoch=2,
        num_epochs=3,
        seed=0,
        augmentation=Augmentation(),
    )
    first = list(dataset.as_numpy_iterator())
    assert_same(first, list(dataset.as_numpy_iterator()))
    assert_same(first, batches(first_epoch=2, num_epochs=3, seed=0))


@functools.cache
def three_epochs(augmentation):
    """Of a period of 2, so that the third has the augmentations of the first."""
    return dataloader.train_batches(
        SPLIT,
        batch_size=8,
        first_epoch=0,
        num_epochs=3,
        seed=3,
        augmentation=augmentation,
    )


@functools.cache
def whole(augmentation):
    return list(three_epochs(augmentation).as_numpy_iterator())


@pytest.mark.parametrize(
    ("augmentation", "epoch", "skip"),
    [
        *((PERIODIC, 0, skip) for skip in (0, 5)),
        *((PERIODIC, 1, skip) for skip in (0, 2, 6)),
        *((PERIODIC, 2, skip) for skip in (1, 6)),
        pytest.param(EVERYTHING, 1, 2, marks=pytest.mark.slow),
    ],
)
def test_resume_gives_what_an_uninterrupted_run_gives(augmentation, epoch, skip):
    resumed = batches(
        first_epoch=epoch,
        num_epochs=3 - epoch,
        skip_batches=skip,
        augmentation=augmentation,
    )
    assert_same(resumed, whole(augmentation)[epoch * 6 + skip :], least=0)


def test_no_epochs_give_nothing():
    assert batches(num_epochs=0) == []


@pytest.mark.parametrize("crops", [True, False])
@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize("pad_mode", ["reflect", "zero"])
def test_images_are_augmented_as_drawn(crops, flips, pad_mode):
    found = batches(first_epoch=4, augmentation=Augmentation(crops, flips, pad_mode))
    offsets, flipped = augmentation_lib.draw(3, 4, len(SPLIT))
    offsets = offsets if crops else tf.fill([50, 2], 4)
    flipped = flipped if flips else tf.zeros([50], bool)
    expected = augmentation_lib.augment(
        tf.constant(SPLIT.images), offsets, flipped, pad_mode
    ).numpy()
    for batch in found:
        np.testing.assert_array_equal(batch["image"], expected[batch["index"]])


def test_everything_is_applied_in_order_and_as_drawn():
    # Epoch 2 has the images of epoch 0, of the period 2, but its own mixtures.
    images = augmentation_lib.augment(
        tf.constant(SPLIT.images), *augmentation_lib.draw(3, 0, 50), "zero"
    )
    images = randaugment.apply(images, *randaugment.draw(3, 0, 50, 1), magnitude=9)
    images = cutout.cut_out(images, cutout.draw(3, 0, 50, 8, 6), 3, MEAN)
    mixtures = mixing.draw(3, 2, 6, 8, 6, **MIXED)
    for i, batch in enumerate(whole(EVERYTHING)[12:]):
        index = batch["index"]
        own = {"image": tf.gather(images, index), "index": index}
        own["label"] = tf.constant(SPLIT.labels[index])
        mixture = {name: value[i] for name, value in mixtures.items()}
        assert_same([batch], [mixing.mix(own, mixture, **MIXED)])


def test_augmentation_does_not_depend_on_the_batch_size():
    small, large = by_index(batches(batch_size=5)), by_index(batches(batch_size=25))
    for index, image in small.items():
        np.testing.assert_array_equal(image, large[index])


def test_period_repeats_the_augmentation_but_not_the_order():
    zero, one, two = (
        batches(first_epoch=epoch, batch_size=10, augmentation=PERIODIC)
        for epoch in range(3)
    )
    assert not np.array_equal(order(zero), order(two))
    assert_same([by_index(zero)], [by_index(two)])
    different = [
        not np.array_equal(image, by_index(one)[index])
        for index, image in by_index(zero).items()
    ]
    assert np.mean(different) > 0.8


def test_images_are_captured_and_not_written_into_the_graph():
    dataset = dataloader.train_batches(
        make_split(1000),
        batch_size=8,
        first_epoch=0,
        num_epochs=1,
        seed=0,
        augmentation=Augmentation(),
    )
    sizes = []
    pending = [dataset]
    while pending:
        current = pending.pop()
        pending.extend(current._inputs())
        for function in current._functions():
            sizes.append(function.function.graph.as_graph_def().ByteSize())
    assert len(sizes) == 2  # the plan of an epoch, the making of a batch
    assert max(sizes) < 100_000 < 144_000  # bytes of the images


@pytest.mark.parametrize("batch_size", [1, 8, 25, 50, 64])
def test_evaluation_sees_every_image_once_in_order(batch_size):
    dataset = dataloader.eval_batches(SPLIT, batch_size)
    assert dataset.element_spec["image"].shape == [batch_size, 8, 6, 3]
    assert dataset.cardinality() == -(-50 // batch_size)
    found = list(dataset.as_numpy_iterator())
    images, labels, valid = (
        np.concatenate([batch[key] for batch in found])
        for key in ("image", "label", "valid")
    )
    np.testing.assert_array_equal(valid, np.arange(len(valid)) < 50)
    np.testing.assert_array_equal(images[:50], SPLIT.images)
    np.testing.assert_array_equal(labels[:50], SPLIT.labels)
    np.testing.assert_array_equal(labels[50:], SPLIT.labels[-1])
    assert (labels.dtype, valid.dtype) == (np.int32, np.bool_)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 51}, "between 1 and 50.*batch_size=51"),
        ({"batch_size": 0}, "between 1 and 50.*batch_size=0"),
        ({"first_epoch": -1}, ">= 0.*first_epoch=-1"),
        ({"num_epochs": -1}, ">= 0.*num_epochs=-1"),
        ({"skip_batches": -1}, "between 0 and 6.*skip_batches=-1"),
        ({"skip_batches": 7}, "between 0 and 6.*skip_batches=7"),
        ({"split": SPLIT.take(np.zeros(0, int))}, "split is empty"),
        ({"augmentation": Augmentation(cutout=7)}, "from 0 to 6.*cutout=7"),
        (
            {"augmentation": Augmentation(mixup=0.2), "batch_size": 1},
            "2 or more.*batch_size=1",
        ),
        (
            {
                "augmentation": Augmentation(randaugment=1),
                "split": make_split(shape=(8, 6, 2)),
            },
            "1 or 3 channels.*Received: 2 channels",
        ),
    ],
)
def test_training_arguments_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        batches(**changes)


def test_evaluation_arguments_out_of_range():
    with pytest.raises(ValueError, match=">= 1.*batch_size=0"):
        dataloader.eval_batches(SPLIT, 0)
    with pytest.raises(ValueError, match="split is empty"):
        dataloader.eval_batches(SPLIT.take(np.zeros(0, int)), 8)


class Files(ImageFiles):
    """Images that are read one by one, though they are all in memory."""

    def reader(self):
        images = tf.constant([tf.io.encode_png(x).numpy() for x in SPLIT.images[:20]])
        return lambda index: images[index]


STREAMED = Split(Files(np.zeros(20, "S1"), (8, 6, 3)), SPLIT.labels[:20])


@pytest.mark.parametrize(
    ("split", "options"),
    [
        (SPLIT, {"period": 2, "randaugment": 1, "cutout": 3, "mean": MEAN}),
        (SPLIT, {"crops": False}),
        (SPLIT, {"crops": False, "flips": False, "period": 2}),
        (STREAMED, {"cutout": 3}),
        (dataclasses.replace(STREAMED, image_size=5), {}),
    ],
)
def test_a_version_in_order_has_the_pixels_of_its_epochs(split, options):
    arguments = {"seed": 3, "augmentation": Augmentation(**options)}
    epoch = 3
    shown = by_index(batches(split, first_epoch=epoch, **arguments))
    version = arguments["augmentation"].version(epoch)
    dataset = dataloader.version_batches(
        split, batch_size=8, version=version, **arguments
    )
    found = list(dataset.as_numpy_iterator())
    index = order(found)
    steps = -(-len(split) // 8)
    last = len(split) - 1
    np.testing.assert_array_equal(index, np.minimum(np.arange(8 * steps), last))
    images = np.concatenate([batch["image"] for batch in found])
    labels = np.concatenate([batch["label"] for batch in found])
    np.testing.assert_array_equal(labels, split.labels[index])
    assert len(shown) == len(split) // 8 * 8
    for position, image in shown.items():
        np.testing.assert_array_equal(images[position], image)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"period": 3}, [0, 1, 2, 0, 1]),
        ({}, [0, 1, 2, 3, 4]),
        ({"period": 3, "crops": False, "flips": False}, [0, 0, 0, 0, 0]),
        ({"period": 3, "crops": False, "flips": False, "cutout": 2}, [0, 1, 2, 0, 1]),
    ],
)
def test_the_version_of_an_epoch(options, expected):
    version = Augmentation(**options).version
    assert [version(epoch) for epoch in range(5)] == expected
    np.testing.assert_array_equal(version(tf.range(5, dtype=tf.int64)), expected)


def test_a_version_is_no_negative_number():
    with pytest.raises(ValueError, match=r">= 0\. Received: version=-1"):
        dataloader.version_batches(
            SPLIT, batch_size=8, version=-1, seed=0, augmentation=Augmentation()
        )
