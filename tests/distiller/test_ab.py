import numpy as np
import pytest
import tensorflow as tf

from distiller import ab
from tests import fakes, vectors

NAMES = ("stage1_pre", "stage2_pre")
STUDENT = fakes.specs((8, 8, 3), (4, 4, 6), names=NAMES)
TEACHER = fakes.specs((4, 4, 5), (4, 4, 6), names=NAMES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = (
    [2 * RNG.normal(size=(3, *spec.shape)) for spec in side.values()]
    for side in (STUDENT, TEACHER)
)


def build(**hyperparameters):
    return ab.AB(STUDENT, TEACHER, fakes.data(), **hyperparameters)


def output(maps):
    return fakes.output(dict(zip(NAMES, maps, strict=True)))


def level(student, teacher, margin):
    total = 0.0
    for s, t in zip(student.ravel(), teacher.ravel(), strict=True):
        if t > 0 and s <= margin:
            total += (s - margin) ** 2
        elif t <= 0 and s > -margin:
            total += (s + margin) ** 2
    return total / len(student)


@pytest.mark.parametrize("margin", [0.5, 2.0])
def test_losses_equal_numpy(margin):
    students = [2 * RNG.normal(size=m.shape) for m in TARGETS]
    teachers = [m.copy() for m in TARGETS]
    teachers[0][0] = 0.0  # a silent neuron is not active
    found = ab.boundary_losses(students, teachers, margin, weight=0.1)
    first, last = (level(s, t, margin) for s, t in zip(students, teachers, strict=True))
    np.testing.assert_allclose(found, [0.1 * first / 2, 0.1 * last])


def test_zero_beyond_the_margin_on_the_teachers_side_only():
    teacher = TARGETS[1]
    far = np.where(teacher > 0, 1.5, -1.5)
    np.testing.assert_array_equal(ab.boundary_losses([far], [teacher], 1.5), [0.0])
    (wrong,) = ab.boundary_losses([-far], [teacher], 1.5, weight=1.0)
    np.testing.assert_allclose(wrong, 3.0**2 * teacher[0].size)


def test_the_boundary_first_then_plain_training():
    method = build()
    boundary, distill = method.phases()
    assert (boundary.name, boundary.length) == ("boundary", "init")
    assert boundary.task_weight == 0.0 and boundary.trains_student
    assert [id(v) for v in boundary.own] == [id(v) for v in method.trainable_variables]
    assert (distill.length, distill.task_weight, distill.own) == ("train", None, ())
    assert distill.loss(output(MAPS), output(TARGETS), {}) == {}
    assert (method.weight, method.margin) == (0.003, 1.0)


def test_only_unequal_maps_have_a_connector_which_has_no_relu():
    method = build(weight=0.2, margin=0.7)
    connector, none = method.connectors
    assert none is None
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    mapped = connector(MAPS[0].astype(np.float32), training=True).numpy()
    assert mapped.min() < 0
    terms = method.phases()[0].loss(output(MAPS), output(TARGETS), {})
    expected = level(mapped, TARGETS[0], 0.7) / 2 + level(MAPS[1], TARGETS[1], 0.7)
    np.testing.assert_allclose(terms["boundary"], 0.2 * expected, rtol=1e-5)


def test_the_connector_normalises_by_the_batch_and_keeps_its_statistics():
    method = build()
    before = [v.numpy() for v in method.non_trainable_variables]
    method.boundary(output(MAPS), output(TARGETS), {})
    after = [v.numpy() for v in method.non_trainable_variables]
    assert [np.any(a != b) for a, b in zip(after, before, strict=True)] == [True, True]


@pytest.mark.parametrize("name, value", [("weight", -1.0), ("margin", 0.0)])
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_unequal_maps_and_unreachable_sizes_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(1, 2, 2, 3\)"):
        ab.boundary_losses([tf.zeros([1, 2, 2, 3])], [tf.zeros([1, 2, 2, 4])])
    small, large = (fakes.specs((size, size, 3)) for size in (2, 8))
    with pytest.raises(ValueError, match="teacher's size"):
        ab.AB(small, large, fakes.data(), taps=("stage1",))


def boundaries(vector):
    given = vector.hyperparameters
    names = vector.levels("pre_activation")
    specs = (
        vectors.specs(arrays, names) for arrays in (vector.student, vector.teacher)
    )
    method = ab.AB(
        *specs,
        fakes.data(),
        taps=tuple(names),
        margin=given["margin"],
        weight=given["scale"],
    )
    halves = [2.0 ** (i - len(names) + 1) for i in range(len(names))]
    assert given["level_weights"] == halves, "the only ones that are published"

    def compute():
        students = [vector.student[name] for name in names]
        teachers = [vector.teacher[name] for name in names]
        losses = ab.boundary_losses(students, teachers, method.margin, method.weight)
        parts = {f"loss/level_{i}": loss for i, loss in enumerate(losses)}
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        return {"loss": method.boundary(s, t, {})["boundary"], **parts}

    return compute, {}


PARITY = {"AB": boundaries}
