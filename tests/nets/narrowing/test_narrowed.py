"""nets.narrow: the same graph with fewer channels."""

import inspect
import random

import keras
import numpy as np
import pytest
from keras import layers, ops

import nets
from nets import narrow
from nets.narrowing import rules as width_rules
from nets.narrowing import widths

IMAGE = (16, 16, 3)


def widths_of(model) -> dict:
    """Layer name -> channels of its output, also of the layers of models inside."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= widths_of(layer)
        elif not isinstance(layer, layers.InputLayer):
            found[layer.name] = layer.output.shape[-1]
    return found


def classifier(maps, classes=10, **options):
    """A model with maps: images -> maps and a head."""
    images = keras.Input(IMAGE)
    x = layers.GlobalAveragePooling2D(name="pool")(maps(images))
    return keras.Model(images, layers.Dense(classes, name="head", **options)(x))


def runs(model):
    """Its output for noise, which is finite."""
    shape = tuple(4 if n is None else n for n in model.input_shape)
    output = model(np.random.default_rng(0).normal(size=shape).astype("float32"))
    assert np.all(np.isfinite(output))
    return output


@pytest.mark.parametrize(
    ("number", "factor", "multiple", "expected"),
    [
        (64, 0.5, 1, 32),
        (24, 0.5, 1, 16),  # 12: half way, the larger
        (40, 0.5, 1, 24),  # 20: the same
        (22, 0.5, 1, 16),  # 11: the nearest is 8, below 90 %
        (18, 0.5, 1, 16),  # 9: likewise, 8 / 9
        (17, 0.5, 1, 8),  # 8.5
        (12, 0.5, 1, 8),
        (10, 0.1, 1, 8),
        (6, 0.5, 1, 6),  # never wider than it was
        (1, 0.5, 1, 1),
        (100, 0.99, 1, 96),
        (63, 0.99, 1, 63),
        (116, 1, 1, 116),  # as it was
        (128, 0.5, 32, 64),  # groups
        (128, 0.3, 32, 64),
        (96, 0.5, 3, 48),
        (18, 0.25, 6, 12),
        (20, 0.5, 20, 20),
    ],
)
def test_widths_are_rounded_as_said(number, factor, multiple, expected):
    assert widths.scaled(number, factor, multiple) == expected
    assert expected % multiple == 0


def residual(images):
    """Sums whose sides are as wide by other layers than one, and a concatenation."""
    x = layers.Conv2D(24, 3, padding="same", name="stem")(images)
    x = layers.BatchNormalization(name="bn")(x)
    y = layers.SeparableConv2D(24, 3, padding="same", name="separable")(x)
    x = x + layers.Activation("relu", name="relu")(y)
    y = layers.Concatenate(name="both")(
        [layers.Conv2D(22, 1, name="left")(x), layers.Conv2D(22, 1, name="right")(x)]
    )
    x = layers.Add(name="sum")([layers.Conv2D(44, 1, name="wide")(x), y])
    x = layers.MaxPooling2D(name="smaller")(x)
    return layers.Conv2DTranspose(32, 2, 2, name="larger")(x)


def test_sums_and_concatenations_fit():
    small = narrow(classifier(residual))
    found = widths_of(small)
    # 22 becomes 16, so that the sum is 32 wide, whatever 44 alone would be.
    assert found["left"] == found["right"] == 16
    assert found["both"] == found["wide"] == found["sum"] == 32
    assert found["stem"] == found["separable"] == found["relu"] == 16
    assert found["larger"] == 16 and found["head"] == 10
    runs(small)


def squeeze(images):
    """Depthwise and grouped convolutions, and what says channels as a number."""
    x = layers.Conv2D(32, 3, name="stem")(images)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.Conv2D(96, 3, groups=4, name="grouped")(x)
    x = layers.Conv2D(96, 3, groups=96, name="alone")(x)
    x = layers.GroupNormalization(32, name="norm")(x)
    y = layers.GlobalAveragePooling2D(name="squeeze")(x)
    y = layers.Reshape((1, 1, 96), name="as_map")(y)
    y = layers.Conv2D(4, 1, activation="relu", name="reduce")(y)
    y = layers.Conv2D(96, 1, activation="sigmoid", name="expand")(y)
    x = layers.Multiply(name="scale")([x, y])
    x = ops.reshape(x, (-1, x.shape[1] * x.shape[2], 96))
    y = layers.Dense(1, activation="sigmoid", name="place")(x)
    return layers.Reshape((8, 8, -1), name="back")(x * y)


def test_depthwise_groups_and_numbers_of_channels_follow():
    small = narrow(classifier(squeeze))
    found = widths_of(small)
    assert [found[n] for n in ("stem", "depthwise")] == [16, 32]
    # The 32 groups of the normalisation divide what is left of 96.
    assert {found[n] for n in ("grouped", "alone", "norm", "expand", "back")} == {64}
    assert small.get_layer("alone").groups == 64
    assert small.get_layer("grouped").groups == 4
    assert small.get_layer("as_map").target_shape == (1, 1, 64)
    assert (found["reduce"], found["place"]) == (4, 1)
    runs(small)


def shuffle(images):
    """A channel shuffle in standard layers, and halves of the channels."""
    x = layers.Conv2D(48, 3, strides=2, padding="same", name="stem")(images)
    x = layers.Reshape((8, 8, 3, 16), name="apart")(x)
    x = layers.Permute((1, 2, 4, 3), name="turned")(x)
    x = layers.Reshape((8, 8, 48), name="shuffled")(x)
    left, right = ops.split(x, 2, axis=-1)
    right = layers.Conv2D(24, 1, name="branch")(right)
    return layers.Concatenate(name="joined")([left, right])


def test_a_channel_shuffle_keeps_its_groups():
    small = narrow(classifier(shuffle))
    found = widths_of(small)
    assert found["stem"] == found["shuffled"] == 24
    assert small.get_layer("apart").target_shape == (8, 8, 3, 8)
    assert (found["branch"], found["joined"]) == (16, 12 + 16)
    runs(small)


def operations(images):
    """What is no layer."""
    x = layers.Conv2D(32, 3, name="stem")(
        ops.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    )
    y = ops.pad(ops.max_pool(x, 2), [(0, 0), (0, 8), (8, 0), (0, 0)])
    y = y + ops.mean(x, axis=(1, 2), keepdims=True)
    place = [ops.mean(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)]
    y = y * layers.Conv2D(1, 1, name="place")(ops.concatenate(place, axis=-1))
    z = ops.squeeze(ops.expand_dims(ops.swapaxes(y, 1, 2), 1), 1)
    z = ops.relu(ops.transpose(z, (0, 2, 1, 3)) / 2)
    flat = ops.reshape(z, (-1, 256, 32))
    scores = ops.softmax(ops.matmul(flat, ops.transpose(flat, (0, 2, 1))))
    z = ops.reshape(ops.matmul(scores, flat), (-1, 16, 16, 32))
    return layers.Conv2D(64, 1, name="last")(ops.image.resize(z, (8, 8)))


def test_operations_keep_the_widths():
    small = narrow(classifier(operations))
    assert small.get_layer("last").kernel.shape == (1, 1, 16, 32)
    assert small.input_shape == (None, *IMAGE)
    runs(small)


def transformer():
    """A vision transformer in standard layers."""
    images = keras.Input(IMAGE)
    x = layers.Conv2D(48, 4, 4, name="patches")(images)
    x = layers.Reshape((16, 48), name="tokens")(x)
    y = layers.LayerNormalization(name="norm1")(x)
    x = x + layers.MultiHeadAttention(3, 16, name="attention")(y, y)
    y = layers.LayerNormalization(name="norm2")(x)
    y = layers.Dense(96, activation="gelu", name="mlp")(y)
    x = layers.Add(name="sum")([x, layers.Dense(48, name="out")(y)])
    return keras.Model(images, layers.Dense(10, name="head")(x[:, 0]))


def test_a_transformer_keeps_its_heads():
    small = narrow(transformer())
    found = widths_of(small)
    assert (found["patches"], found["mlp"], found["out"]) == (24, 48, 24)
    attention = small.get_layer("attention").get_config()
    assert (attention["num_heads"], attention["key_dim"]) == (3, 8)
    runs(small)


def inner(name, channels):
    """A model of maps of any size."""
    x = maps = keras.Input((None, None, channels))
    for i in (1, 2):
        x = layers.Conv2D(channels, 3, padding="same", name=f"{name}_conv{i}")(x)
        x = layers.BatchNormalization(name=f"{name}_bn{i}")(x)
    return keras.Model(maps, layers.Add(name=f"{name}_sum")([maps, x]), name=name)


def transfer():
    """A frozen base called with training=False, augmentation, a shared model."""
    images = keras.Input(IMAGE)
    x = keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)])(images)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3], name="norm")(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", name="stem")(x)
    base = inner("base", 32)
    base.trainable = False
    x = base(x, training=False)
    x = base(layers.MaxPooling2D(name="smaller")(x), training=False)
    x = layers.Flatten(name="flat")(x)
    x = keras.Sequential([keras.Input((512,)), layers.Dense(64, name="dense")])(x)
    return keras.Model(images, layers.Dense(10, activation="softmax", name="head")(x))


def test_models_inside_are_narrowed_and_shared_ones_stay_shared():
    model = transfer()
    small = narrow(model)
    base = small.get_layer("base")
    assert base.input_shape == (None, None, None, 16)
    assert base is not model.get_layer("base")
    assert widths_of(base)["base_sum"] == 16 and widths_of(small)["flat"] == 256
    assert len(base._inbound_nodes) == 2  # calls
    assert len(small.weights) == len(model.weights)
    # What is fresh must learn, and so does a batch norm that was told not to.
    assert len(small.trainable_weights) == len(model.trainable_weights) + 8
    before = [w.numpy() for w in base.non_trainable_weights]
    images = np.random.default_rng(0).uniform(0, 255, (4, *IMAGE)).astype("float32")
    small(images, training=True)
    changed = [
        np.any(w.numpy() != old)
        for w, old in zip(base.non_trainable_weights, before, strict=True)
    ]
    assert all(changed)
    assert not model.get_layer("base").trainable_weights


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_statistics_of_the_data_are_kept(kind):
    norm = layers.Normalization(name="norm")
    pixels = np.random.default_rng(0).normal(5, 2, (9, *IMAGE)).astype("float32")
    norm.adapt(pixels)
    stack = [keras.Input(IMAGE), norm, layers.Conv2D(16, 3), layers.Flatten()]
    model = keras.Sequential([*stack, layers.Dense(3)])
    if kind == "functional":
        model = keras.Model(model.inputs, model.outputs)
    small = narrow(model)
    assert type(small) is type(model)
    np.testing.assert_array_equal(small.get_layer("norm")(pixels), norm(pixels))
    assert small.get_layer("norm") is not norm
    assert small.count_params() < model.count_params()


def test_weights_are_fresh_and_follow_the_seed():
    model = classifier(residual)
    old = [w.numpy() for w in model.weights]
    state = random.getstate()
    one, again = narrow(model, seed=3), narrow(model, seed=3)
    assert random.getstate() == state
    other = narrow(model, seed=4)
    kernels = [m.get_layer("stem").kernel.numpy() for m in (one, again, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.any(kernels[0] == kernels[2])
    assert not {id(w) for w in one.weights} & {id(w) for w in model.weights}
    assert not set(map(id, one.operations)) & set(map(id, model.operations))
    for w, before in zip(model.weights, old, strict=True):
        np.testing.assert_array_equal(w, before)


def test_width_1_is_the_same_model_with_fresh_weights():
    model = classifier(squeeze)
    same = narrow(model, 1, name="again")
    assert [w.shape for w in same.weights] == [w.shape for w in model.weights]
    assert (same.name, narrow(model).name) == ("again", f"{model.name}_narrow")


def test_precision_is_kept():
    with_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = classifier(residual)
    finally:
        keras.config.set_dtype_policy(with_policy)
    small = narrow(model)
    assert small.dtype_policy.name == "mixed_bfloat16"
    assert small.get_layer("stem").compute_dtype == "bfloat16"
    assert small.output.dtype == "bfloat16"


def test_stages_pair_with_those_of_the_model_and_the_file_is_whole(tmp_path):
    model = classifier(residual)
    small = narrow(model)
    big_net, small_net = nets.wrap(model), nets.wrap(small)
    assert big_net.tap_layers == small_net.tap_layers
    assert big_net.tap_specs["stage1"].channels == 32
    assert small_net.tap_specs["stage1"].channels == 16
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_allclose(runs(loaded), runs(small), rtol=1e-6)


class Mine(layers.Dense):
    """A layer of one's own."""


