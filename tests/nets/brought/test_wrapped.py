"""Any Keras model shows taps and logits, and sees the images it was made for."""

import keras
import numpy as np
import pytest

import nets
from nets.brought import opened, scaling
from nets.brought.wrapped import seen_by

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, 16, 16, 3), np.uint8)
STATISTICS = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}


def small(activation="softmax", separate=None, size=16):
    """conv a -> pool -> conv, batch norm, ReLU b -> mean -> dense."""
    layers = keras.layers
    stack = [
        keras.Input((size, size, 3)),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Conv2D(4, 3, padding="same", activation="relu", name="a"),
        layers.MaxPooling2D(),
        layers.ZeroPadding2D(),
        layers.Conv2D(6, 3),
        layers.BatchNormalization(name="bn"),
        layers.ReLU(name="b"),
        layers.GlobalAveragePooling2D(name="mean"),
        layers.Dense(5, activation=activation, name="out"),
    ]
    keras.utils.set_random_seed(1)
    return keras.Sequential([*stack, *([separate] if separate else [])])


class Plain(keras.Model):
    """A subclassed model: nobody knows its layers' outputs."""

    def __init__(self, activation="softmax"):
        super().__init__(name="plain")
        self.flatten = keras.layers.Flatten()
        self.out = keras.layers.Dense(4, activation=activation)

    def call(self, images, training=False):
        return self.out(self.flatten(images))


def numbers(net, pixels=PIXELS):
    return net(net.normalise(pixels), with_taps=True)


@pytest.mark.parametrize("statistics", [{}, STATISTICS])
def test_taps_are_the_layers_outputs(statistics):
    model = small()
    net = nets.wrap(model, scaling="pixels", **statistics)
    logits, taps = numbers(net)
    images = PIXELS.astype(np.float32)
    layers = keras.Model(model.inputs, [model.get_layer(n).output for n in "ab"])
    first, second = layers(images)
    np.testing.assert_allclose(taps["stage1"], first, atol=1e-4)
    np.testing.assert_allclose(taps["stage2"], second, atol=1e-4)
    np.testing.assert_array_equal(taps["last_map"], taps["stage2"])
    np.testing.assert_allclose(keras.ops.softmax(logits), model(images), atol=1e-5)
    np.testing.assert_allclose(net.head(taps["embedding"]), logits, atol=1e-5)
    for name in ("stage1", "stage2"):
        before = taps[f"{name}_pre"]
        np.testing.assert_allclose(np.maximum(before, 0), taps[name], atol=1e-5)
        assert np.min(before) < 0
    shapes = {name: tuple(tap.shape[1:]) for name, tap in taps.items()}
    assert shapes == {name: spec.shape for name, spec in net.tap_specs.items()}
    assert [net.tap_specs[f"stage{i}"].stride for i in (1, 2)] == [1, 2]
    assert net.tap_specs["stage2_pre"].batch_norm is model.get_layer("bn")
    assert net.tap_specs["stage1_pre"].batch_norm is None


def test_taps_are_named_by_their_layers():
    net = nets.wrap(small(), {"stage1": "b", "middle": "mean"})
    assert net.tap_specs["stage1"].shape == (8, 8, 6)
    assert net.tap_specs["middle"].shape == (6,)
    with pytest.raises(ValueError, match="no such layer.* of .*, a, .*'zz'"):
        nets.wrap(small(), {"stage1": "zz"})
    with pytest.raises(ValueError, match="inside a model: inner/b. Expected one of"):
        inner = small(None)
        inner.name = "inner"
        nets.wrap(keras.Sequential([keras.Input((16, 16, 3)), inner]), {"x": "b"})


def test_names_of_taps_that_collide():
    net = nets.wrap(small(), {"x_pre": "b", "x": "a"})
    assert net.tap_specs["x_pre"].shape == (8, 8, 6)  # b, not a before its ReLU
    with pytest.raises(ValueError, match="logits are no tap.*'logits': 'a'"):
        nets.wrap(small(), {"logits": "a"})


