"""A wrapped model is shown to be right on noise, or refused in one line."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import nets
from nets import given, saving
from nets.brought import applications, before_activation, found_taps, wrap_check
from nets.brought.wrapped import WrappedNet, seen_by
from tests.nets.brought import own_layers

PENALISED = {"activity_regularizer": keras.regularizers.L2(0.1)}


def convnet(*between, head=None, **options):
    return own_layers.convnet(head or layers.Dense(5), *between, **options)


def wrap(model, taps=None, **options):
    return nets.wrap(model, taps, image_shape=(8, 8, 3), scaling="pixels", **options)


def refused(model, *said, **options):
    """The line by which it is refused, which says all of this."""
    with pytest.raises(ValueError) as caught:
        wrap(model, **options)
    line = str(caught.value)
    assert "\n" not in line
    for word in (model.name, *said):
        assert word in line
    return line


@pytest.fixture
def plant(monkeypatch):
    """Changes what is found in a model's graph before it is checked."""

    def plant(change):
        right = found_taps.find

        def wrong(*args, **options):
            return change(right(*args, **options))

        monkeypatch.setattr(found_taps, "find", wrong)

    return plant


def test_a_right_model_passes():
    wrap(convnet(own_layers.Block(4), own_layers.Penalty(), **PENALISED))
    wrap(convnet(head=layers.Dense(5, activation="softmax", **PENALISED)))
    wrap(convnet(head=own_layers.GatedHead(5)))
    wrap(convnet(head=own_layers.Probabilities(5)))
    wrap(convnet(head=layers.Dense(5, activation=lambda x: keras.ops.softmax(x))))
    wrap(own_layers.built_subclassed())
    wrap(convnet(model=own_layers.Halved))  # without taps


def test_other_logits_are_refused(plant):
    plant(lambda found: found._replace(logits=2 * found.logits))
    line = refused(convnet(), "its output", "a difference of")
    # Twice the logits differ by the logits.
    difference, scale = line.split("difference of ")[1].split(" on values up to ")
    assert difference == scale.split(",")[0]
    refused(convnet(head=layers.Dense(5, activation="softmax")), "its output")


def test_other_logits_beside_taps_are_refused(monkeypatch):
    right = WrappedNet._forward

    def wrong(self, images, training, with_taps):
        logits, taps = right(self, images, training, with_taps)
        return (logits[::-1] if with_taps else logits), taps

    monkeypatch.setattr(WrappedNet, "_forward", wrong)
    refused(convnet(), "its output beside the taps")


@pytest.mark.parametrize("tap", ["stage1", "stage1_pre"])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: own_layers.Block(4, name="x"),
        lambda: layers.Conv2D(3, 3, activation="relu", name="x"),
        lambda: layers.ReLU(name="x"),
    ],
    ids=["own", "fused", "layer"],
)
def test_a_tap_of_other_values_is_refused(plant, tap, layer):
    plant(lambda found: found._replace(taps={**found.taps, tap: -found.taps[tap]}))
    refused(convnet(layer(), activation=None), f"'{tap}'", "'x'")


def test_an_activation_that_is_not_the_last_is_refused(plant):
    """What `wrap` once did of a layer with an attribute of this name."""

    def blind(found):
        layer, inputs = before_activation.producer(found.taps["stage1"])
        before = before_activation.BeforeActivation(layer)(*inputs)
        return found._replace(taps={**found.taps, "stage1_pre": before})

    plant(blind)
    refused(convnet(own_layers.Block(4, name="block")), "'stage1_pre'", "'block'")


def test_another_head_is_refused(plant):
    def swapped(found):
        head = layers.Dense(5, kernel_initializer="ones")
        head.build((None, 4))
        return found._replace(head=head)

    plant(swapped)
    refused(convnet(), "its head")


def test_a_penalty_that_counts_twice_is_refused(plant):
    def twice(found):
        again = layers.ActivityRegularization(l2=1.0)(found.taps["stage1"])
        return found._replace(taps={**found.taps, "again": again})

    plant(twice)
    refused(convnet(), "its regularisers and add_loss")


def test_a_call_of_ones_own_has_no_taps():
    model = convnet(model=own_layers.Halved)
    refused(model, "its output", "name other layers in taps, or none", taps={"x": "a"})