class Branch(keras.Model):
    """A model of one's own, which is a graph."""


def lambda_layer(images):
    """A function of the user's."""
    return layers.Lambda(lambda x: x * 2, name="double")(layers.Conv2D(8, 3)(images))


def given_numbers(images):
    """Numbers that nobody can narrow."""
    x = layers.Conv2D(32, 3, name="stem")(images)
    return x * np.arange(32, dtype="float32")


def of_own_class():
    """A graph with a class of its own, as transfer learning has."""
    images = keras.Input(IMAGE)
    return Branch(images, layers.Dense(3)(layers.Flatten()(images)), name="branch")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: classifier(lambda x: Mine(8, name="own")(x)), "'own', a Mine"),
        (lambda: classifier(lambda_layer), "'double', a Lambda"),
        (lambda: classifier(given_numbers), "Multiply with 32 numbers"),
        (
            lambda: classifier(lambda x: layers.Conv2D(16, 3)(x)[..., :5]),
            "takes a part of the channels.*GetItem",
        ),
        (
            lambda: classifier(
                lambda x: ops.pad(layers.Conv2D(16, 3)(x), [(0, 0)] * 3 + [(0, 8)])
            ),
            "pads the channels.*a Pad",
        ),
        (
            lambda: classifier(lambda x: layers.ConvLSTM2D(8, 3)(x[:, None])),
            "of its kind nothing is known.*a ConvLSTM2D",
        ),
        (lambda: nets.build("resnet8", 10), "'resnet8', a ResNet"),
        (of_own_class, r"keras.Model\(model.inputs, model.outputs\).*a Branch"),
        (lambda: keras.Sequential([layers.Dense(3)]), "one that is built"),
        (lambda: inner("base", 8), "no head.*Dense layer first"),
    ],
)
def test_what_cannot_be_narrowed_is_named(model, words):
    model = model()
    with pytest.raises(ValueError, match=words) as error:
        narrow(model)
    assert "\n" not in str(error.value)


