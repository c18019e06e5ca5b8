import numpy as np
import pytest
import tensorflow as tf

from distiller import rkd
from tests import fakes, vectors

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 7))
TEACHER[0] += 9.0  # far from the others, for both branches of h


def huber(x):
    return np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5)


def distances(e):
    found = np.array([[np.linalg.norm(a - b) for b in e] for a in e])
    return found / found[found > 0].mean()


def cosines(e):
    def unit(x):
        return x / max(np.linalg.norm(x), 1e-12)

    return np.array(
        [[[unit(b - a) @ unit(c - a) for c in e] for b in e] for a in e],
    )


def expected(student, teacher):
    gaps = (relation(student) - relation(teacher) for relation in (distances, cosines))
    return [huber(gap).mean() for gap in gaps]


def rotated(e):
    """Turned, stretched and moved."""
    turn, _ = np.linalg.qr(RNG.normal(size=(e.shape[1],) * 2))
    return 3.0 * e @ turn + 5.0


def test_gaps_equal_numpy():
    gaps = distances(STUDENT) - distances(TEACHER), cosines(STUDENT) - cosines(TEACHER)
    assert all((np.abs(gap) > 1).any() for gap in gaps)
    distance, angle = expected(STUDENT, TEACHER)
    np.testing.assert_allclose(rkd.distance_gap(STUDENT, TEACHER), distance)
    np.testing.assert_allclose(rkd.angle_gap(STUDENT, TEACHER), angle)


@pytest.mark.parametrize("gap", [rkd.distance_gap, rkd.angle_gap])
def test_zero_where_the_embeddings_are_similar_shapes(gap):
    np.testing.assert_allclose(gap(rotated(TEACHER), TEACHER), 0.0, atol=1e-12)


def test_the_class_weighs_and_sums_over_taps():
    student, teacher = (
        fakes.specs((2, 1, 2), (1, 1, 4)),
        fakes.specs((1, 1, 7), (1, 1, 7)),
    )
    method = rkd.RKD(
        student,
        teacher,
        fakes.data(),
        taps=("stages",),
        distance_weight=2.0,
        angle_weight=3.0,
    )
    maps = [STUDENT.reshape(6, 2, 1, 2), 2 * STUDENT.reshape(6, 1, 1, 4) ** 2]
    targets = [TEACHER.reshape(6, 1, 1, 7), np.sin(TEACHER).reshape(6, 1, 1, 7)]
    terms = method.loss(fakes.output(maps), fakes.output(targets), {})
    distance, angle = np.sum(
        [
            expected(s.reshape(6, -1), t.reshape(6, -1))
            for s, t in zip(maps, targets, strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose(terms["distance"], 2.0 * distance, rtol=1e-5)
    np.testing.assert_allclose(terms["angle"], 3.0 * angle, rtol=1e-5)


def test_the_published_recipe_is_the_default():
    net = fakes.Net()
    method = rkd.RKD(net.tap_specs, net.tap_specs, fakes.data())
    assert (method.distance_weight, method.angle_weight) == (25.0, 50.0)
    assert method.pairs == (("embedding", "embedding"),)


@pytest.mark.parametrize("gap", [rkd.distance_gap, rkd.angle_gap])
@pytest.mark.parametrize("equal", [2, 6])
def test_equal_images_give_finite_gradients(gap, equal):
    student = tf.constant(STUDENT, tf.float32)
    student = tf.concat([tf.repeat(student[:1], equal, 0), student[equal:]], 0)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = gap(student, tf.constant(TEACHER, tf.float32))
    assert np.isfinite(loss)
    gradient = tape.gradient(loss, student)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 10.0


@pytest.mark.parametrize("name", ["distance_weight", "angle_weight"])
def test_out_of_range_raises(name):
    specs = fakes.Net().tap_specs
    with pytest.raises(ValueError, match=f"{name}=-1.0"):
        rkd.RKD(specs, specs, fakes.data(), **{name: -1.0})


def test_unequal_or_too_small_batches_raise():
    for gap in (rkd.distance_gap, rkd.angle_gap):
        with pytest.raises(ValueError, match="equal size"):
            gap(STUDENT[1:], TEACHER)
    with pytest.raises(ValueError, match="at least 2"):
        rkd.distance_gap(STUDENT[:1], TEACHER[:1])


def relations(vector):
    given = vector.hyperparameters
    method = rkd.RKD(
        vectors.specs(vector.student, ["embedding"]),
        vectors.specs(vector.teacher, ["embedding"]),
        fakes.data(),
        distance_weight=given["distance_weight"],
        angle_weight=given["angle_weight"],
    )

    def compute():
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        return vectors.results(method.loss(s, t, {}))

    return compute, {}


PARITY = {"RKD": relations}
