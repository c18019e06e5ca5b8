import numpy as np
import pytest
import tensorflow as tf

from distiller import afd
from tests import fakes, vectors

# The first level's student is twice the teacher's size.
STUDENT = fakes.specs((8, 8, 5), (4, 4, 6))
TEACHER = fakes.specs((4, 4, 5), (4, 4, 6))
RNG = np.random.default_rng(0)
MAPS, TARGETS = (
    [RNG.normal(size=(3, *spec.shape)) for spec in side.values()]
    for side in (STUDENT, TEACHER)
)


def build(student=STUDENT, **hyperparameters):
    return afd.AFD(student, TEACHER, fakes.data(), **hyperparameters)


def gap(student, teacher, attention, epsilon):
    total = 0.0
    for b, c in np.ndindex(*attention.shape):
        s, t = student[b, :, :, c], teacher[b, :, :, c]
        s = s / (np.sqrt((s**2).sum()) + epsilon)
        t = t / (np.sqrt((t**2).sum()) + epsilon)
        total += attention[b, c] * ((s - t) ** 2).mean()
    return total / len(student)


def attention_of(teacher, layers):
    (k1, b1), (k2, b2) = ([v.numpy() for v in layer.variables] for layer in layers)
    scores = np.maximum(teacher.mean((1, 2)) @ k1[0, 0] + b1, 0) @ k2[0, 0] + b2
    scores = 1 / (1 + np.exp(-scores))
    return scores / scores.sum(1, keepdims=True)


def test_gap_equals_numpy():
    attention = RNG.dirichlet(np.ones(6), size=3)
    found = afd.attended_gap(MAPS[1], TARGETS[1], attention, 0.1)
    np.testing.assert_allclose(found, gap(MAPS[1], TARGETS[1], attention, 0.1))
    scaled = TARGETS[1] * np.arange(1, 7)
    np.testing.assert_allclose(
        afd.attended_gap(scaled, TARGETS[1], attention, 1e-12), 0.0, atol=1e-12
    )


def test_attention_equals_numpy_and_survives_saturation():
    scores = RNG.normal(size=(3, 4))
    expected = 1 / (1 + np.exp(-scores))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(afd.channel_attention(scores), expected)
    saturated = afd.channel_attention(tf.constant([[-200.0, -200.0], [200.0, 200.0]]))
    np.testing.assert_array_equal(saturated, np.full((2, 2), 0.5))


def test_the_class_averages_over_levels():
    method = build(weight=3.0, attention_factor=0.5, epsilon=0.1)
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    b, h, w, c = MAPS[0].shape
    halved = MAPS[0].reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
    expected = np.mean(
        [
            gap(s, t, attention_of(t, layers), 0.1)
            for s, t, layers in zip(
                (halved, MAPS[1]), TARGETS, method.attentions, strict=True
            )
        ]
    )
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    np.testing.assert_allclose(terms["features"], 3.0 * expected, rtol=1e-5)


def test_owns_two_convolutions_for_each_level():
    shapes = [tuple(v.shape) for v in build(attention_factor=0.5).trainable_variables]
    first = [(1, 1, 5, 2), (2,), (1, 1, 2, 5), (5,)]
    second = [(1, 1, 6, 3), (3,), (1, 1, 3, 6), (6,)]
    assert shapes == first + second
    assert build().weight == 500.0


@pytest.mark.parametrize("jit", [False, True])
def test_dead_channels_give_finite_gradients(jit):
    @tf.function(jit_compile=jit)
    def gradient(maps, target):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = afd.attended_gap(maps, target, tf.ones([3, 6]) / 6)
        return loss, tape.gradient(loss, maps)

    maps, target = (np.array(m, np.float32) for m in (MAPS[1], TARGETS[1]))
    maps[..., 0], target[..., 1] = 0.0, 0.0
    for value in gradient(tf.constant(maps), tf.constant(target)):
        assert np.isfinite(value).all()


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("epsilon", 0.0)]
    + [("attention_factor", value) for value in (0.0, 0.1)],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_unequal_maps_and_widths_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(1, 2, 2, 3\)"):
        afd.attended_gap(tf.zeros([1, 2, 2, 3]), tf.zeros([1, 1, 1, 3]), tf.ones(3))
    with pytest.raises(ValueError, match=r"stage1 of the student \(8, 8, 4\)"):
        build(student=fakes.specs((8, 8, 4), (4, 4, 6)))


def features(vector):
    given = vector.hyperparameters
    levels = vector.levels()
    method = afd.AFD(
        vectors.specs(vector.student, levels),
        vectors.specs(vector.teacher, levels),
        fakes.data(),
        taps=tuple(levels),
        weight=1.0,
        attention_factor=given["attention_factor"],
        epsilon=given["epsilon"],
    )
    (layers,) = method.attentions
    assert layers[0].filters == given["mid_channels"]
    variables = {
        f"attention/conv_{i}/{variable.name}": variable
        for i, layer in enumerate(layers)
        for variable in layer.variables
    }

    def compute():
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        return {"loss": method.loss(s, t, {})["features"]}

    return compute, variables


PARITY = {"AFD": features}
