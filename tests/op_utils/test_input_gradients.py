import numpy as np
import pytest
import tensorflow as tf

import nets
from nets.taps import Output
from op_utils.input_gradients import of_label, with_gradients
from tests import fakes

RNG = np.random.default_rng(0)
K0, K1 = RNG.normal(size=(12, 5)), RNG.normal(size=(5, 4))
IMAGES, LABELS = RNG.normal(size=(3, 2, 2, 3)), np.array([0, 3, 1])


def classifier(images, training=False, with_taps=True):
    """tanh(flat(x) K0) K1, with the tap `hidden` in front of tanh."""
    del training, with_taps
    hidden = tf.reshape(images, [3, -1]) @ K0
    unused = 2.0 * hidden
    return Output(tf.tanh(hidden) @ K1, {"hidden": hidden, "unused": unused})


def numpy_gradients():
    hidden = IMAGES.reshape(3, -1) @ K0
    of_hidden = (1 - np.tanh(hidden) ** 2) * K1[:, LABELS].T
    return (of_hidden @ K0.T).reshape(IMAGES.shape), of_hidden


def test_gradients_equal_numpy():
    output = with_gradients(
        classifier,
        tf.constant(IMAGES),
        of_label(tf.constant(LABELS)),
        ("input", "hidden"),
        training=False,
    )
    of_images, of_hidden = numpy_gradients()
    np.testing.assert_allclose(output.taps["input_gradient"], of_images, rtol=1e-5)
    np.testing.assert_allclose(output.taps["hidden_gradient"], of_hidden, rtol=1e-5)
    assert list(output.taps)[:2] == ["hidden", "unused"]


def test_any_direction():
    direction = RNG.normal(size=(3, 4)).astype(np.float32)
    output = with_gradients(
        classifier,
        tf.constant(IMAGES),
        lambda z: direction,
        ("hidden",),
        training=False,
    )
    slope = 1 - np.tanh(IMAGES.reshape(3, -1) @ K0) ** 2
    expected = slope * (direction @ K1.T)
    np.testing.assert_allclose(output.taps["hidden_gradient"], expected, rtol=1e-5)


def test_a_tap_beside_the_way_to_the_logits_raises():
    with pytest.raises(ValueError, match="Received: unused"):
        with_gradients(
            classifier,
            tf.constant(IMAGES),
            of_label(tf.constant(LABELS)),
            ("hidden", "unused"),
            training=False,
        )


@pytest.mark.parametrize("jit", [False, True])
def test_an_outer_tape_differentiates_again(jit):
    """d/dK1 of the sum of a gradient's squares, against central differences."""
    kernel = tf.Variable(K1)

    def net(images, training, with_taps):
        del training, with_taps
        return Output(tf.tanh(tf.reshape(images, [3, -1]) @ K0) @ kernel, {})

    def loss():
        images, direction = tf.constant(IMAGES), of_label(tf.constant(LABELS))
        output = with_gradients(net, images, direction, training=True)
        return tf.reduce_sum(tf.square(output.taps["input_gradient"]))

    @tf.function(jit_compile=jit)
    def gradient():
        with tf.GradientTape() as tape:
            value = loss()
        return tape.gradient(value, kernel)

    slope = 1 - np.tanh(IMAGES.reshape(3, -1) @ K0) ** 2
    expected = np.zeros_like(K1)
    for s, label in zip(slope, LABELS, strict=True):
        back = s * K1[:, label] @ K0.T
        expected[:, label] += 2 * s * (K0.T @ back)
    np.testing.assert_allclose(gradient(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1"])
def test_every_tap_of_the_nets_is_on_the_way(name):
    """Each tap is the very tensor that the net goes on with, in a frozen net, too."""
    net = nets.build(name, 5, (8, 8, 3), seed=0)
    net.trainable = False
    batch = fakes.batch()
    names = tuple(net.tap_specs)
    direction = of_label(batch["label"])
    output = with_gradients(net, batch["image"], direction, names, training=False)
    for tap in names:
        gradient = output.taps[f"{tap}_gradient"]
        assert gradient.shape == output.taps[tap].shape
        assert np.any(gradient), tap
    kernel = tf.gather(tf.transpose(net.head.kernel), batch["label"])
    np.testing.assert_allclose(output.taps["embedding_gradient"], kernel, rtol=1e-6)
    # Average pooling shares it out evenly.
    height, width, _ = net.tap_specs["last_map"].shape
    expected = tf.broadcast_to(
        kernel[:, None, None] / (height * width), output.taps["last_map"].shape
    )
    np.testing.assert_allclose(
        output.taps["last_map_gradient"], expected, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_close_to_it(precision):
    found = []
    for dtype in ("float32", precision):
        net = nets.build("resnet8", 5, (8, 8, 3), seed=0, dtype=dtype)
        batch = fakes.batch()
        output = with_gradients(
            net,
            batch["image"],
            of_label(batch["label"]),
            ("input", "stage2"),
            training=False,
        )
        assert output.logits.dtype == dtype.removeprefix("mixed_")
        found.append([output.taps[f"{x}_gradient"] for x in ("input", "stage2")])
    for full, mixed in zip(*found, strict=True):
        assert mixed.dtype == tf.float32
        gap = np.linalg.norm(mixed - full) / np.linalg.norm(full)
        assert gap < 0.1