def test_layers_that_another_model_has_too():
    """A new head on old layers: their outputs in this model count."""
    old = small()
    stack = [keras.Input((16, 16, 3)), *old.layers[:-1], keras.layers.Dense(7)]
    net = nets.wrap(keras.Sequential(stack), {"stage1": "b"}, scaling="pixels")
    expected = nets.wrap(old, {"stage1": "b"}, scaling="pixels")
    assert numbers(net).logits.shape == (3, 7)
    for name in ("stage1", "stage1_pre", "embedding"):
        np.testing.assert_array_equal(
            numbers(net).taps[name], numbers(expected).taps[name]
        )


def test_a_layer_used_twice_is_tapped_where_it_is_used_last():
    relu, conv = keras.layers.ReLU(name="relu"), keras.layers.Conv2D
    images = keras.Input((16, 16, 3))
    first = relu(conv(4, 3, padding="same")(images))
    second = relu(conv(6, 3, 2, padding="same")(first))
    logits = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(second))
    net = nets.wrap(keras.Model(images, logits), {"x": "relu"})
    expected = keras.Model(images, second)(net.normalise(PIXELS))
    np.testing.assert_allclose(numbers(net).taps["x"], expected, atol=1e-5)


def test_a_model_of_any_size_is_tapped_at_the_size_it_gets():
    model, expected = small(size=None), nets.wrap(small(), scaling="pixels")
    model.set_weights(expected.get_weights())
    net = nets.wrap(model, image_shape=(16, 16, 3), scaling="pixels")
    assert net.tap_layers == expected.tap_layers
    assert [s.shape for s in net.tap_specs.values()] == [
        s.shape for s in expected.tap_specs.values()
    ]
    for training in (False, True):  # batch norm knows which
        images = net.normalise(PIXELS)
        found, same = (n(images, training=training) for n in (net, expected))
        np.testing.assert_allclose(found, same, atol=1e-5)
    assert net.trainable_variables == model.trainable_variables


@pytest.mark.parametrize(
    "model",
    [
        lambda: small("softmax"),
        lambda: small(None, keras.layers.Softmax()),
        lambda: small(None, keras.layers.Activation("softmax")),
        lambda: small(None, small_softmax()),
        lambda: built(Plain()),
    ],
    ids=["dense", "layer", "activation", "inside", "subclassed"],
)
def test_probabilities_become_logits(model):
    model = model()
    shape = (16, 16, 3)
    net = nets.wrap(model, image_shape=shape, scaling="pixels")
    assert any("softmax" in note or "probabilities" in note for note in net.notes)
    logits = numbers(net).logits
    expected = model(PIXELS.astype(np.float32))
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)
    assert not np.allclose(logits, expected, atol=0.1)


def small_softmax():
    vector = keras.Input((5,))
    return keras.Model(vector, keras.ops.softmax(vector))


def built(model):
    model(np.zeros((1, 16, 16, 3), np.float32))
    return model


def test_logits_stay_as_they_are():
    model = small(None)
    net = nets.wrap(model, scaling="pixels")
    images = PIXELS.astype(np.float32)
    np.testing.assert_allclose(numbers(net).logits, model(images), atol=1e-5)
    assert not any("softmax" in note or "prob" in note for note in net.notes)
    plain = nets.wrap(built(Plain(None)), image_shape=(16, 16, 3))
    assert plain.tap_specs == {} and plain.notes == ()
    assert numbers(plain).taps == {}


def test_a_saved_net_is_the_same(tmp_path):
    net = nets.wrap(small(), {"stage1": "a"}, scaling="tf", **STATISTICS)
    nets.save(net, tmp_path / "net.keras")
    for again in (
        nets.load(tmp_path / "net.keras"),
        nets.load(tmp_path / "net.keras", dtype="mixed_bfloat16"),  # keeps its own
    ):
        expected, found = numbers(net), numbers(again)
        np.testing.assert_array_equal(expected.logits, found.logits)
        assert list(expected.taps) == list(found.taps)
        assert len(again.variables) == len(net.model.variables)


