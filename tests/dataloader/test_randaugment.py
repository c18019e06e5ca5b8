import numpy as np
import pytest
import tensorflow as tf

from dataloader import image_operations, randaugment

SHAPE = (18, 20, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, [28, *SHAPE], np.uint8)
PAPER = (
    "identity autocontrast equalize rotate solarize color posterize contrast "
    "brightness sharpness shear_x shear_y translate_x translate_y"
).split()


def known(magnitude, height=18, width=20):
    return randaugment.operations(magnitude, height, width)


def test_the_operations_are_the_papers():
    assert sorted(known(9)) == sorted(PAPER)
    assert randaugment.NUM_OPERATIONS == 14


# Name -> arguments for the signs -1 and 1, at 10, the end of AutoAugment's range.
LARGEST = {
    "rotate": (-30.0, 30.0),
    "shear_x": (-0.3, 0.3),
    "shear_y": (-0.3, 0.3),
    "translate_x": (-20 * 150 / 331, 20 * 150 / 331),
    "translate_y": (-18 * 150 / 331, 18 * 150 / 331),
    **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), (0.1, 1.9)),
}
SIGNS = np.array([-1.0, 1.0], np.float32)


@pytest.mark.parametrize(
    ("magnitude", "threshold", "bits"), [(0, 256, 8), (5, 128, 6), (10, 0, 4)]
)
def test_strength_grows_in_proportion_to_the_magnitude(magnitude, threshold, bits):
    narrow = IMAGES[:2] // 2 + 50  # which autocontrast changes
    images = tf.constant(narrow)
    neutral = dict.fromkeys(("color", "contrast", "brightness", "sharpness"), 1.0)
    for name, operation in known(magnitude).items():
        function = getattr(image_operations, name, tf.identity)
        if name in LARGEST:
            middle = neutral.get(name, 0.0)
            gaps = np.array(LARGEST[name], np.float32) - middle
            expected = function(images, middle + gaps * (magnitude / 10))
        else:
            arguments = {"solarize": (threshold,), "posterize": (bits,)}
            expected = function(images, *arguments.get(name, ()))
        found = operation(images, SIGNS).numpy()
        gaps = np.abs(found.astype(int) - expected.numpy().astype(int))
        assert (gaps > 1).mean() < 0.01, name
        if magnitude == 0 and name not in ("autocontrast", "equalize"):
            np.testing.assert_array_equal(found, images, name)
        elif name != "identity":
            assert (found != narrow).any(axis=(1, 2, 3)).all(), name


def test_the_largest_magnitude_stays_in_range():
    images = tf.constant(IMAGES[:2])
    found = {name: f(images, SIGNS).numpy() for name, f in known(30).items()}
    np.testing.assert_array_equal(found["brightness"][0], 0)  # factor 0, not less
    np.testing.assert_array_equal(found["solarize"], 255 - IMAGES[:2])
    assert set(np.unique(found["posterize"])) == {0, 128}
    np.testing.assert_array_equal(found["translate_x"], image_operations.FILL)


def test_each_image_gets_its_own_operations_in_order():
    layers, magnitude = 2, 7
    choices = np.stack([np.arange(28) % 14, np.arange(28)[::-1] // 2], axis=1)
    choices = choices.astype(np.int32)
    signs = np.where(np.arange(56).reshape(28, 2) % 3 == 1, 1.0, -1.0)
    signs = signs.astype(np.float32)
    found = randaugment.apply(tf.constant(IMAGES), choices, signs, magnitude)
    functions = list(known(magnitude).values())
    for i, image in enumerate(IMAGES):
        expected = tf.constant(image[np.newaxis])
        for layer in range(layers):
            expected = functions[choices[i, layer]](expected, signs[i, layer, None])
        np.testing.assert_array_equal(found[i], expected[0], str(i))


@pytest.mark.parametrize("batch_size", [3, None])
def test_static_shapes_stay(batch_size):
    @tf.function(
        input_signature=[
            tf.TensorSpec([batch_size, 9, 8, 1], tf.uint8),
            tf.TensorSpec([batch_size, 1], tf.int32),
            tf.TensorSpec([batch_size, 1], tf.float32),
        ]
    )
    def apply(images, choices, signs):
        return randaugment.apply(images, choices, signs, 9)

    (result,) = apply.get_concrete_function().outputs
    assert result.shape.as_list() == [batch_size, 9, 8, 1]


def test_draw_covers_its_ranges_evenly():
    choices, signs = (x.numpy() for x in randaugment.draw(0, 0, 14_000, 2))
    assert (choices.dtype, choices.shape) == (np.int32, (14_000, 2))
    for column in choices.T:
        counts = np.bincount(column)
        assert len(counts) == 14 and counts.min() > 880 and counts.max() < 1120
    assert set(np.unique(signs)) == {-1.0, 1.0} and abs(signs.mean()) < 0.03
    columns = np.concatenate([choices, signs], axis=1)
    assert abs(np.corrcoef(columns.T) - np.eye(4)).max() < 0.04


def test_draw_is_a_function_of_seed_epoch_and_index():
    def draw(*arguments):
        return np.concatenate(randaugment.draw(*arguments, 3), axis=1)

    first = draw(3, 5, 100)
    np.testing.assert_array_equal(first, draw(3, tf.constant(5, tf.int64), 100))
    np.testing.assert_array_equal(first[:37], draw(3, 5, 37))  # whatever the number
    for other in (draw(3, 6, 100), draw(4, 5, 100), draw(5, 3, 100)):
        assert (first == other).mean() < 0.5