@pytest.mark.parametrize("head", [None, layers.Dense(5, activation="softmax")])
@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            own_layers.AlwaysDrops,
            "layer 'always' (Dropout), which draws random numbers",
        ),
        (own_layers.UnseededNoise, "(UnseededNoise), which draws random numbers"),
        (own_layers.CountsCalls, "(CountsCalls), which changes its 'calls'"),
    ],
)
def test_a_layer_that_differs_in_two_calls_is_refused_by_name(layer, said, head):
    refused(convnet(layer(), head=head), "not the same in two calls", said)


def test_a_subclassed_model_that_always_drops_is_refused_by_name():
    model = own_layers.built_subclassed(drops=True)
    refused(model, "layer 'always' (Dropout)", "not the same in two calls")


def test_the_model_stays_as_it_is():
    drops = layers.Dropout(0.5, seed=1)
    stack = [layers.RandomFlip(seed=2), layers.BatchNormalization(), drops]
    for model in (convnet(*stack, **PENALISED), convnet(own_layers.AlwaysDrops())):
        before = [np.array(v.numpy()) for v in model.variables]
        calls = [layer.call for layer in model.layers]
        try:
            wrap(model)
        except ValueError as error:
            assert "two calls" in str(error)
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
        assert [layer.call for layer in model.layers] == calls
        assert not any("call" in vars(layer) for layer in model.layers)
        assert not model.losses


@pytest.mark.parametrize(
    ("precision", "activation"),
    [("mixed_float16", "softmax"), ("mixed_bfloat16", "softmax"), ("float16", None)],
)
def test_half_precision(precision, activation, plant):
    """Right models pass, and wrong ones do not."""
    keras.config.set_dtype_policy(precision)
    try:
        model = convnet(
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.ReLU(),
            own_layers.Block(8),
            head=layers.Dense(100, activation=activation),
        )
        wrap(model)
        plant(lambda found: found._replace(logits=1.5 * found.logits))
        refused(model, "its output")
    finally:
        keras.config.set_dtype_policy("float32")


def test_small_logits_of_many_classes_are_seen(plant):
    """Of an untrained model: probabilities hardly differ, logits do."""
    small = keras.initializers.RandomNormal(stddev=1e-4, seed=1)
    head = layers.Dense(1000, activation="softmax", kernel_initializer=small)
    wrap(model := convnet(head=head))
    plant(lambda found: found._replace(logits=1.1 * found.logits))
    refused(model, "its output")


def test_where_it_is_checked(tmp_path, monkeypatch):
    """Where users bring models, once; not where our own nets are read or shown."""
    checked = []
    check = wrap_check.checked
    monkeypatch.setattr(
        wrap_check, "checked", lambda net: checked.append(net.name) or check(net)
    )
    net = wrap(model := convnet())
    assert len(checked) == 1
    saving.save(net, path := tmp_path / "net.keras")
    saving.load(path)
    seen_by(net, nets.build("resnet8", 5, (16, 16, 3)))
    nets.wrap(nets.build("resnet8", 5, (16, 16, 3)), image_shape=(8, 8, 3))
    assert len(checked) == 1
    model.save(path := tmp_path / "model.keras")
    teacher = given.Given("teacher", file=str(path))
    given.build(teacher, 5, (8, 8, 3))
    assert len(checked) == 2
    applications.build("keras.applications.MobileNetV3Small/32", 5, (32, 32, 3))
    assert len(checked) == 3
    odd = convnet(own_layers.CountsCalls())
    odd.save(path)
    with pytest.raises(ValueError, match="not the same in two calls.*CountsCalls"):
        given.build(dataclasses.replace(teacher, scaling="pixels"), 5, (8, 8, 3))


def test_the_use_of_a_layer_that_a_name_says():
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    inner = own_layers.convnet(layers.Dense(5), shared)
    assert wrap_check._use(inner, "shared") == (shared, -1)
    assert wrap_check._use(inner, "shared@2") == (shared, 1)
    inner.name = "inner"
    images = keras.Input((8, 8, 3))
    outer = keras.Model(images, inner(images))
    assert wrap_check._use(outer, "inner/shared@1") == (shared, 0)
    assert wrap_check._use(outer, "inner") == (inner, -1)


@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1e-4])
def test_probabilities_of_fresh_weights_pass(scale):
    """All are 1/10 rounded, whatever the logits: nothing to compare them by."""
    kernel = keras.initializers.RandomNormal(stddev=scale, seed=0)
    head = layers.Dense(10, activation="softmax", kernel_initializer=kernel)
    net = nets.wrap(own_layers.convnet(head))
    assert net.ends_in_softmax
