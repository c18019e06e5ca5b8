import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from dataloader import image_operations as operations

SHAPES = [(40, 33, 3), (33, 40, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def make_images(shape, count=4):
    """Noise of full range, of a narrow one, a ramp and a constant."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [count, *shape], np.uint8)
    images[1] = images[1] // 4 + 60
    images[2] = np.arange(images[2].size).reshape(shape) * 200 // images[2].size
    images[3] = 77
    return images


def by_pillow(images, function):
    """The function of Pillow images (image, its number), for each image."""
    found = []
    for i, image in enumerate(images):
        pillow = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        found.append(np.asarray(function(pillow, i)).reshape(image.shape))
    return np.stack(found)


def assert_close(found, expected):
    """Equal but for the last grey level, which Pillow cuts off."""
    assert found.dtype == tf.uint8
    gaps = np.abs(found.numpy().astype(int) - expected)
    assert gaps.max() <= 1


FACTORS = np.array([0.1, 0.73, 1.27, 1.9], np.float32)
OF_PILLOW = {
    "autocontrast": ((), lambda image, i: ImageOps.autocontrast(image)),
    "equalize": ((), lambda image, i: ImageOps.equalize(image)),
    "color": ((FACTORS,), lambda x, i: ImageEnhance.Color(x).enhance(FACTORS[i])),
    "contrast": ((FACTORS,), lambda x, i: ImageEnhance.Contrast(x).enhance(FACTORS[i])),
    "brightness": (
        (FACTORS,),
        lambda x, i: ImageEnhance.Brightness(x).enhance(FACTORS[i]),
    ),
    "sharpness": (
        (FACTORS,),
        lambda x, i: ImageEnhance.Sharpness(x).enhance(FACTORS[i]),
    ),
}


@every_shape
@pytest.mark.parametrize("name", OF_PILLOW)
def test_it_does_what_pillow_does(name, shape):
    arguments, function = OF_PILLOW[name]
    images = make_images(shape)
    expected = by_pillow(images, function)
    found = getattr(operations, name)(tf.constant(images), *arguments)
    assert_close(found, expected)
    if name == "equalize":  # which only counts
        np.testing.assert_array_equal(found, expected)
    # A constant image, and colour of a grey one, stay; all else is changed.
    if name != "color" or shape[-1] == 3:
        assert (expected[1] != images[1]).mean() > 0.5


@pytest.mark.parametrize("number", [0, 1, 4, 8])
@every_shape
def test_bits_and_threshold_are_pillows(number, shape):
    images = make_images(shape)
    expected = by_pillow(images, lambda image, i: ImageOps.solarize(image, 32 * number))
    found = operations.solarize(tf.constant(images), 32 * number)
    np.testing.assert_array_equal(found, expected)
    if number:  # Pillow knows no 0 bits.
        expected = by_pillow(images, lambda image, i: ImageOps.posterize(image, number))
    else:
        expected = np.zeros_like(images)
    found = operations.posterize(tf.constant(images), number)
    np.testing.assert_array_equal(found, expected)


@every_shape
def test_rotation_is_pillows(shape):
    degrees = np.array([0.0, 17.0, -30.0, 80.0], np.float32)
    images = make_images(shape)
    images[3] = images[0]
    expected = by_pillow(
        images,
        lambda image, i: image.rotate(degrees[i], fillcolor=(128,) * shape[-1]),
    )
    found = operations.rotate(tf.constant(images), degrees)
    # Of the pixels that lie between two, the last bit decides.
    assert (found.numpy() == expected).mean() > 0.99
    assert (expected[1:] != images[1:]).mean() > 0.5


AMOUNTS = np.array([0.0, 0.31, -0.31, 0.83], np.float32)  # nowhere between two
# Where pixel (x, y) of the result comes from.
MOVES = {
    "shear_x": (AMOUNTS, lambda x, y, a: (x + a * y, y)),
    "shear_y": (AMOUNTS, lambda x, y, a: (x, y + a * x)),
    "translate_x": (8 * AMOUNTS, lambda x, y, a: (x + a, y)),
    "translate_y": (8 * AMOUNTS, lambda x, y, a: (x, y + a)),
}


@every_shape
@pytest.mark.parametrize("name", MOVES)
def test_moves_equal_numpy(name, shape):
    amounts, source = MOVES[name]
    images = make_images(shape)
    expected = np.full_like(images, 128)
    for i, amount in enumerate(amounts):
        for y, x in np.ndindex(shape[:2]):
            column, row = (round(value) for value in source(x, y, float(amount)))
            if 0 <= row < shape[0] and 0 <= column < shape[1]:
                expected[i, y, x] = images[i, row, column]
    found = getattr(operations, name)(tf.constant(images), amounts)
    np.testing.assert_array_equal(found, expected)


ARGUMENTS = {"autocontrast": (), "equalize": (), "solarize": (9,), "posterize": (3,)}
NAMES = [*OF_PILLOW, "solarize", "posterize", "rotate", *MOVES]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (2, 2, 3)], ids=str)
@pytest.mark.parametrize("count", [0, 2])
def test_small_images_and_empty_batches(name, shape, count):
    images = tf.constant(make_images(shape)[:count])
    arguments = ARGUMENTS.get(name, (tf.ones([count]),))
    found = getattr(operations, name)(images, *arguments)
    assert (found.shape, found.dtype) == (images.shape, tf.uint8)


def test_autocontrast_reaches_both_ends():
    images = make_images((20, 17, 3))
    found = operations.autocontrast(tf.constant(images)).numpy()
    for image in found[:3]:
        for channel in np.moveaxis(image, -1, 0):
            assert (channel.min(), channel.max()) == (0, 255)


def test_few_pixels_are_not_equalized():
    images = make_images((8, 8, 1))
    np.testing.assert_array_equal(operations.equalize(tf.constant(images)), images)
    # 255 pixels below the largest value are enough.
    enough = np.minimum(np.arange(256) // 2, 126).astype(np.uint8)
    enough[-1] = 200
    enough = enough.reshape([1, 16, 16, 1])
    found = operations.equalize(tf.constant(enough))
    expected = by_pillow(enough, lambda image, i: ImageOps.equalize(image))
    np.testing.assert_array_equal(found, expected)
    assert (found != enough).numpy().mean() > 0.5
