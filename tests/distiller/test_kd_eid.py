import numpy as np
import pytest
import tensorflow as tf

from distiller import kd_eid
from tests import fakes, singular_reference, vectors

# The last map has fewer positions than channels, the middle one about as many.
SHAPES = (5, 5, 6), (3, 3, 8), (2, 2, 9)
SPECS = fakes.specs(*SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.uniform(size=(3, *s)) for s in SHAPES] for _ in range(2))


def build(**hyperparameters):
    return kd_eid.KDEID(SPECS, SPECS, fakes.data(), **hyperparameters)


@pytest.mark.parametrize("k, candidates", [(1, None), (2, 3)])
def test_the_term_equals_numpy(k, candidates):
    method = build(weight=1.5, k=k, candidates=candidates, denominator=2.0)
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    expected = singular_reference.aligned_gap(MAPS, TARGETS, k, candidates or 4, 2.0)
    np.testing.assert_allclose(terms["relation"], 1.5 * expected, rtol=1e-4)


def test_a_map_about_as_wide_as_high_has_a_gradient():
    student = fakes.output(MAPS)
    with tf.GradientTape() as tape:
        tape.watch(student)
        (loss,) = build().loss(student, fakes.output(TARGETS), {}).values()
    for gradient in tape.gradient(loss, list(student.taps.values())):
        assert np.any(gradient)


def test_zero_where_the_maps_agree_up_to_scale():
    scaled = fakes.output([3.0 * maps for maps in TARGETS])
    terms = build().loss(scaled, fakes.output(TARGETS), {})
    np.testing.assert_allclose(terms["relation"], 0.0, atol=1e-8)


def test_the_gradient_is_clipped_with_a_rising_bound():
    (phase,) = build().phases()
    task, method = [tf.constant([3.0, 0.0])], [tf.constant([0.0, 60.0])]
    for epoch, ratio in [(0.0, 0.5), (2.0, 0.8808), (40.0, 1.0)]:
        (found,) = phase.combine(task, method, {"epoch": tf.constant(epoch)})
        np.testing.assert_allclose(found, [3.0, 3.0 * ratio], rtol=1e-4)
    assert build(clip=False).phases()[0].combine is None


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("k", 0), ("k", 5), ("candidates", 0), ("denominator", 0.0)]
    + [("taps", ("stage2",))],
)
def test_out_of_range_raises(name, value):
    shown = value[0] if isinstance(value, tuple) else value
    with pytest.raises(ValueError, match=f"{name}={shown}"):
        build(**{name: value})


def relations(vector):
    given = vector.hyperparameters
    taps, specs, outputs = vectors.sides(vector, vector.levels())
    method = kd_eid.KDEID(
        *specs,
        fakes.data(),
        taps=taps,
        weight=1.0,
        k=given["num_singular_vectors"],
        candidates=given["num_student_candidates"],
        denominator=given["rbf_divisor"],
    )

    def compute():
        parts = {f"loss/pair_{i}": x for i, x in enumerate(method.gaps(*outputs))}
        return {**parts, **vectors.results(method.loss(*outputs, {}))}

    return compute, {}


PARITY = {"KD_EID": relations}
