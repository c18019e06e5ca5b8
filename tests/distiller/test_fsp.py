import numpy as np
import pytest
import tensorflow as tf

from distiller import fsp
from tests import fakes, vectors

NAMES = ("stem", "stage1", "stage2")
STUDENT = fakes.specs((8, 8, 3), (4, 4, 5), (4, 4, 6), names=NAMES)
TEACHER = fakes.specs((4, 4, 3), (8, 8, 5), (2, 2, 6), names=NAMES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = (
    [RNG.normal(size=(3, *spec.shape)) for spec in side.values()]
    for side in (STUDENT, TEACHER)
)


def build(student=STUDENT, teacher=TEACHER, **hyperparameters):
    return fsp.FSP(student, teacher, fakes.data(), **hyperparameters)


def output(maps):
    return fakes.output(dict(zip(NAMES, maps, strict=True)))


def shrunk(maps, size):
    b, h, _, c = maps.shape
    factor = h // size
    return maps.reshape(b, size, factor, size, factor, c).mean((2, 4))


def matrix(lower, upper):
    size = min(lower.shape[1], upper.shape[1])
    lower, upper = shrunk(lower, size), shrunk(upper, size)
    return np.einsum("bhwm,bhwn->bmn", upper, lower) / size**2


def gap(students, teachers):
    return ((matrix(*students) - matrix(*teachers)) ** 2).mean()


EXPECTED = [gap(MAPS[i : i + 2], TARGETS[i : i + 2]) for i in (0, 1)]


def test_flow_equals_numpy():
    result = fsp.flow(MAPS[0], MAPS[1])
    assert result.shape == (3, 5, 3)
    np.testing.assert_allclose(result, matrix(MAPS[0], MAPS[1]))


def test_gaps_of_adjacent_levels_equal_numpy():
    np.testing.assert_allclose(fsp.flow_gaps(MAPS, TARGETS), EXPECTED)


def test_zero_at_equality_also_at_another_size():
    maps = [TARGETS[0], shrunk(TARGETS[1], 4)]
    repeated = [np.repeat(np.repeat(m, 2, axis=1), 2, axis=2) for m in maps]
    np.testing.assert_allclose(fsp.flow_gaps(repeated, maps), [0.0], atol=1e-12)


def test_the_flow_first_then_plain_training():
    method = build(weight=3.0)
    flow, distill = method.phases()
    assert (flow.name, flow.length, flow.task_weight) == ("flow", "init", 0.0)
    assert flow.trains_student
    terms = flow.loss(output(MAPS), output(TARGETS), {})
    np.testing.assert_allclose(terms["flow"], 3.0 * sum(EXPECTED), rtol=1e-5)
    assert (distill.length, distill.task_weight) == ("train", None)
    assert distill.loss(output(MAPS), output(TARGETS), {}) == {}
    assert method.pairs == tuple((name, name) for name in NAMES)
    assert build().weight == 1.0


def test_the_teacher_gets_no_gradient():
    teachers = [tf.constant(m) for m in TARGETS]
    with tf.GradientTape() as tape:
        tape.watch(teachers)
        loss = tf.add_n(fsp.flow_gaps(MAPS, teachers))
    assert tape.gradient(loss, teachers) == [None] * 3


def test_what_cannot_work_raises():
    with pytest.raises(ValueError, match="weight=-1"):
        build(weight=-1.0)
    with pytest.raises(ValueError, match="two levels.*taps=stage1"):
        build(taps=("stage1",))
    wide = fakes.specs((8, 8, 3), (4, 4, 7), (4, 4, 6), names=NAMES)
    with pytest.raises(ValueError, match=r"stage1 of the student \(4, 4, 7\)"):
        build(student=wide)


def flows(vector):
    return vectors.sum_of_levels(vector, "pair", fsp.flow_gaps)


PARITY = {"FSP": flows}
