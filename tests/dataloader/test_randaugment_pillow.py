"""RandAugment beside Pillow: equal, but for what docs/augmentation.md says.

The authors' numbers are those of https://github.com/tensorflow/tpu, efficientnet's
autoaugment.py, whose operations are Pillow's.
"""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from dataloader import image_operations, randaugment

HEIGHT, WIDTH = 40, 33
SIGNS = np.array([-1.0, 1.0], np.float32)


def picture(channels=3):
    """Noise around a slope, 20 to 219: autocontrast and equalize change it."""
    rng = np.random.default_rng(channels)
    slope = np.linspace(20, 180, HEIGHT * WIDTH * channels)
    noise = rng.integers(0, 40, slope.shape)
    return (slope + noise).astype(np.uint8).reshape(HEIGHT, WIDTH, channels)


IMAGE = picture()
BOTH = tf.constant(np.stack([IMAGE, IMAGE]))


def ours(name, magnitude):
    """The images that RandAugment makes of it, for the signs -1 and 1."""
    operation = randaugment.operations(magnitude, HEIGHT, WIDTH)[name]
    return operation(BOTH, SIGNS).numpy()


def pillows(function, image=IMAGE):
    return np.asarray(function(Image.fromarray(image)))


def moved(*coefficients, fill=(128,) * 3):
    """`Image.transform` by (x, y) -> (a x + b y + c, d x + e y + f)."""
    size = WIDTH, HEIGHT
    affine = Image.Transform.AFFINE
    return pillows(lambda x: x.transform(size, affine, coefficients, fillcolor=fill))


def assert_same(found, expected):
    """But for single pixels where float32 ends on the other side of a grey level."""
    gaps = np.abs(found.astype(int) - expected)
    assert gaps.max() <= 1 and (gaps > 0).mean() < 0.01


# Equal


@pytest.mark.parametrize("channels", [1, 3])
def test_equalize_and_autocontrast_act_on_each_channel(channels):
    image = picture(channels)
    shown = image if channels == 3 else image[..., 0]
    images = tf.constant(image[np.newaxis])
    equal = pillows(ImageOps.equalize, shown).reshape(image.shape)
    np.testing.assert_array_equal(image_operations.equalize(images)[0], equal)
    # Each channel's numbers, so not those of the grey image.
    for i in range(channels):
        alone = image_operations.equalize(images[..., i : i + 1])
        np.testing.assert_array_equal(alone[0, ..., 0], equal[..., i])
    exact = 255.0 * (image - image.min((0, 1))) / np.ptp(image, (0, 1)).astype(float)
    found = image_operations.autocontrast(images)[0]
    assert_same(found.numpy(), np.rint(exact))
    cut = pillows(ImageOps.autocontrast, shown).reshape(image.shape)
    assert_same(cut, np.floor(exact))


@pytest.mark.parametrize("magnitude", [0, 3, 5, 9, 10])
def test_translations_and_rotations_are_pillows(magnitude):
    share = magnitude / 10
    for i, sign in enumerate(SIGNS):
        x, y = (sign * share * side * 150 / 331 for side in (WIDTH, HEIGHT))
        expected = moved(1, 0, x, 0, 1, 0)
        np.testing.assert_array_equal(ours("translate_x", magnitude)[i], expected)
        expected = moved(1, 0, 0, 0, 1, y)
        np.testing.assert_array_equal(ours("translate_y", magnitude)[i], expected)
        angle = 30 * sign * share
        turned = pillows(lambda x, a=angle: x.rotate(a, fillcolor=(128,) * 3))
        # Of the pixels that lie between two, the last bit decides.
        assert (ours("rotate", magnitude)[i] == turned).mean() > 0.995


# Different, as it is documented


@pytest.mark.parametrize("magnitude", [0, 7, 9])  # no pixel lies between two
def test_shears_keep_the_middle_of_the_first_row_and_pillow_its_edge(magnitude):
    for i, v in enumerate(0.03 * magnitude * SIGNS.astype(float)):
        shifted = moved(1, v, -v / 2, 0, 1, 0), moved(1, 0, 0, v, 1, -v / 2)
        as_they_are = moved(1, v, 0, 0, 1, 0), moved(1, 0, 0, v, 1, 0)
        names = "shear_x", "shear_y"
        for name, equal, other in zip(names, shifted, as_they_are, strict=True):
            found = ours(name, magnitude)[i]
            np.testing.assert_array_equal(found, equal, name)
            assert 0.05 < (found != other).mean() < 0.2 or not magnitude


