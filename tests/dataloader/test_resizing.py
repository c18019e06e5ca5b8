import math

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import dataloader
from dataloader import resizing
from dataloader.augmentation import Augmentation
from tests.dataloader.same import by_index


def draws(seed=0, size=()):
    return np.random.default_rng(seed).random((*size, 10, 4), np.float32)


def random_region(draw, height, width):
    """The definition, one attempt after the other."""
    for area, ratio, top, left in draw.astype(float):
        area = height * width * (0.08 + 0.92 * area)
        ratio = math.exp(math.log(3 / 4) + ratio * math.log((4 / 3) / (3 / 4)))
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 1 <= h <= height and 1 <= w <= width:
            top, left = int(top * (height - h + 1)), int(left * (width - w + 1))
            return top, left, h, w
    h, w = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(
    ("height", "width"),
    [(32, 32), (375, 500), (500, 333), (20, 200), (200, 20), (1, 1)],
)
def test_regions_are_drawn_as_defined(height, width):
    many = tf.function(
        lambda x: tf.map_fn(
            lambda draw: resizing.random_region(draw, height, width),
            x,
            fn_output_signature=tf.int32,
        )
    )
    sample = draws(size=(200,))
    found = many(sample).numpy()
    expected = [random_region(draw, height, width) for draw in sample]
    # A few lie so near to a border between two pixels that float32 decides otherwise.
    assert np.mean((found != expected).any(axis=1)) <= 0.01
    top, left, h, w = found.T
    assert (top >= 0).all() and (top + h <= height).all() and (h >= 1).all()
    assert (left >= 0).all() and (left + w <= width).all() and (w >= 1).all()


def test_the_largest_draws_stay_inside():
    last = np.nextafter(np.float32(1), np.float32(0))
    for side in (7, 224, 4001):
        draw = np.float32([[0.3, 0.5, last, last]]).repeat(10, axis=0)
        top, left, h, w = resizing.random_region(draw, side, side).numpy()
        assert (top + h, left + w) == (side, side)


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (40, 40), (20, 31), (37, 37)])
def test_evaluation_takes_the_middle_as_pil_does(shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    found = resizing.resize_and_centre(tf.constant(image), 32).numpy()
    height, width = (int(37 * side / min(shape) + 0.5) for side in shape)
    expected = PIL.Image.fromarray(image).resize((width, height), PIL.Image.BILINEAR)
    top, left = (height - 32) // 2, (width - 32) // 2
    expected = np.asarray(expected)[top : top + 32, left : left + 32]
    assert found.shape == (32, 32, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1
    if min(shape) == 37:
        np.testing.assert_array_equal(found, image[2:34, 2:34])


IMAGES = np.random.default_rng(0).integers(0, 256, (13, 20, 24, 3), np.uint8)
SPLIT = dataloader.Split(IMAGES, np.arange(13, dtype=np.int32), image_size=16)


def train(**augmentation):
    """Index -> image of the fourth epoch's batches."""
    found = dataloader.train_batches(
        SPLIT,
        batch_size=4,
        first_epoch=3,
        num_epochs=1,
        seed=5,
        augmentation=Augmentation(**augmentation),
    )
    assert found.element_spec["image"].shape == [4, 16, 16, 3]
    return by_index(found.as_numpy_iterator())


@pytest.mark.parametrize(("period", "epoch"), [(None, 3), (2, 1)])
def test_an_image_is_cut_and_mirrored_by_seed_epoch_and_index_alone(period, epoch):
    seeds = resizing.seeds(5, epoch, tf.range(13))
    _, flips = dataloader.augmentation.draw(5, epoch, 13)
    found = train(period=period)
    assert len(found) == 12
    for index, image in found.items():
        top, left, h, w = resizing.random_region(resizing.draw(seeds[index]), 20, 24)
        part = IMAGES[index, top : top + h, left : left + w]
        expected = resizing.resize(part, 16, 16).numpy()
        expected = expected[:, ::-1] if flips[index] else expected
        np.testing.assert_array_equal(image, expected)


def test_seeds_differ():
    drawn = [
        resizing.seeds(seed, epoch, tf.range(50)).numpy()
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 9 * 50
    np.testing.assert_array_equal(drawn[4][7], resizing.seeds(1, 1, tf.constant(7)))
    sample = np.stack([resizing.draw(seed) for seed in drawn[0]])
    assert abs(sample.mean() - 0.5) < 0.03 and 0 <= sample.min() < sample.max() < 1


def test_without_crops_training_sees_the_middle():
    found = train(crops=False, flips=False)
    (evaluated,) = dataloader.eval_batches(SPLIT, 13)
    for index, image in found.items():
        np.testing.assert_array_equal(image, evaluated["image"][index])


def test_images_that_take_long_keep_their_place():
    """Read in parallel, but waited for; a small set is too fast to show it."""
    pending, found = [dataloader.eval_batches(SPLIT, 4)], []
    while pending:
        current = pending.pop()
        pending.extend(current._inputs())
        if "ParallelMap" in type(current).__name__:
            found.append(current._deterministic)
    assert found == ["true", "true"]


def test_data_sets_in_memory_can_be_resized():
    digits = dataloader.load("digits", image_size=16)
    assert digits.input_shape == (16, 16, 1)
    batch = next(iter(dataloader.eval_batches(digits.test, 2)))
    assert batch["image"].shape == [2, 16, 16, 1]


@pytest.mark.parametrize("options", [{"image_size": -1}, {"cache_gib": -1.0}])
def test_sizes_out_of_range(options):
    with pytest.raises(ValueError, match="image_size and cache_gib of 0 or more"):
        dataloader.load("digits", **options)


def test_of_a_very_long_image_the_middle_is_resized():
    """In whole, its short side enlarged, it would fill gigabytes."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 400_000, 3), np.uint8)
    found = resizing.resize_and_centre(tf.constant(image), 224)
    middle = tf.constant(image[:, 200_000 - 4 : 200_000 + 4])
    np.testing.assert_array_equal(found, resizing.resize_and_centre(middle, 224))
