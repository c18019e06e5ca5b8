import numpy as np
import pytest
import tensorflow as tf

from dataloader import augmentation


def numpy_augment(images, offsets, flips, pad_mode):
    """Pad, crop, flip, one image after the other."""
    height, width = images.shape[1:3]
    mode = {"reflect": "reflect", "zero": "constant"}[pad_mode]
    result = []
    for image, (top, left), flip in zip(images, offsets, flips, strict=True):
        padded = np.pad(image, [(4, 4), (4, 4), (0, 0)], mode=mode)
        image = padded[top : top + height, left : left + width]
        result.append(image[:, ::-1] if flip else image)
    return np.stack(result)


@pytest.mark.parametrize("pad_mode", augmentation.PAD_MODES)
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (5, 9, 3), (11, 6, 1)])
def test_augment_is_pad_crop_flip(shape, pad_mode):
    rng = np.random.default_rng(0)
    # Every offset with and without a flip.
    offsets = np.stack(np.mgrid[:9, :9], axis=-1).reshape(-1, 2).astype(np.int32)
    offsets, flips = np.tile(offsets, [2, 1]), np.repeat([False, True], 81)
    images = rng.integers(1, 256, [162, *shape], np.uint8)

    result = augmentation.augment(tf.constant(images), offsets, flips, pad_mode)
    assert result.dtype == tf.uint8
    np.testing.assert_array_equal(
        result, numpy_augment(images, offsets, flips, pad_mode)
    )


@pytest.mark.parametrize("pad_mode", augmentation.PAD_MODES)
@pytest.mark.parametrize("batch_size", [3, None])
def test_augment_keeps_static_shapes(pad_mode, batch_size):
    @tf.function(
        input_signature=[
            tf.TensorSpec([batch_size, 8, 6, 3], tf.uint8),
            tf.TensorSpec([batch_size, 2], tf.int32),
            tf.TensorSpec([batch_size], tf.bool),
        ]
    )
    def augment(images, offsets, flips):
        return augmentation.augment(images, offsets, flips, pad_mode)

    (result,) = augment.get_concrete_function().outputs
    assert result.shape.as_list() == [batch_size, 8, 6, 3]
    images = tf.ones([3, 8, 6, 3], tf.uint8)
    offsets = tf.fill([3, 2], 4)  # the image itself
    np.testing.assert_array_equal(augment(images, offsets, tf.zeros([3], bool)), images)


def test_draw_covers_its_ranges_evenly():
    offsets, flips = (tensor.numpy() for tensor in augmentation.draw(0, 0, 9000))
    assert (offsets.dtype, offsets.shape) == (np.int32, (9000, 2))
    assert (flips.dtype, flips.shape) == (np.bool_, (9000,))
    for column in offsets.T:
        counts = np.bincount(column)
        assert len(counts) == 9 and counts.min() > 850 and counts.max() < 1150
    assert abs(flips.mean() - 0.5) < 0.03
    assert abs(np.corrcoef([*offsets.T, flips]) - np.eye(3)).max() < 0.05


def draw(*arguments):
    """Offsets and flips as the columns of one array."""
    offsets, flips = augmentation.draw(*arguments)
    return np.column_stack([offsets, flips])


def test_draw_is_a_function_of_seed_epoch_and_index():
    first = draw(3, 5, 100)
    np.testing.assert_array_equal(first, draw(3, tf.constant(5, tf.int64), 100))
    np.testing.assert_array_equal(first, tf.function(draw_tensor)(3, 5, 100))
    np.testing.assert_array_equal(first[:37], draw(3, 5, 37))  # whatever the number
    for other in (draw(3, 6, 100), draw(4, 5, 100), draw(5, 3, 100)):
        assert (first == other).mean() < 0.5


def draw_tensor(*arguments):
    offsets, flips = augmentation.draw(*arguments)
    return tf.concat([offsets, tf.cast(flips, tf.int32)[:, tf.newaxis]], axis=1)


def test_unknown_pad_mode():
    with pytest.raises(ValueError, match="one of reflect, zero.*pad_mode='edge'"):
        augmentation.Augmentation(pad_mode="edge")
    with pytest.raises(ValueError, match="one of reflect, zero.*pad_mode='edge'"):
        augmentation.augment(
            tf.zeros([1, 8, 8, 1], tf.uint8), *augmentation.draw(0, 0, 1), "edge"
        )


@pytest.mark.parametrize("period", [0, -1])
def test_period_out_of_range(period):
    with pytest.raises(ValueError, match=f">= 1.*period={period}"):
        augmentation.Augmentation(period=period)


def test_reflection_needs_more_than_the_padding():
    images = tf.zeros([1, 4, 8, 1], tf.uint8)
    with pytest.raises(ValueError, match="at least 5 rows.*4x8.*pad_mode='zero'"):
        augmentation.augment(images, *augmentation.draw(0, 0, 1), "reflect")
    augmentation.augment(images, *augmentation.draw(0, 0, 1), "zero")


OUT_OF_RANGE = {
    "randaugment": (-1,),
    "randaugment_magnitude": (-0.1, 30.1, np.nan),
    "cutout": (-1,),
    "mixup": (-0.1, np.inf, np.nan),
    "cutmix": (-0.1, np.inf, np.nan),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, v) for name, bad in OUT_OF_RANGE.items() for v in bad]
)
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name} is out.*Expected.*{name}={value}"):
        augmentation.Augmentation(**{name: value})


NOTHING = {"crops": False, "flips": False}


@pytest.mark.parametrize(
    ("changes", "varies", "mixes"),
    [
        ({}, False, False),
        ({"randaugment_magnitude": 3.0, "period": 2}, False, False),
        ({"crops": True}, True, False),
        ({"flips": True}, True, False),
        ({"randaugment": 1}, True, False),
        ({"cutout": 1}, True, False),
        ({"mixup": 0.1}, False, True),
        ({"cutmix": 0.1}, False, True),
    ],
)
def test_what_the_options_change(changes, varies, mixes):
    found = augmentation.Augmentation(**NOTHING | changes)
    assert (found.varies, found.mixes) == (varies, mixes)