def test_what_comes_from_beyond_the_border_is_grey():
    found = ours("translate_x", 9)[1]
    black = moved(1, 0, 0.9 * WIDTH * 150 / 331, 0, 1, 0, fill=None)
    differs = found != black
    assert differs[:, -13:].all() and not differs[:, :-13].any()
    assert (set(found[differs]), set(black[differs])) == ({128}, {0})


def smooth(image):
    """The mean of 3x3 where the pixel itself counts five times; the border stays."""
    x = image.astype(float)
    h, w = image.shape[:2]
    around = sum(x[i : h - 2 + i, j : w - 2 + j] for i in range(3) for j in range(3))
    found = x.copy()
    found[1:-1, 1:-1] = (around + 4 * x[1:-1, 1:-1]) / 13
    return found


def grey(image):
    return (image @ np.array([0.299, 0.587, 0.114]))[..., np.newaxis]


def nearest(x):
    return np.floor(x + 0.5)


# Pillow's class; what it blends with, exactly; and as Pillow rounds it.
ENHANCERS = {
    "color": (ImageEnhance.Color, grey, lambda x: nearest(grey(x))),
    "contrast": (
        ImageEnhance.Contrast,
        lambda x: grey(x).mean(),
        lambda x: nearest(nearest(grey(x)).mean()),
    ),
    "brightness": (ImageEnhance.Brightness, lambda x: 0.0, lambda x: 0.0),
    "sharpness": (ImageEnhance.Sharpness, smooth, lambda x: nearest(smooth(x))),
}


@pytest.mark.parametrize("magnitude", [0, 3, 7, 9.7])
@pytest.mark.parametrize("name", ENHANCERS)
def test_only_results_are_rounded_and_not_cut_off(name, magnitude):
    """Pillow rounds what it blends with, too, and cuts off the blend."""
    enhancer, exact, rounded = ENHANCERS[name]
    for i, factor in enumerate(1 + 0.09 * magnitude * SIGNS.astype(float)):

        def blend(other, factor=factor):
            return np.clip(other + factor * (IMAGE - other), 0, 255)

        expected = np.rint(blend(exact(IMAGE)))
        found = ours(name, magnitude)[i]
        assert_same(found, expected)
        cut = np.floor(blend(rounded(IMAGE)))
        by_pillow = pillows(lambda x, f=factor: enhancer(x).enhance(f))
        assert_same(by_pillow, cut)
        assert (found != by_pillow).mean() > 0.2 or not magnitude


LEVELS = range(1, 11)


@pytest.mark.parametrize("level", LEVELS)
def test_posterize_and_solarize_get_stronger_and_the_authors_weaker(level):
    bits, threshold = round(8 - 0.4 * level), round(25.6 * (10 - level))
    authors = int(0.4 * level), int(25.6 * level)
    functions = ImageOps.posterize, ImageOps.solarize
    cases = zip(
        ("posterize", "solarize"), functions, (bits, threshold), authors, strict=True
    )
    for name, function, number, theirs in cases:
        expected = pillows(lambda x, f=function, n=number: f(x, n))
        for found in ours(name, level):
            np.testing.assert_array_equal(found, expected, name)
        if theirs and theirs != number:
            other = pillows(lambda x, f=function, n=theirs: f(x, n))
            assert (other != expected).any(), name


@pytest.mark.parametrize("name", ENHANCERS)
def test_factors_go_both_ways_from_1_and_the_authors_from_0_1(name):
    def by_pillow(factor):
        enhancer = ENHANCERS[name][0]
        return pillows(lambda x: enhancer(x).enhance(factor)).astype(int)

    def gap(found, factor):
        return np.abs(found - by_pillow(factor)).max()

    for level in LEVELS:
        for found, sign in zip(ours(name, level), SIGNS, strict=True):
            assert gap(found, 1 + 0.09 * level * sign) <= 1
            theirs = 0.18 * level + 0.1
            if not np.isclose(theirs, 1 + 0.09 * level * sign):
                assert gap(found, theirs) > 1
    assert gap(IMAGE, 0.18 * 5 + 0.1) == 0, "the authors' 5 does nothing"
