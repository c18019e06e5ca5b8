"""Wrapping changes no numbers, whatever a layer calls `activation`; losses count once.

Models are wrapped here without the check (`wrap_check`), so that what is read from the
graph is seen to be right by itself.
"""

import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

from nets.brought.wrapped import WrappedNet
from tests.nets.brought import own_layers

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
IMAGES = PIXELS.astype(np.float32)


def wrapped(model, taps=None, **options):
    return WrappedNet(model, taps, image_shape=(8, 8, 3), scaling="pixels", **options)


def output(net):
    return net(net.normalise(PIXELS), with_taps=True)


def softmax(net):
    return ops.softmax(output(net).logits)


@pytest.mark.parametrize(
    "head",
    [
        lambda: own_layers.GatedHead(5),
        lambda: own_layers.GatedHead(5, activation="sigmoid"),
        lambda: own_layers.GatedDense(5, activation="softmax"),
    ],
    ids=["layer", "sigmoid", "subclass"],
)
def test_a_head_of_ones_own_keeps_its_numbers(head):
    model = own_layers.convnet(head())
    net = wrapped(model)
    logits, taps = output(net)
    np.testing.assert_allclose(logits, model(IMAGES), rtol=1e-6)
    np.testing.assert_array_equal(net(net.normalise(PIXELS)), logits)
    np.testing.assert_allclose(net.head(taps["embedding"]), logits, rtol=1e-6)
    assert not net.ends_in_softmax


def test_what_is_before_a_block_of_ones_own_is_not_known():
    model = own_layers.convnet(layers.Dense(5), own_layers.Block(4, name="block"))
    net = wrapped(model, {"stage1": "block"})
    taps = output(net).taps
    expected = keras.Model(model.inputs, model.get_layer("block").output)(IMAGES)
    np.testing.assert_allclose(taps["stage1"], expected, rtol=1e-6)
    np.testing.assert_array_equal(taps["stage1_pre"], taps["stage1"])


@pytest.mark.parametrize(
    "relu",
    [
        lambda: layers.ReLU(name="x"),
        lambda: layers.ReLU(max_value=0.5, name="x"),
        lambda: layers.ReLU(negative_slope=0.1, name="x"),
        lambda: layers.Activation("relu", name="x"),
        lambda: layers.Conv2D(3, 3, activation="relu", name="x"),
        lambda: layers.DepthwiseConv2D(3, activation="relu", name="x"),
        lambda: layers.SeparableConv2D(3, 3, activation="relu", name="x"),
        lambda: layers.Conv2DTranspose(3, 3, activation="relu", name="x"),
        lambda: own_layers.Standardised(3, 3, activation="relu", name="x"),
        lambda: layers.EinsumDense(
            "bhwc,cd->bhwd", (8, 8, 3), activation="relu", name="x"
        ),
    ],
)
def test_what_a_built_in_relu_gets_is_known(relu):
    layer = relu()
    net = wrapped(own_layers.convnet(layers.Dense(5), layer, activation=None))
    after, before = (output(net).taps[x] for x in ("stage1", "stage1_pre"))
    assert np.min(before) < 0
    last = getattr(layer, "activation", layer)
    np.testing.assert_allclose(last(before), after, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.ReLU(threshold=0.2, name="x"),
        lambda: layers.Activation(lambda x: ops.relu(x), name="x"),
        lambda: layers.Conv2D(3, 3, activation=lambda x: ops.relu(x), name="x"),
        lambda: layers.LeakyReLU(name="x"),
    ],
)
def test_what_is_no_relu_stays_the_tap(layer):
    net = wrapped(own_layers.convnet(layers.Dense(5), layer(), activation=None))
    taps = output(net).taps
    np.testing.assert_array_equal(taps["stage1_pre"], taps["stage1"])


def shared_softmax(x):
    """One activation layer as a gate and as the end."""
    both = layers.Activation("softmax", name="both")
    return both(layers.Dense(5)(x * both(x)))


@pytest.mark.parametrize(
    ("head", "is_found"),
    [
        (layers.Dense(5, activation="softmax"), True),
        (layers.Dense(5, activation=keras.activations.softmax), True),
        (lambda x: ops.softmax(layers.Dense(5)(x)), True),
        (lambda x: keras.activations.softmax(layers.Dense(5)(x)), True),
        (lambda x: layers.Softmax()(layers.Dense(5)(x)), True),
        (lambda x: layers.Softmax(axis=1)(layers.Dense(5)(x)), True),
        (lambda x: layers.Softmax()(layers.Dense(5)(x) / 2), True),
        (lambda x: ops.softmax(layers.Dense(5)(x) / 2), True),
        (shared_softmax, True),
        (layers.Dense(5, activation=lambda x: ops.softmax(x)), False),
        (layers.Dense(5, activation=ops.softmax), False),
        (layers.Dense(5, activation=layers.Softmax()), False),
        (
            lambda x: layers.Dropout(0.5)(layers.Dense(5, activation="softmax")(x)),
            False,
        ),
        (
            lambda x: layers.Activation("linear", dtype="float32")(
                layers.Dense(5, activation="softmax")(x)
            ),
            False,
        ),
    ],
)
def test_a_softmax_of_any_kind(head, is_found):
    model = own_layers.convnet(head)
    net = wrapped(model)
    assert (net.ends_in_softmax, net.probabilities) == (is_found, not is_found)
    if net.head is not None:
        logits, taps = output(net)
        np.testing.assert_allclose(net.head(taps["embedding"]), logits, rtol=1e-5)
    np.testing.assert_allclose(
        ops.softmax(output(net).logits), model(IMAGES), rtol=1e-5
    )