@pytest.mark.parametrize("mode", scaling.KERAS_MODES)
def test_scalings_of_keras(mode):
    modules = {"tf": "mobilenet_v2", "torch": "densenet", "caffe": "vgg16"}
    preprocess = getattr(keras.applications, modules[mode]).preprocess_input
    assert scaling.mode_of(preprocess) == mode
    normalised = (PIXELS / np.float32(255) - np.float32(0.4)) / np.float32(0.2)
    np.testing.assert_allclose(
        scaling.rescale(normalised, 0.4, 0.2, mode),
        preprocess(PIXELS.astype(np.float32)),
        atol=2e-4,
    )


def test_other_sizes_and_grey_images_are_converted():
    model = small(size=8)
    net = nets.wrap(model, image_shape=(16, 16, 1), scaling="pixels")
    flat = np.full((3, 16, 16, 1), 77, np.uint8)
    expected = model(np.full((3, 8, 8, 3), 77, np.float32))
    got = keras.ops.softmax(numbers(net, flat).logits)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_teacher_sees_what_the_student_sees():
    teacher = nets.build("resnet8", 10, (8, 8, 3), seed=1, **STATISTICS)
    student = nets.build("resnet8", 10, (16, 16, 3), seed=2)
    seen = seen_by(teacher, student)
    flat = np.full((2, 16, 16, 3), 99, np.uint8)
    small_flat = np.full((2, 8, 8, 3), 99, np.uint8)
    expected = teacher(teacher.normalise(small_flat), with_taps=True)
    got = seen(student.normalise(flat), with_taps=True)
    np.testing.assert_allclose(got.logits, expected.logits, atol=1e-4)
    assert list(got.taps) == list(teacher.tap_specs) == list(seen.tap_specs)
    assert seen.head is teacher.head
    assert seen_by(student, student) is student


def test_what_is_no_classifier_of_images_raises():
    for model in (
        keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]),
        Plain(),
    ):
        with pytest.raises(ValueError, match="not one that classifies images"):
            nets.wrap(model)
    with pytest.raises(ValueError, match="Expected grey ones or 3 channels.*: 4 ch"):
        nets.wrap(small(), image_shape=(16, 16, 4))
    with pytest.raises(ValueError, match="scaling is unknown.*scaling='zoom'"):
        nets.wrap(small(), scaling="zoom")
    with pytest.raises(ValueError, match="subclassed model are unknown.*'x'"):
        nets.wrap(built(Plain()), {"x": "out"}, image_shape=(16, 16, 3))
    with pytest.raises(ValueError, match="float images.*uint8"):
        nets.wrap(small())(PIXELS)


def test_our_nets_stay_as_they_are():
    net = nets.build("resnet8", 10, (8, 8, 3), seed=1)
    assert nets.wrap(net) is net
    assert not opened.has_graph(net)


def test_grey_images_reach_preprocessing_as_rgb():
    model = small(size=8)
    net = nets.wrap(model, image_shape=(8, 8, 1), scaling="caffe")
    grey = PIXELS[:, :8, :8, :1]
    preprocess = keras.applications.vgg16.preprocess_input
    expected = model(preprocess(np.repeat(grey, 3, axis=-1).astype(np.float32)))
    got = keras.ops.softmax(numbers(net, grey).logits)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    one_channel = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="red, green and blue.*'torch' and 1"):
        nets.wrap(one_channel, scaling="torch")


def test_classes_that_do_not_exclude_each_other_raise():
    with pytest.raises(ValueError, match="ends in 5 sigmoid units, layer 'out'"):
        nets.wrap(small("sigmoid"))


def test_dropout_ends_no_stage():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="a"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    assert nets.wrap(model).tap_layers == {"stage1": "a"}
