import dataclasses

import keras
import numpy as np
import pytest
import scipy.stats

from distiller import ofd
from tests import fakes, vectors

NAMES = ("stage1_pre", "stage2_pre")
# The teacher's first map is larger, its second one smaller than the student's.
STUDENT = fakes.specs((4, 4, 3), (4, 4, 6), names=NAMES)
TEACHER = fakes.specs((8, 8, 5), (2, 2, 6), names=NAMES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = (
    [2 * RNG.normal(size=(3, *spec.shape)) for spec in side.values()]
    for side in (STUDENT, TEACHER)
)
GAMMAS, BETAS = ([RNG.normal(size=t.shape[-1]) for t in TARGETS] for _ in range(2))


def with_norms(specs, gammas, betas):
    """The same taps behind batch norms; no gamma, or no beta, where None."""
    found = {}
    for (name, spec), gamma, beta in zip(specs.items(), gammas, betas, strict=True):
        norm = keras.layers.BatchNormalization(
            scale=gamma is not None, center=beta is not None
        )
        norm.build((None, *spec.shape))
        if gamma is not None:
            norm.gamma.assign(gamma)
        if beta is not None:
            norm.beta.assign(beta)
        found[name] = dataclasses.replace(spec, batch_norm=norm)
    return found


def build(**hyperparameters):
    teacher = with_norms(TEACHER, GAMMAS, BETAS)
    return ofd.OFD(STUDENT, teacher, fakes.data(), **hyperparameters)


def output(maps):
    return fakes.output(dict(zip(NAMES, maps, strict=True)))


def squares(student, teacher, margin):
    """Case by case."""
    target = np.maximum(teacher, margin)
    s, t, m = np.broadcast_arrays(student, teacher, margin)
    rules = [
        (t > 0, (s - t) ** 2),
        ((t > m) & (t <= 0) & (s > t), (s - t) ** 2),
        ((t <= m) & (s > m), (s - m) ** 2),
    ]
    result = np.select([rule for rule, _ in rules], [value for _, value in rules], 0.0)
    assert np.all(result[(s <= target) & (target <= 0)] == 0)
    return result


def connected(maps, layer):
    kernel, gamma, beta = (v.numpy() for v in layer.trainable_variables)
    maps = maps @ kernel[0, 0]
    mean, variance = maps.mean((0, 1, 2)), maps.var((0, 1, 2))
    return (maps - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def resized_targets():
    b, _, _, c = TARGETS[0].shape
    pooled = TARGETS[0].reshape(b, 4, 2, 4, 2, c).mean((2, 4))
    return [pooled, TARGETS[1].repeat(2, axis=1).repeat(2, axis=2)]


def test_partial_squares_equal_numpy():
    margin = -np.array([0.1, 0.5, 1.0, 2.0, 3.0])
    student = 2 * RNG.normal(size=TARGETS[0].shape)
    found = ofd.partial_squares(student, TARGETS[0], margin)
    np.testing.assert_allclose(found, squares(student, TARGETS[0], margin))


def test_zero_where_both_are_silent():
    teacher = -np.abs(TARGETS[0])
    margin = -np.ones(5)
    student = np.maximum(teacher, margin)
    for below in (0.0, 0.1, 9.0):
        found = ofd.partial_squares(student - below, teacher, margin)
        np.testing.assert_array_equal(found, np.zeros(teacher.shape))
    assert np.all(ofd.partial_squares(student + 0.1, teacher, margin) > 0)


def test_the_paper_sums_with_margins_of_the_batch_norms():
    method = build(weight=3.0)
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    expected = 0.0
    for level, target in enumerate(resized_targets()):
        normal = scipy.stats.norm(BETAS[level], np.abs(GAMMAS[level]))
        margin = BETAS[level] - GAMMAS[level] ** 2 * normal.pdf(0) / normal.cdf(0)
        margin = np.where(normal.cdf(0) > 0.001, margin, -3 * np.abs(GAMMAS[level]))
        mapped = connected(MAPS[level], method.connectors[level])
        expected += squares(mapped, target, margin).sum() / 3 / 2 ** (1 - level)
    terms = method.loss(output(MAPS), output(TARGETS), {})
    np.testing.assert_allclose(terms["partial_l2"], 3.0 * expected, rtol=1e-4)


def test_batch_margin_takes_means_and_needs_no_batch_norm():
    method = ofd.OFD(
        STUDENT, TEACHER, fakes.data(), variant="batch_margin", weight=3.0, epsilon=2.0
    )
    expected = 0.0
    for level, target in enumerate(resized_targets()):
        negative = np.minimum(target, 0).sum((0, 1, 2))
        margin = negative / ((target < 0).sum((0, 1, 2)) + 2.0)
        mapped = connected(MAPS[level], method.connectors[level])
        expected += squares(mapped, target, margin).mean() / 2
    terms = method.loss(output(MAPS), output(TARGETS), {})
    np.testing.assert_allclose(terms["partial_l2"], 3.0 * expected, rtol=1e-4)


def test_the_weight_is_that_of_the_definition():
    assert build().weight == 0.001
    assert build(variant="batch_margin").weight == 0.5
    assert build(weight=0.0).weight == 0.0


def test_batch_norms_without_gamma_or_beta_count_as_one_and_zero():
    teacher = with_norms(TEACHER, [None, GAMMAS[1]], [BETAS[0], None])
    plain = with_norms(TEACHER, [np.ones(5), GAMMAS[1]], [BETAS[0], np.zeros(6)])
    found, expected = (
        ofd.OFD(STUDENT, specs, fakes.data()).margins for specs in (teacher, plain)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_margins_are_read_once_and_are_no_variables():
    teacher = with_norms(TEACHER, GAMMAS, BETAS)
    method = ofd.OFD(STUDENT, teacher, fakes.data())
    for spec in teacher.values():
        spec.batch_norm.gamma.assign(spec.batch_norm.gamma * 2)
    for margin, value in zip(method.margins, build().margins, strict=True):
        np.testing.assert_array_equal(margin, value)
    # Kernel, gamma, beta and the two moving statistics of each level's connector.
    assert (len(method.trainable_variables), len(method.variables)) == (6, 10)


@pytest.mark.parametrize(
    "name, value", [("weight", -1.0), ("epsilon", 0.0), ("variant", "zoo")]
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_taps_without_a_batch_norm_raise():
    with pytest.raises(ValueError) as error:
        ofd.OFD(STUDENT, TEACHER, fakes.data())
    for part in ("taps=", "variant=batch_margin", "Received: teacher tap 'stage1_pre'"):
        assert part in str(error.value)


def adapter(vector, **hyperparameters):
    names = vector.levels("pre_activation")
    student, teacher = (
        vectors.specs(arrays, names) for arrays in (vector.student, vector.teacher)
    )
    if "bn_gamma_0" in vector.teacher:
        gammas, betas = (
            [vector.teacher[f"bn_{kind}_{i}"] for i in range(len(names))]
            for kind in ("gamma", "beta")
        )
        teacher = with_norms(teacher, gammas, betas)
    method = ofd.OFD(
        student, teacher, fakes.data(), taps=tuple(names), **hyperparameters
    )
    for i, margin in enumerate(method.margins):
        expected = vector.inputs["other"].get(f"margin_{i}", margin)
        np.testing.assert_allclose(margin, expected, rtol=1e-5)

    def compute():
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        levels = [method.weight * level for level in method.levels(s, t)]
        parts = {f"loss/layer_{i}": level for i, level in enumerate(levels)}
        return {"loss": method.loss(s, t, {})["partial_l2"], **parts}

    return compute, own_variables(method, vector)


def own_variables(method, vector):
    """By the names of the vector, which differ from folder to folder."""
    found = {}
    for i, connector in enumerate(method.connectors):
        layers = {"conv/": connector.convolution, "bn/": connector.norm}
        for prefix, layer in layers.items():
            for variable in layer.variables:
                found[f"connector_{i}/{prefix}{variable.name}"] = variable
                found[f"connector_{i}/{variable.name}"] = variable
    return {name: found[name] for name in vector.param}


def halves(vector):
    last = len(vector.levels("pre_activation")) - 1
    return [2.0 ** (i - last) for i in range(last + 1)]


def overhaul(vector):
    given = vector.hyperparameters
    published = {"kernel_size": 1, "bn_epsilon": 1e-5, "level_weights": halves(vector)}
    assert given == published, "the only ones that are published"
    return adapter(vector, weight=1.0)


def weighted(vector):
    given = dict(vector.hyperparameters)
    weight = given.pop("weight")
    assert given == {
        "batch_norm_epsilon": 1e-5,
        "margin_cdf_threshold": 0.001,
        "margin_fallback": -3.0,
    }, "the only ones that are published"
    return adapter(vector, weight=weight)


def batch_margin(vector):
    given = dict(vector.hyperparameters)
    epsilon = given.pop("margin_epsilon")
    assert given == {
        "batch_norm_epsilon": 1e-5,
        "layer_reduction": "mean",
        "margin": "batch",
    }, "the only ones that are published"
    return adapter(vector, variant="batch_margin", weight=1.0, epsilon=epsilon)


PARITY = {"OFD": overhaul, "CO_tf": weighted, "OFD_zoo": batch_margin}