def test_a_softmax_that_something_follows_is_inside():
    model = own_layers.convnet(
        lambda x: layers.Dense(3)(layers.Dense(5, activation="softmax")(x))
    )
    np.testing.assert_allclose(output(wrapped(model)).logits, model(IMAGES), rtol=1e-5)


def test_a_softmax_over_images_raises():
    model = own_layers.convnet(lambda x: layers.Softmax(axis=0)(layers.Dense(5)(x)))
    with pytest.raises(ValueError, match="not over its classes.*axis=-1.*axis=0"):
        wrapped(model)


def test_probabilities_are_not_taken_twice():
    """A file of before may say so of a softmax that now is found."""
    model = own_layers.convnet(layers.Dense(5, activation="softmax"))
    net = wrapped(model, probabilities=True)
    np.testing.assert_allclose(
        ops.softmax(output(net).logits), model(IMAGES), rtol=1e-5
    )


def test_a_file_of_before_may_say_no_of_what_are_probabilities():
    """They were the softmax of a user's layer, which was taken for the model's end."""
    model = own_layers.convnet(own_layers.Probabilities(5))
    net = wrapped(model)
    assert net.probabilities
    assert net.head is None  # it would return probabilities, too
    config = {**net.get_config(), "probabilities": False}
    assert WrappedNet.from_config(config).head is None
    config = {**net.get_config(), "probabilities": False}
    del config["keeps_head"]
    before = WrappedNet.from_config(config)
    assert before.probabilities
    assert before.head is not None
    assert WrappedNet.from_config(before.get_config()).head is not None


def test_files_of_before_find_a_heads_weights_where_they_put_them(tmp_path):
    """Keras files weights where it meets them first: by alphabet in `head`."""
    net = wrapped(own_layers.convnet(own_layers.GatedHead(5)))
    net.save(path := tmp_path / "net.keras")
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights:
        file = h5py.File(weights)
        assert set(file["head/layer"]) >= {"gate", "out"}


def test_a_quantised_softmax():
    model = own_layers.convnet(layers.Dense(5, activation="softmax"))
    model.quantize("int8")
    net = wrapped(model)
    assert net.ends_in_softmax
    np.testing.assert_allclose(
        ops.softmax(output(net).logits), model(IMAGES), rtol=1e-5
    )


def test_two_taps_of_one_layer():
    net = wrapped(own_layers.convnet(layers.Dense(5)), {"x": "a", "y": "a"})
    taps = output(net).taps
    np.testing.assert_array_equal(taps["x_pre"], taps["y_pre"])


def test_a_call_of_ones_own_is_not_in_the_graph():
    model = own_layers.convnet(layers.Dense(5), model=own_layers.Halved)
    logits, taps = output(net := wrapped(model))
    assert not taps and net.tapped is None
    np.testing.assert_allclose(logits, model(IMAGES), rtol=1e-6)


def penalised(softmax="fused"):
    """Every kind of loss that a layer may add."""
    penalties = {
        "activity_regularizer": keras.regularizers.L2(0.1),
        "kernel_regularizer": keras.regularizers.L1(0.01),
    }
    head = layers.Dense(5, activation="softmax", **penalties)
    if softmax == "layer":
        end = layers.Softmax(activity_regularizer=keras.regularizers.L1(0.5))

        def head(x):
            return end(layers.Dense(5, **penalties)(x))

    between = [own_layers.Penalty(), layers.Dropout(0.5, seed=1)]
    between += [layers.BatchNormalization(), layers.ReLU(name="b")]
    return own_layers.convnet(head, *between, **penalties)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "model",
    [penalised, lambda: penalised("layer"), own_layers.built_subclassed],
    ids=["fused", "layer", "subclassed"],
)
def test_losses_count_once_on_their_own_tensors(model, training):
    model = model()
    net = wrapped(model)
    net(net.normalise(PIXELS))  # its losses are forgotten when it is called again
    start = [np.array(v.numpy()) for v in model.variables]
    found = []
    for with_taps in (None, False, True):  # None: the model by itself
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)  # dropout draws the same again
        if with_taps is None:
            model(IMAGES, training=training)
            losses = model.losses
        else:
            net(net.normalise(PIXELS), training=training, with_taps=with_taps)
            losses = net.losses
        found.append(sorted(float(x) for x in losses))
    assert len(found[0]) > 1 and min(found[0]) > 0
    for losses in found[1:]:
        np.testing.assert_allclose(losses, found[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("with_taps", "is_frozen"), [(False, False), (True, False), (True, True)]
)
def test_training_is_the_models_own(with_taps, is_frozen):
    """Transfer learning: an inner model that is called with training=False."""

    def model():
        inner = penalised()
        inner = keras.Model(inner.inputs, inner.get_layer("b").output, name="inner")
        inner.trainable = not is_frozen
        keras.utils.set_random_seed(2)
        images = keras.Input((8, 8, 3))
        x = layers.RandomFlip(seed=4)(images)
        x = layers.Dropout(0.5, seed=5)(inner(x, training=False))
        x = layers.BatchNormalization()(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(images, layers.Dense(5, activation="softmax")(x))

    alone, inside = model(), model()
    net = wrapped(inside)
    for _ in range(2):  # dropout and flips draw anew
        expected = alone(IMAGES, training=True)
        found = net(net.normalise(PIXELS), training=True, with_taps=with_taps)
        logits = found.logits if with_taps else found
        np.testing.assert_allclose(ops.softmax(logits), expected, rtol=1e-4)
        for mine, own in zip(net.variables, alone.variables, strict=True):
            np.testing.assert_allclose(mine.numpy(), own.numpy(), rtol=1e-5)
