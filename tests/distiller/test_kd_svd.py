import numpy as np
import pytest
import tensorflow as tf

from distiller import kd_svd
from tests import fakes, singular_reference, vectors

SHAPES = (6, 6, 4), (4, 4, 6), (2, 3, 8)
SPECS = fakes.specs(*SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.uniform(size=(3, *s)) for s in SHAPES] for _ in range(2))


def build(**hyperparameters):
    return kd_svd.KDSVD(SPECS, SPECS, fakes.data(), **hyperparameters)


def term(method, maps=MAPS, targets=TARGETS):
    return method.loss(fakes.output(maps), fakes.output(targets), {})["relation"]


@pytest.mark.parametrize("variant, divisor", [("svd_align", 1), ("batch_mean", 3)])
@pytest.mark.parametrize("k, candidates", [(1, None), (2, 4)])
def test_the_aligned_variants_equal_numpy(variant, divisor, k, candidates):
    method = build(
        variant=variant, weight=2.5, k=k, candidates=candidates, denominator=4.0
    )
    expected = singular_reference.aligned_gap(MAPS, TARGETS, k, 4, 4.0)
    np.testing.assert_allclose(term(method), 2.5 * expected / divisor, rtol=1e-4)


def test_the_projecting_variant_equals_numpy():
    method = build(variant="teacher_projection", k=2, weight=3.0)
    rng = np.random.default_rng(1)
    expected = 0.0
    for connector in method.connectors:
        for variable in connector.variables:
            variable.assign(rng.uniform(0.5, 1.5, size=variable.shape))
    for i in range(3):
        levels = []
        for connector, s, t in zip(method.connectors, MAPS, TARGETS, strict=True):
            norm = connector.norm
            x = s[i].reshape(-1, s.shape[-1]) @ connector.convolution.kernel[0, 0]
            x = (x - norm.moving_mean) / np.sqrt(norm.moving_variance + 1e-5)
            x = x * norm.gamma + norm.beta
            left, values, right = singular_reference.triples(t[i], 2)
            values = values / np.linalg.norm(values)
            columns = np.array(x).T @ left
            columns = columns / np.linalg.norm(columns, axis=0)
            levels.append((columns * values, right * values))
        for before, after in zip(levels[:-1], levels[1:], strict=True):
            pairs = (before[0], after[0]), (before[1], after[1])
            expected += singular_reference.gap(*pairs, 8.0)
    np.testing.assert_allclose(term(method), 3.0 * expected, rtol=1e-4)


def test_zero_where_the_maps_agree_up_to_scale():
    scaled = [2.0 * maps for maps in MAPS]
    assert term(build(k=2), scaled, MAPS) < 1e-8
    assert term(build(k=2), MAPS, TARGETS) > 1e-3


def test_the_order_of_positions_does_not_matter():
    # Right singular vectors are over the channels.
    shuffled = [
        maps.reshape(3, -1, maps.shape[-1])[:, ::-1].reshape(maps.shape)
        for maps in MAPS
    ]
    np.testing.assert_allclose(term(build(), shuffled), term(build()), rtol=1e-4)


def test_only_the_projecting_variant_owns_variables():
    assert build().variables == build(variant="batch_mean").variables == ()
    method = build(variant="teacher_projection")
    (phase,) = method.phases()
    assert len(phase.own) == 9 and len(method.non_trainable_variables) == 6
    before = [v.numpy() for v in method.non_trainable_variables]
    term(method)
    for old, variable in zip(before, method.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable)


@pytest.mark.parametrize(
    "variant, ratio",
    [("svd_align", 0.5), ("batch_mean", 0.5), ("teacher_projection", 1.0)],
)
def test_the_gradient_is_clipped_to_the_task_s(variant, ratio):
    (phase,) = build(variant=variant).phases()
    task, method = [tf.constant([3.0, 0.0])], [tf.constant([0.0, 60.0])]
    (found,) = phase.combine(task, method, {"epoch": tf.constant(0.0)})
    np.testing.assert_allclose(found, [3.0, 3.0 * ratio])
    assert build(variant=variant, clip=False).phases()[0].combine is None


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("k", 0), ("candidates", 0), ("denominator", 0.0)]
    + [("variant", "svd"), ("k", 5), ("taps", ("stage2",))],
)
def test_out_of_range_raises(name, value):
    shown = value[0] if isinstance(value, tuple) else value
    with pytest.raises(ValueError, match=f"{name}='?{shown}"):
        build(**{name: value})


def test_maps_of_other_sizes_are_refused_only_where_they_are_projected():
    larger = fakes.specs((8, 8, 4), (4, 4, 6), (2, 2, 8))
    kd_svd.KDSVD(larger, SPECS, fakes.data())
    with pytest.raises(ValueError, match=r"equal height.*\(8, 8, 4\)"):
        kd_svd.KDSVD(larger, SPECS, fakes.data(), variant="teacher_projection")
    with pytest.raises(ValueError, match=r"equal shape.*\(1, 2, 2, 3\)"):
        kd_svd.projected_vectors(tf.zeros([1, 2, 2, 3]), tf.zeros([1, 2, 3, 3]), 1)


def relations(vector):
    given = vector.hyperparameters
    levels = vector.levels() or vector.levels("pre_activation")
    projects = given.get("variant") == "teacher_projection"
    method = kd_svd.KDSVD(
        vectors.specs(vector.student, levels),
        vectors.specs(vector.teacher, levels),
        fakes.data(),
        variant=given.get("variant", "batch_mean"),
        taps=tuple(levels),
        k=given["k"] if "k" in given else given["num_singular_vectors"],
        candidates=given.get("student_vectors", given.get("num_student_candidates")),
        denominator=given.get("rbf_denominator", given.get("rbf_divisor")),
    )
    variables = {}
    for i, connector in enumerate(method.connectors):
        connector.norm.epsilon = given["batch_norm_epsilon"]
        assert given["l2_normalize_epsilon"] == 1e-12, "the only one published"
        variables[f"connector_{i}/conv/kernel"] = connector.convolution.kernel
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            variables[f"connector_{i}/bn/{name}"] = getattr(connector.norm, name)
    assert bool(variables) == projects

    def compute():
        sides = [vector.student[n] for n in levels], [vector.teacher[n] for n in levels]
        gaps = method.gaps(*sides)
        parts = {f"loss/pair_{i}": gap for i, gap in enumerate(gaps)}
        return {"loss": tf.add_n(gaps), **parts}

    return compute, variables


PARITY = {"KDSVD": relations, "KDSVD_tf": relations}
