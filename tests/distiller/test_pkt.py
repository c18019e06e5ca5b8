import numpy as np
import pytest
import tensorflow as tf

from distiller import pkt
from tests import fakes

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 7))


def neighbours(e, eps):
    z = e / (np.sqrt((e**2).sum(1, keepdims=True)) + eps)
    similarity = np.array([[(a @ b + 1) / 2 for b in z] for a in z])
    return similarity / similarity.sum(1, keepdims=True)


def expected(student, teacher, eps):
    p, q = neighbours(teacher, eps), neighbours(student, eps)
    return (p * np.log((p + eps) / (q + eps))).mean()


@pytest.mark.parametrize("eps", [1e-7, 1e-2])
def test_divergence_equals_numpy(eps):
    found = pkt.neighbour_divergence(STUDENT, TEACHER, eps)
    np.testing.assert_allclose(found, expected(STUDENT, TEACHER, eps))


def test_opposite_embeddings_equal_numpy():
    # Neighbours with probabilities 0 and 1 / 2: the ratios are as large as they get.
    student, teacher = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.ones((2, 2))
    for pair in ((student, teacher), (teacher, student)):
        found = pkt.neighbour_divergence(*np.float32(pair))
        # The probability next to 0 is 1e-7 by rounding alone.
        np.testing.assert_allclose(found, expected(*pair, 1e-7), rtol=0.02)


def test_small_divergences_are_precise_in_float32():
    teacher = np.float32(RNG.normal(size=(64, 32)))
    student = np.float32(teacher + 0.01 * RNG.normal(size=teacher.shape))
    found = pkt.neighbour_divergence(student, teacher)
    np.testing.assert_allclose(
        found, expected(np.float64(student), np.float64(teacher), 1e-7), rtol=1e-3
    )


def test_zero_where_the_cosines_agree():
    assert pkt.neighbour_divergence(TEACHER, TEACHER) == 0.0
    scales = RNG.uniform(0.5, 2.0, size=(6, 1))
    found = pkt.neighbour_divergence(scales * TEACHER, TEACHER)
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


def test_the_class_weighs_and_sums_over_taps():
    student, teacher = (
        fakes.specs((2, 1, 2), (1, 1, 4)),
        fakes.specs((1, 1, 7), (1, 1, 7)),
    )
    method = pkt.PKT(
        student, teacher, fakes.data(), taps=("stages",), weight=5.0, eps=0.01
    )
    maps = [STUDENT.reshape(6, 2, 1, 2), STUDENT.reshape(6, 1, 1, 4) ** 2]
    targets = [TEACHER.reshape(6, 1, 1, 7), np.sin(TEACHER).reshape(6, 1, 1, 7)]
    terms = method.loss(fakes.output(maps), fakes.output(targets), {})
    total = expected(STUDENT, TEACHER, 0.01)
    total += expected(STUDENT**2, np.sin(TEACHER), 0.01)
    np.testing.assert_allclose(terms["neighbours"], 5.0 * total, rtol=1e-5)


def test_the_published_recipe_is_the_default():
    net = fakes.Net()
    method = pkt.PKT(net.tap_specs, net.tap_specs, fakes.data())
    assert (method.weight, method.eps) == (30000.0, 1e-7)
    assert method.pairs == (("embedding", "embedding"),)


@pytest.mark.parametrize("zeros", [1, 6])
def test_zero_embeddings_give_finite_gradients(zeros):
    student = tf.constant(STUDENT * (np.arange(6) >= zeros)[:, None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = pkt.neighbour_divergence(student, tf.constant(TEACHER, tf.float32))
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, student)).all()


@pytest.mark.parametrize("name, value", [("weight", -1.0), ("eps", 0.0)])
def test_out_of_range_raises(name, value):
    specs = fakes.Net().tap_specs
    with pytest.raises(ValueError, match=f"{name}={value}"):
        pkt.PKT(specs, specs, fakes.data(), **{name: value})


def test_unequal_batches_raise():
    with pytest.raises(ValueError, match="equal size"):
        pkt.neighbour_divergence(STUDENT[1:], TEACHER)


def divergence(vector):
    def compute():
        return {
            "loss": pkt.neighbour_divergence(
                vector.student["embedding"],
                vector.teacher["embedding"],
                vector.hyperparameters["eps"],
            )
        }

    return compute, {}


PARITY = {"PKT": divergence}
