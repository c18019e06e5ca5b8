"""A net as a command line names it."""

import keras
import numpy as np
import pytest

import nets
from nets import given
from nets.brought import applications
from nets.given import Given

SHAPE = (32, 32, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), np.uint8)
MOBILE = "keras.applications.MobileNetV2/32"


def sequential(*layers):
    end = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)
    return keras.Sequential([keras.Input(SHAPE), *layers, *end])


@pytest.fixture
def file(tmp_path):
    """Path of a model without any scaling."""
    sequential(keras.layers.Conv2D(4, 3, name="a")).save(tmp_path / "plain.keras")
    return str(tmp_path / "plain.keras")


def test_a_file_says_or_is_told_how_it_wants_pixels(file, tmp_path):
    with pytest.raises(ValueError, match="Expected --teacher_scaling with one of .*tf"):
        given.build(Given("teacher", file), 3, SHAPE)
    with pytest.raises(ValueError, match="Expected --scaling with"):
        given.build(Given("", file=file), 3, SHAPE)
    net = given.build(Given("teacher", file, scaling="unit", taps="x=a"), 3, SHAPE)
    images = net.normalise(PIXELS)
    model = keras.saving.load_model(file)
    np.testing.assert_allclose(net(images), model(PIXELS / np.float32(255)), atol=1e-5)
    assert net.tap_specs["x"].shape == (30, 30, 4)
    rescaling = sequential(keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3))
    rescaling.save(tmp_path / "rescaling.keras")
    net = given.build(Given("teacher", str(tmp_path / "rescaling.keras")), 3, SHAPE)
    assert net.scaling == "pixels"


def test_our_own_files_need_nothing(tmp_path):
    net = nets.build("resnet8", 3, SHAPE, seed=1)
    nets.save(net, tmp_path / "net.keras")
    path = str(tmp_path / "net.keras")
    again = given.build(Given("teacher", path), 3, SHAPE, dtype="mixed_bfloat16")
    assert type(again) is type(net)
    assert again.compute_dtype == "bfloat16"
    for wrong in ({"taps": "a=b"}, {"scaling": "unit"}, {"weights": "none"}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"Expected no --teacher_{name}"):
            given.build(Given("teacher", path, **wrong), 3, SHAPE)


def test_published_names_need_nothing():
    net = given.build(Given("student", "resnet8"), 3, SHAPE, seed=4)
    expected = nets.build("resnet8", 3, SHAPE, seed=4)
    np.testing.assert_array_equal(net.head.kernel, expected.head.kernel)
    with pytest.raises(ValueError, match="Expected no --student_scaling"):
        given.build(Given("student", "resnet8", scaling="unit"), 3, SHAPE)


@pytest.mark.parametrize("taps", ["stage1", "stage1=", "=a", "x=a,x=b", "x=a,"])
def test_unclear_taps_raise(file, taps):
    with pytest.raises(ValueError, match="taps are not clear.*stage1=block2_out"):
        given.build(Given("teacher", file, scaling="unit", taps=taps), 3, SHAPE)


def test_a_keras_application(tmp_path):
    options = {"mean": (0.4,) * 3, "std": (0.2,) * 3, "seed": 1}
    net = given.build(Given("teacher", MOBILE.lower()), 3, SHAPE, **options)
    assert net.tap_specs["embedding"].shape == (1280,)
    preprocess = keras.applications.mobilenet_v2.preprocess_input
    expected = net.model(preprocess(PIXELS.astype(np.float32)))
    np.testing.assert_allclose(net(net.normalise(PIXELS)), expected, atol=1e-4)
    weights = str(tmp_path / "mobile.weights.h5")
    net.model.save_weights(weights)
    known = Given("teacher", MOBILE, weights=weights)
    again = given.build(known, 3, SHAPE, **{**options, "seed": 2})
    for a, b in zip(net.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="weights do not fit.*for 4 classes"):
        given.build(known, 4, SHAPE, **options)
    with pytest.raises(ValueError, match=r"no such file.*nowhere\.h5"):
        given.build(Given("teacher", MOBILE, weights="nowhere.h5"), 3, SHAPE)
    with pytest.raises(ValueError, match="1000 other classes.*for 3 classes"):
        given.build(Given("teacher", MOBILE, weights="imagenet"), 3, SHAPE)


def test_a_download_that_fails_says_how_to_get_the_file(monkeypatch):
    def fail(weights, **_):
        raise Exception("URL fetch failure on https://example.org/x.h5: no network")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    fail.__module__ = "keras.src.applications.mobilenet_v2"
    with pytest.raises(ValueError, match=r"downloaded.*weights=FILE.*example.org/x.h5"):
        applications.build(MOBILE, 1000, SHAPE, weights="imagenet")


@pytest.mark.parametrize("name", ["Foo", "MobileNetV2/", "MobileNetV2/x", "VGG16/0"])
def test_unknown_applications_raise(name):
    with pytest.raises(ValueError, match=f"no such model.*MobileNetV2.*{name}"):
        given.canonical_name(f"keras.applications.{name}")
    assert given.canonical_name(MOBILE.lower()) == MOBILE
    assert given.canonical_name("WRN-16-4") == "wrn_16_4"


def test_a_size_too_small_raises():
    with pytest.raises(ValueError, match="larger size.*at least 32x32"):
        applications.build("keras.applications.MobileNetV2/8", 3, SHAPE)


def test_a_students_dropout_draws_by_the_seed(tmp_path):
    path = str(tmp_path / "dropout.keras")
    sequential(keras.layers.Conv2D(8, 3), keras.layers.Dropout(0.5)).save(path)
    student = Given("student", path, scaling="unit")
    images = np.ones((2, *SHAPE), np.float32)
    first, second, other = (
        given.build(student, 3, SHAPE, seed=seed)(images, training=True)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_weights_in_half_precision_are_no_students(tmp_path):
    half = keras.layers.Conv2D(4, 3, dtype="float16")
    sequential(half).save(tmp_path / "half.keras")
    path = str(tmp_path / "half.keras")
    given.build(Given("teacher", path, scaling="unit"), 3, SHAPE)
    with pytest.raises(ValueError, match="half precision.*float32 weights.*float16"):
        given.build(Given("student", path, scaling="unit"), 3, SHAPE)
