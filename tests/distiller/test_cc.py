import math

import numpy as np
import pytest
import tensorflow as tf

from distiller import cc
from tests import fakes, vectors

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 7))
SPECS = {
    "student": fakes.specs((2, 1, 2), (1, 1, 4)),
    "teacher": fakes.specs((1, 1, 7), (1, 1, 7)),
}
MAPS = [STUDENT.reshape(6, 2, 1, 2), STUDENT.reshape(6, 1, 1, 4) ** 2]
TARGETS = [TEACHER.reshape(6, 1, 1, 7), np.sin(TEACHER).reshape(6, 1, 1, 7)]


def build(**hyperparameters):
    return cc.CC(
        *SPECS.values(), fakes.data(), **{"taps": ("stages",), **hyperparameters}
    )


def correlations(e, gamma, order):
    x = e / np.linalg.norm(e, axis=1, keepdims=True)
    terms = [
        math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * (x @ x.T) ** p
        for p in range(order + 1)
    ]
    return sum(terms)


def gap(student, teacher, gamma, order):
    kernels = correlations(student, gamma, order), correlations(teacher, gamma, order)
    return ((kernels[0] - kernels[1]) ** 2).sum() / len(student) ** 2


def coupled(student, teacher):
    delta = np.abs(student - teacher)
    return sum(a @ b for a, b in zip(delta[:-1], delta[1:], strict=True)) / (
        len(delta) - 1
    )


@pytest.mark.parametrize("gamma, order", [(0.4, 1), (0.4, 2), (1.5, 5)])
def test_gap_of_correlations_equals_numpy(gamma, order):
    found = cc.correlation_gap(STUDENT, TEACHER, gamma, order)
    np.testing.assert_allclose(found, gap(STUDENT, TEACHER, gamma, order))


def test_the_series_tends_to_the_gaussian_kernel():
    x = STUDENT / np.linalg.norm(STUDENT, axis=1, keepdims=True)
    squared = ((x[:, None] - x) ** 2).sum(-1)
    found = cc.correlations(7.0 * STUDENT, 0.4, 20)
    np.testing.assert_allclose(found, np.exp(-0.4 * squared))


def test_correlation_of_neighbours_equals_numpy():
    teacher = TEACHER[:, :4]
    found = cc.neighbour_correlation(STUDENT, teacher)
    np.testing.assert_allclose(found, coupled(STUDENT, teacher))


def test_zero_at_equality():
    assert cc.correlation_gap(TEACHER, TEACHER) == 0.0
    assert cc.neighbour_correlation(TEACHER, TEACHER) == 0.0
    agree = cc.correlation_gap(3.0 * TEACHER, TEACHER)
    np.testing.assert_allclose(agree, 0.0, atol=1e-15)


def test_the_class_weighs_and_sums_over_taps():
    method = build(weight=5.0, gamma=0.7, order=3)
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    expected = gap(STUDENT, TEACHER, 0.7, 3) + gap(STUDENT**2, np.sin(TEACHER), 0.7, 3)
    np.testing.assert_allclose(terms["correlation"], 5.0 * expected, rtol=1e-5)
    assert method.variables == ()


def test_the_class_embeds_for_neighbours():
    method = build(variant="neighbours", weight=5.0, embed_dim=3)
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    expected = 0.0
    for maps, targets, layers in zip(MAPS, TARGETS, method.embeddings, strict=True):
        embedded = [
            side.reshape(6, -1) @ layer.kernel.numpy() + layer.bias.numpy()
            for side, layer in zip((maps, targets), layers, strict=True)
        ]
        expected += coupled(*embedded)
    np.testing.assert_allclose(terms["correlation"], 5.0 * expected, rtol=1e-5)
    shapes = sorted(tuple(v.shape) for v in method.trainable_variables)
    assert shapes == [(3,)] * 4 + [(4, 3)] * 2 + [(7, 3)] * 2


def test_the_published_recipes_are_the_defaults():
    method = build(taps=("stage2",))
    assert (method.variant, method.weight, method.gamma, method.order) == (
        "rbf",
        100.0,
        0.4,
        2,
    )
    method = build(taps=("stage2",), variant="neighbours")
    assert method.weight == 0.02
    assert [layer.kernel.shape for layer in method.embeddings[0]] == [
        (4, 128),
        (7, 128),
    ]
    net = fakes.Net().tap_specs
    assert cc.CC(net, net, fakes.data()).pairs == (("embedding", "embedding"),)


def test_zero_embeddings_give_finite_gradients():
    student = tf.zeros([6, 4])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = cc.correlation_gap(student, tf.constant(TEACHER, tf.float32))
    assert np.isfinite(loss)
    assert np.abs(tape.gradient(loss, student)).max() < 10.0


@pytest.mark.parametrize(
    "name, value",
    [("variant", "peer"), ("weight", -1.0), ("gamma", 0.0)]
    + [("order", 0), ("embed_dim", 0)],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_unequal_or_too_small_batches_raise():
    with pytest.raises(ValueError, match="equal size"):
        cc.correlation_gap(STUDENT[1:], TEACHER)
    with pytest.raises(ValueError, match="at least 2"):
        cc.neighbour_correlation(STUDENT[:1], STUDENT[:1])


def test_unequal_embeddings_raise():
    with pytest.raises(ValueError, match=r"equal shapes.*\(6, 4\).*\(6, 7\)"):
        cc.neighbour_correlation(STUDENT, TEACHER)


def rbf(vector):
    given = vector.hyperparameters
    assert given["normalize_epsilon"] == 1e-12, "the floor of op_utils.norms.unit"

    def compute():
        return {
            "loss": cc.correlation_gap(
                vector.student["embedding"],
                vector.teacher["embedding"],
                given["gamma"],
                given["order"],
            )
        }

    return compute, {}


def neighbours(vector):
    given = vector.hyperparameters
    s, t = vectors.output(vector.student), vectors.output(vector.teacher)
    if not given["linear_embed"]:
        taps = s.taps["embedding"], t.taps["embedding"]
        return lambda: {"loss": cc.neighbour_correlation(*taps)}, {}
    method = cc.CC(
        vectors.specs(vector.student, ["embedding"]),
        vectors.specs(vector.teacher, ["embedding"]),
        fakes.data(),
        variant="neighbours",
        weight=1.0,
        embed_dim=given["embed_dim"],
    )
    sides = zip(("student", "teacher"), method.embeddings[0], strict=True)
    variables = {
        f"embed_{side}/{name}": getattr(layer, name)
        for side, layer in sides
        for name in ("kernel", "bias")
    }
    return lambda: {"loss": method.loss(s, t, {})["correlation"]}, variables


PARITY = {"CC": neighbours, "CC_rbf": rbf}
