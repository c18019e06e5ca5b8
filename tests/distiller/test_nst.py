import numpy as np
import pytest
import tensorflow as tf

from distiller import nst
from tests import fakes, vectors

# Many positions, then few: the two ways to compute it. The first level is pooled.
SHAPES = [(8, 8, 3), (2, 2, 7)], [(4, 4, 5), (2, 2, 6)]
STUDENT, TEACHER = (fakes.specs(*shapes) for shapes in SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.normal(size=(3, *shape)) for shape in side] for side in SHAPES)


def discrepancy(student, teacher):
    """Pair of channels by pair of channels."""

    def neurons(maps):
        rows = maps.reshape(-1, maps.shape[-1]).T
        return [row / max(np.linalg.norm(row), 1e-12) for row in rows]

    def mean_kernel(xs, ys):
        return np.mean([np.dot(x, y) ** 2 for x in xs for y in ys])

    values = []
    for s, t in zip(map(neurons, student), map(neurons, teacher), strict=True):
        values.append(mean_kernel(t, t) + mean_kernel(s, s) - 2 * mean_kernel(s, t))
    return np.mean(values)


def halved(maps):
    b, h, w, c = maps.shape
    return maps.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


EXPECTED = [discrepancy(halved(MAPS[0]), TARGETS[0]), discrepancy(MAPS[1], TARGETS[1])]


def test_gaps_equal_numpy():
    np.testing.assert_allclose(nst.selectivity_gaps(MAPS, TARGETS), EXPECTED)


def test_the_teachers_larger_map_is_pooled_too():
    gaps = nst.selectivity_gaps([TARGETS[0]], [MAPS[0]])
    np.testing.assert_allclose(gaps, EXPECTED[:1])


@pytest.mark.parametrize("level", [0, 1])
def test_zero_where_the_channels_agree_in_any_order_and_scale(level):
    maps = TARGETS[level]
    scaled = maps[..., ::-1] * np.arange(1, maps.shape[-1] + 1)
    np.testing.assert_allclose(nst.selectivity_gaps([scaled], [maps]), [0], atol=1e-12)


def test_the_class_weighs_all_levels():
    method = nst.NST(STUDENT, TEACHER, fakes.data(), weight=5.0)
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    np.testing.assert_allclose(terms["selectivity"], 5.0 * sum(EXPECTED), rtol=1e-5)
    assert nst.NST(STUDENT, TEACHER, fakes.data()).weight == 50.0


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("jit", [False, True])
def test_a_dead_channel_gives_zeros(level, jit):
    maps = MAPS[level].astype(np.float32)
    maps[..., 1] = 0.0

    @tf.function(jit_compile=jit)
    def gradient(maps, target):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            (loss,) = nst.selectivity_gaps([maps], [target])
        return tape.gradient(loss, maps)

    target = tf.constant(TARGETS[level], tf.float32)
    found = gradient(tf.constant(maps), target).numpy()
    np.testing.assert_array_equal(found[..., 1], np.zeros_like(found[..., 1]))
    assert np.isfinite(found).all() and np.any(found)


def test_out_of_range_raises():
    with pytest.raises(ValueError, match="weight=-1"):
        nst.NST(STUDENT, TEACHER, fakes.data(), weight=-1.0)


def selectivity(vector):
    return vectors.sum_of_levels(vector, "level", nst.selectivity_gaps)


PARITY = {"NST": selectivity}
