import numpy as np
import pytest
import tensorflow as tf

from op_utils import singular_vectors as sv
from tests import singular_reference

RNG = np.random.default_rng(0)
SHAPES = {"tall": (5, 4, 6), "wide": (2, 3, 8), "square": (3, 2, 6)}
MAPS = {name: RNG.uniform(size=(3, *shape)) for name, shape in SHAPES.items()}
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_shape
def test_triples_equal_numpy(shape):
    found = sv.singular_vectors(tf.constant(MAPS[shape]), 4)
    for i, image in enumerate(MAPS[shape]):
        for actual, expected in zip(
            found, singular_reference.triples(image, 4), strict=True
        ):
            np.testing.assert_allclose(actual[i], expected, rtol=1e-8, atol=1e-10)


@every_shape
def test_float32_is_exact_enough(shape):
    found = sv.singular_vectors(tf.constant(MAPS[shape], tf.float32), 4)
    exact = sv.singular_vectors(tf.constant(MAPS[shape]), 4)
    for actual, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


@every_shape
@pytest.mark.parametrize("part", ["left", "values", "right"])
def test_the_gradient_is_the_derivative(shape, part):
    maps = tf.constant(MAPS[shape])

    def function(x):
        result = getattr(sv.singular_vectors(x, 3), part)
        weights = np.random.default_rng(1).normal(size=result.shape)
        return tf.reduce_sum(result * weights)

    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = function(maps)
    gradient = tape.gradient(total, maps)
    for _ in range(3):
        direction = RNG.normal(size=maps.shape)
        ahead, behind = (
            function(maps + 1e-6 * direction),
            function(maps - 1e-6 * direction),
        )
        np.testing.assert_allclose(
            np.sum(gradient * direction), (ahead - behind) / 2e-6, rtol=1e-5
        )


def orthogonal(rows, columns):
    return np.linalg.qr(RNG.normal(size=(rows, columns)))[0]


KINDS = "zeros", "wide zeros", "rank two", "repeated", "identity"


def degenerate(kind):
    shapes = {"zeros": (4, 4, 6), "wide zeros": (2, 2, 6)}
    if kind in shapes:
        return np.zeros((2, *shapes[kind]))
    rank = 2 if kind == "rank two" else 6
    values = np.array([1.0, 1.0, 1.0, 0.5, 0.2, 0.1])[:rank]
    if kind == "identity":
        values = np.ones(6)
    image = orthogonal(16, rank) * values @ orthogonal(6, rank).T
    return np.stack([image.reshape(4, 4, 6), 2.0 * image.reshape(4, 4, 6)])


@pytest.mark.parametrize(
    ("kind", "jit"),
    [
        *((kind, False) for kind in KINDS),
        ("zeros", True),  # XLA compiles for a second a kind
        *(pytest.param(kind, True, marks=pytest.mark.slow) for kind in KINDS[1:]),
    ],
)
def test_degenerate_maps_have_moderate_gradients(kind, jit):
    maps = tf.constant(degenerate(kind), tf.float32)

    @tf.function(jit_compile=jit)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = sv.singular_vectors(x, 4)
            total = tf.add_n([tf.reduce_sum(tf.cos(part)) for part in found])
        return found, tape.gradient(total, x)

    found, gradient = run(maps)
    assert all(np.isfinite(part).all() for part in found)
    lengths = np.linalg.norm(found.right, axis=1)
    rank = {"zeros": 0, "wide zeros": 0, "rank two": 2}.get(kind, 4)
    np.testing.assert_allclose(lengths, np.tile(np.arange(4) < rank, (2, 1)), atol=1e-5)
    # Beyond the floor a gap may divide by 2e-6; the undetermined must not even do that.
    assert np.max(np.abs(gradient)) < 1e3