def test_what_keras_refuses_names_the_layer(monkeypatch):
    model = classifier(residual)
    monkeypatch.setitem(width_rules.LAYERS, layers.Add, lambda call: call.first[0])
    with pytest.raises(ValueError, match="fit together.*'sum', a Add: ") as error:
        narrow(model)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("width", [0, -1, 1.5, True, float("nan")])
def test_a_width_that_is_none_raises(width):
    with pytest.raises(ValueError, match=f"width={width}"):
        narrow(transformer(), width)


def test_the_way_out_of_a_class_of_its_own_works():
    model = of_own_class()
    small = narrow(keras.Model(model.inputs, model.outputs))
    assert small.output_shape == (None, 3)


class Backbone(keras.Model):
    """As KerasHub writes its own: a class around a graph."""

    def __init__(self, **kwargs):
        maps = keras.Input((None, None, 3))
        super().__init__(maps, layers.Conv2D(32, 3, name="conv")(maps), **kwargs)


class Changed(Backbone):
    """One that does something else than its graph."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=training) * 2


def test_a_class_around_a_graph_may_be_inside():
    small = narrow(classifier(Backbone(name="backbone")))
    backbone = small.get_layer("backbone")
    assert not isinstance(backbone, Backbone)
    assert backbone.get_layer("conv").filters == 16
    with pytest.raises(ValueError, match="layer 'backbone', a Changed"):
        narrow(classifier(Changed(name="backbone")))


NAMES = [n for n, f in vars(keras.applications).items() if inspect.isfunction(f)]


def check_application(name):
    """Narrows a model of keras.applications."""
    build = getattr(keras.applications, name)
    model = build(weights=None, classes=7, input_shape=(96, 96, 3))
    small = narrow(model, 0.5)
    assert small.output_shape == model.output_shape == (None, 7)
    assert [x.name for x in small.layers] == [x.name for x in model.layers]
    assert 3.3 < model.count_params() / small.count_params() <= 4.02
    runs(small)


def test_a_model_of_keras_has_about_a_quarter_of_the_parameters():
    check_application("MobileNetV3Small")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_model_of_keras_can_be_narrowed(name):
    check_application(name)
    keras.backend.clear_session()
