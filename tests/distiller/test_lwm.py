import numpy as np
import pytest
import tensorflow as tf

from distiller import lwm
from nets import wresnet
from nets.taps import Output
from tests import fakes, vectors
from training.step import cast_output

RNG = np.random.default_rng(0)


def build(student=None, teacher=None, **hyperparameters):
    nets = student or fakes.Net(), teacher or fakes.Net()
    specs = (net.tap_specs for net in nets)
    return lwm.LwM(*specs, fakes.data(), **hyperparameters)


def numpy_attention(maps, gradients):
    weights = gradients.mean((1, 2))
    return np.maximum(np.sum(maps * weights[:, None, None], axis=-1), 0)


def numpy_loss(student, teacher):
    units = [
        x / np.maximum(np.sqrt((x**2).sum((1, 2), keepdims=True)), 1e-12)
        for x in (student, teacher)
    ]
    return np.abs(units[0] - units[1]).mean()


def test_loss_equals_numpy():
    maps, gradients = RNG.normal(size=(2, 3, 4, 5, 6))
    found = lwm.class_activation(maps, gradients)
    expected = numpy_attention(maps, gradients)
    np.testing.assert_allclose(found, expected)
    other = RNG.uniform(size=(3, 4, 5))
    np.testing.assert_allclose(
        lwm.attention_loss(found, tf.constant(other)), numpy_loss(expected, other)
    )


def test_larger_maps_are_pooled():
    small, large = RNG.uniform(size=(2, 3, 4)), RNG.uniform(size=(2, 6, 8))
    pooled = large.reshape(2, 3, 2, 4, 2).mean((2, 4))
    for pair in ((small, large), (large, small)):
        found = lwm.attention_loss(*map(tf.constant, pair))
        np.testing.assert_allclose(found, numpy_loss(small, pooled))


def test_the_scale_does_not_matter_and_an_empty_map_is_no_nan():
    maps = RNG.uniform(size=(2, 3, 4))
    assert lwm.attention_loss(tf.constant(5 * maps), tf.constant(maps)) < 1e-15
    empty = tf.zeros([2, 3, 4], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(empty)
        loss = lwm.attention_loss(empty, tf.constant(maps))
    np.testing.assert_allclose(loss, numpy_loss(np.zeros([2, 3, 4]), maps))
    assert np.isfinite(tape.gradient(loss, empty)).all()


@pytest.mark.parametrize("variant", ["feature", "gradient"])
def test_forwards_and_the_sum_over_pairs(variant):
    student, teacher, batch = fakes.Net(seed=1), fakes.Net((5, 7, 9)), fakes.batch()
    taps = ("stage2", "stage1:stage2")
    method = build(student, teacher, variant=variant, taps=taps, weight=2.0)
    given = method.teacher_forward(teacher, student, batch)
    seen = method.student_forward(student, teacher, batch, given)
    extras = {"stage1_gradient", "stage2_gradient"}
    assert set(seen.taps) == {*student.tap_specs, *extras}
    assert set(given.taps) == {*teacher.tap_specs, "stage2_gradient"}
    # The teacher's two layers after the tap, continued from the tap by hand.
    tap = tf.constant(given.taps["stage2"])
    with tf.GradientTape() as tape:
        tape.watch(tap)
        last = tf.nn.relu(teacher.norms[2](teacher.convs[2](tap), training=False))
        logits = teacher.head(tf.reduce_mean(last, [1, 2]))
        score = tf.reduce_sum(tf.gather(logits, batch["label"], batch_dims=1))
    np.testing.assert_allclose(
        given.taps["stage2_gradient"], tape.gradient(score, tap), rtol=1e-4, atol=1e-6
    )

    def attention(output, name):
        gradients = np.float64(output.taps[f"{name}_gradient"])
        maps = np.float64(output.taps[name]) if variant == "feature" else gradients
        return numpy_attention(maps, gradients)

    large = attention(seen, "stage1")
    pooled = large.reshape(4, 4, 2, 4, 2).mean((2, 4))
    target = attention(given, "stage2")
    expected = numpy_loss(attention(seen, "stage2"), target)
    expected += numpy_loss(pooled, target)
    np.testing.assert_allclose(
        method.loss(seen, given, batch)["attention"], 2.0 * expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    "precision", [pytest.param("float32", marks=pytest.mark.slow), "mixed_bfloat16"]
)
def test_the_student_learns_through_the_weights_of_the_map(precision):
    """The layers behind the tap have a gradient only because w is differentiated."""
    student, teacher = (
        wresnet.WResNet(5, (8, 8, 3), depth=10, seed=seed, dtype=precision)
        for seed in (0, 1)
    )
    method, batch = build(student, teacher), fakes.batch()

    @tf.function
    def gradients():
        given = method.teacher_forward(teacher, student, batch)
        with tf.GradientTape() as tape:
            seen = method.student_forward(student, teacher, batch, given)
            outputs = cast_output(seen), cast_output(given)
            loss = method.loss(*outputs, batch)["attention"]
        return loss, tape.gradient(loss, student.trainable_variables)

    loss, found = gradients()
    assert loss.dtype == tf.float32 and loss > 0
    for variable, gradient in zip(student.trainable_variables, found, strict=True):
        if variable is student.head.bias:
            assert gradient is None
            continue
        assert np.isfinite(gradient).all(), variable.path
        # In front of the last ReLU a shift changes no gradient.
        assert np.any(gradient) or variable is student.last_bn.beta, variable.path


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"weight": -1.0}, "weight=-1"),
        ({"variant": "peer"}, "feature, gradient.*variant='peer'"),
        ({"taps": ("stage7",)}, "no tap 'stage7'"),
        ({"taps": ("embedding",)}, r"\(H, W, C\).*embedding.*\(8,\)"),
    ],
)
def test_errors(hyperparameters, message):
    with pytest.raises(ValueError, match=message):
        build(**hyperparameters)


def attention(vector):
    given = vector.hyperparameters
    assert given["normalize_epsilon"] == 1e-12
    activations = {"gap_dense": tf.identity, "tanh_gap_dense": tf.tanh}
    activation = activations[given["head"]]
    levels = ["feature"]
    method = lwm.LwM(
        vectors.specs(vector.student, levels),
        vectors.specs(vector.teacher, levels),
        fakes.data(),
        variant=given["map"],
        taps=("feature",),
        weight=1.0,
    )

    def head(side):
        kernel, bias = (vector.param[f"{side}/head/{x}"] for x in ("kernel", "bias"))

        def net(maps, training, with_taps):
            del training, with_taps
            logits = tf.reduce_mean(activation(maps), [1, 2]) @ kernel + bias
            return Output(logits, {"feature": maps})

        return net

    def compute():
        label = vector.inputs["other"]["labels"]
        batches = [
            {"image": side["feature"], "label": label}
            for side in (vector.student, vector.teacher)
        ]
        t = method.teacher_forward(head("teacher"), None, batches[1])
        s = method.student_forward(head("student"), None, batches[0], t)
        return {"loss": method.loss(s, t, {})["attention"]}

    return compute, {}


PARITY = {"LwM": attention}