def test_a_repeated_value_leaves_the_determined_part():
    # The first and second are equal; what turns them to the others still counts.
    values = np.array([2.0, 2.0, 1.0, 0.5])
    left, right = orthogonal(16, 4), orthogonal(4, 4)
    maps = tf.constant((left * values @ right.T).reshape(1, 4, 4, 4))
    weights = RNG.normal(size=(4, 4))
    weights = weights + weights.T
    with tf.GradientTape() as tape:
        tape.watch(maps)
        v = sv.singular_vectors(maps, 2).right[0]
        total = tf.linalg.trace(tf.transpose(v) @ weights @ v)  # of the whole plane
    gradient = np.reshape(tape.gradient(total, maps), [16, 4])

    def plane(x):
        v = np.linalg.svd(x)[2][:2].T
        return np.trace(v.T @ weights @ v)

    x, direction = np.reshape(maps, [16, 4]), RNG.normal(size=(16, 4))
    difference = plane(x + 1e-6 * direction) - plane(x - 1e-6 * direction)
    np.testing.assert_allclose(
        np.sum(gradient * direction), difference / 2e-6, rtol=1e-5
    )


def test_maps_that_are_not_finite_do_not_stop_the_program():
    maps = np.ones((2, 4, 4, 3), np.float32)
    maps[0] = np.nan
    found = sv.singular_vectors(tf.constant(maps), 1)
    np.testing.assert_allclose(found.right[1, :, 0], np.full(3, 3**-0.5), rtol=1e-6)


def test_alignment_takes_the_best_candidate_and_its_sign():
    basis = np.eye(4)[np.newaxis]
    targets = np.array([[0.6, -0.8, 0, 0], [0.0, 0.1, 0.2, 0.9]]).T[np.newaxis]
    with tf.GradientTape() as tape:
        candidates = tf.constant(basis[..., :3])
        tape.watch(candidates)
        found = sv.align(candidates, tf.constant(targets))
    expected = np.stack([-basis[0][:, 1], basis[0][:, 2]], 1)
    np.testing.assert_array_equal(found[0], expected)
    gradient = tape.gradient(found, candidates)
    np.testing.assert_array_equal(gradient[0], np.outer(np.ones(4), [0, -1, 1]))


@every_shape
def test_aligned_vectors_equal_numpy(shape):
    student, teacher = RNG.uniform(size=(2, *MAPS[shape].shape))
    found = sv.aligned_vectors(tf.constant(student), tf.constant(teacher), 2, 4)
    for i in range(len(student)):
        expected = singular_reference.aligned(student[i], teacher[i], 2, 4)
        for actual, value in zip(found, expected, strict=True):
            np.testing.assert_allclose(actual[i], value, atol=1e-8)


def test_a_student_without_so_many_vectors_offers_those_it_has():
    student, teacher = RNG.uniform(size=(2, 1, 1, 5)), MAPS["tall"][:2, ..., :5]
    found, targets, _ = sv.aligned_vectors(
        tf.constant(student), tf.constant(teacher), 1, 4
    )
    expected = student[:, 0, 0] / np.linalg.norm(student[:, 0, 0], axis=1)[:, None]
    np.testing.assert_allclose(found[..., 0], expected)
    assert targets.shape == (2, 5, 1)


def test_dead_maps_give_zeros():
    alive, dead = tf.constant(MAPS["tall"]), tf.zeros([3, 5, 4, 6], tf.float64)
    vectors, _, _ = sv.aligned_vectors(dead, alive, 1, 4)
    np.testing.assert_array_equal(vectors, np.zeros((3, 6, 1)))
    for part in sv.aligned_vectors(alive, dead, 2, 4):
        np.testing.assert_array_equal(part, np.zeros(part.shape))


@pytest.mark.parametrize("number", [0, 5])
def test_too_many_or_no_vectors_raise(number):
    with pytest.raises(ValueError, match=f"from 1 to 4.*number={number}"):
        sv.singular_vectors(tf.zeros([1, 2, 2, 6]), number)


def test_unequal_channels_raise():
    with pytest.raises(ValueError, match=r"channels.*\(1, 2, 2, 3\)"):
        sv.aligned_vectors(tf.zeros([1, 2, 2, 3]), tf.zeros([1, 2, 2, 4]), 1, 4)
