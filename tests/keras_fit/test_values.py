"""Labels and pixels that `fit` takes or refuses by their values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import nets
from keras_fit.model import DistillationModel
from tests.keras_fit.test_model import IMAGES, LABELS, plain, small

FLOATS = LABELS.astype(np.float64)
HALF = np.where(np.arange(20) == 13, 0.5, FLOATS)  # in the third batch of five


def model(student=None):
    built = DistillationModel(student or plain(), None, "none")
    built.compile("sgd", metrics=["accuracy"])
    return built


def dataset(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(5, drop_remainder=True)


def test_labels_that_are_whole_numbers_are_taken():
    """As loadtxt and one-column tables give them; the same weights as of integers."""
    labels = FLOATS[:, None].astype(np.float32)
    by_integer, by_float, by_batches = plain(), plain(), plain()
    given = {"batch_size": 5, "shuffle": False, "verbose": 0}
    model(by_integer).fit(IMAGES, LABELS, **given)
    trained = model(by_float)
    trained.fit(IMAGES, labels, validation_data=(IMAGES, labels), **given)
    model(by_batches).fit(dataset(IMAGES, labels), verbose=0)
    for expected, *others in zip(
        *(net.variables for net in (by_integer, by_float, by_batches)), strict=True
    ):
        for other in others:
            np.testing.assert_array_equal(other, expected)
    found = trained.evaluate(IMAGES, labels, verbose=0)
    assert found == pytest.approx(trained.evaluate(IMAGES, LABELS, verbose=0))


@pytest.mark.parametrize("kind", ["arrays", "dataset", "nan"])
def test_labels_with_a_fraction_raise(kind):
    labels = np.where(HALF == 0.5, np.nan, HALF) if kind == "nan" else HALF
    given = (dataset(IMAGES, labels),) if kind == "dataset" else (IMAGES, labels)
    with pytest.raises(ValueError, match="no classes.*floats with a fraction"):
        model().fit(*given, verbose=0)


def test_evaluate_takes_no_fraction_either():
    with pytest.raises(tf.errors.InvalidArgumentError, match="no classes.*fraction"):
        model().evaluate(IMAGES, HALF, verbose=0)


STORED = IMAGES.astype(np.float32)


@pytest.mark.parametrize("kind", ["ours", "wrapped"])
@pytest.mark.parametrize("scale", [1.0, 1 / 16])  # also 0 to 16, scikit-learn's digits
def test_float_pixels_that_nobody_normalised_raise(kind, scale):
    student = small(1) if kind == "ours" else nets.wrap(plain(), scaling="pixels")
    built, pixels = model(student), STORED * np.float32(scale)
    before = [v.numpy() for v in student.variables]
    for call in (
        lambda: built.fit(pixels, LABELS, batch_size=5, verbose=0),
        lambda: built.fit(dataset(pixels, LABELS), verbose=0),
        lambda: built.evaluate(pixels, LABELS, verbose=0),
        lambda: built.evaluate(dataset(pixels, LABELS), verbose=0),
        lambda: built.predict(pixels, verbose=0),
    ):
        with pytest.raises(ValueError, match="stored pixels.*uint8.*from 0 to"):
            call()
    for old, v in zip(before, student.variables, strict=True):
        np.testing.assert_array_equal(old, v)


def test_validation_data_of_pixels_raise():
    with pytest.raises(ValueError, match="stored pixels"):
        model(nets.wrap(plain(), scaling="pixels")).fit(
            IMAGES, LABELS, batch_size=5, verbose=0, validation_data=(STORED, LABELS)
        )


def test_normalised_floats_and_plain_models_are_let_through():
    net = nets.build("resnet8", 3, (8, 8, 3), mean=(0.1,) * 3, std=(0.02,) * 3, seed=1)
    normalised = net.normalise(IMAGES).numpy()
    assert normalised.max() > 40
    bright = net.normalise(np.full_like(IMAGES, 255)).numpy()  # nothing is negative
    for images in (normalised, bright, IMAGES):
        model(net).predict(images, verbose=0)
    as_pixels = nets.build("resnet8", 3, (8, 8, 3), std=(1 / 255,) * 3)
    model(as_pixels).predict(STORED, verbose=0)
    model(plain()).fit(STORED, LABELS, batch_size=5, verbose=0)  # Rescaling inside


def test_keras_datasets_of_other_kinds_are_not_looked_at():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, _):
            return IMAGES, LABELS

    assert model().evaluate(Batches(), verbose=0)


@pytest.mark.parametrize(
    "dtype", [pytest.param("uint8", marks=pytest.mark.slow), "float32"]
)
def test_looking_at_pixels_starts_no_pass_of_its_own(dtype):
    """It would change the order of every later pass over a dataset that shuffles."""
    starts = []

    def examples():
        starts.append(1)
        yield from zip((STORED / 99).astype(dtype), LABELS, strict=True)

    shapes = tf.TensorSpec(STORED.shape[1:], dtype), tf.TensorSpec((), "int32")
    batches = tf.data.Dataset.from_generator(examples, output_signature=shapes)
    batches = batches.batch(5, drop_remainder=True)
    batches = batches.apply(tf.data.experimental.assert_cardinality(len(LABELS) // 5))
    model(small(1)).fit(batches, epochs=1, verbose=0)
    assert len(starts) == 2  # labels, epoch
