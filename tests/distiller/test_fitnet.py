import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from distiller import fitnet
from tests import fakes, vectors

STUDENT = fakes.specs((8, 8, 3), (4, 4, 4))
TEACHER = fakes.specs((8, 8, 5), (4, 4, 6))
RNG = np.random.default_rng(0)
MAPS = [RNG.normal(size=(3, *spec.shape)) for spec in STUDENT.values()]
TARGETS = [RNG.normal(size=(3, *spec.shape)) for spec in TEACHER.values()]
LOGITS, TARGET_LOGITS = RNG.normal(size=(2, 3, 5)) * 3


def build(**hyperparameters):
    return fitnet.FitNet(STUDENT, TEACHER, fakes.data(), **hyperparameters)


def regressed(maps, layer):
    """1x1 convolution with bias, batch norm of the batch, ReLU."""
    kernel, bias, gamma, beta = (v.numpy() for v in layer.trainable_variables)
    maps = maps @ kernel[0, 0] + bias
    mean, variance = maps.mean((0, 1, 2)), maps.var((0, 1, 2))
    return np.maximum((maps - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)


def test_the_hint_sums_over_pairs_of_regressed_maps():
    method = build(taps=("stage1", "stage2"), weight=7.0)
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    terms = method.hint(fakes.output(MAPS), fakes.output(TARGETS), {})
    expected = sum(
        ((regressed(s, layer) - t) ** 2).mean()
        for s, t, layer in zip(MAPS, TARGETS, method.regressors, strict=True)
    )
    np.testing.assert_allclose(terms["hint"], 7.0 * expected, rtol=1e-5)


def test_two_phases_as_in_the_paper():
    method = build()
    hint, distill = method.phases()
    assert (hint.name, hint.length, hint.task_weight) == ("hint", "init", 0.0)
    assert [id(v) for v in hint.own] == [id(v) for v in method.trainable_variables]
    assert (distill.name, distill.length, distill.task_weight, distill.own) == (
        "distill",
        "train",
        None,
        (),
    )
    assert method.pairs == (("stage2", "stage2"),)
    terms = hint.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    assert list(terms) == ["hint"]


@pytest.mark.parametrize("progress, weight", [(0.0, 4.0), (0.5, 2.5), (1.0, 1.0)])
def test_soft_predictions_fade(progress, weight):
    _, distill = build().phases()
    terms = distill.loss(
        fakes.output(logits=LOGITS),
        fakes.output(logits=TARGET_LOGITS),
        {"progress": tf.constant(progress)},
    )
    p = scipy.special.log_softmax(TARGET_LOGITS / 3.0, axis=1)
    q = scipy.special.log_softmax(LOGITS / 3.0, axis=1)
    expected = weight * (np.exp(p) * (p - q)).sum() / 3
    np.testing.assert_allclose(terms["kl"], expected, rtol=1e-5)


def test_one_phase_trains_hint_and_labels_together():
    method = build(variant="one_phase")
    (phase,) = method.phases()
    assert (phase.name, phase.length, phase.task_weight) == ("distill", "train", None)
    assert len(phase.own) == 4
    terms = phase.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    assert list(terms) == ["hint"]


def test_the_regressor_normalises_by_the_batch_and_keeps_its_statistics():
    method = build()
    before = [v.numpy() for v in method.non_trainable_variables]
    method.hint(fakes.output(MAPS), fakes.output(TARGETS), {})
    after = [v.numpy() for v in method.non_trainable_variables]
    assert [np.any(a != b) for a, b in zip(after, before, strict=True)] == [True, True]


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("temperature", 0.0), ("first_lambda", -1.0)]
    + [("last_lambda", float("nan")), ("variant", "three_phases")],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_unreachable_sizes_raise():
    small, large = fakes.specs((2, 2, 3)), fakes.specs((8, 8, 3))
    with pytest.raises(ValueError, match="teacher's size"):
        fitnet.FitNet(small, large, fakes.data(), taps=("stage1",))


def test_without_a_regressor_maps_are_compared_as_they_are():
    method = fitnet.FitNet(STUDENT, STUDENT, fakes.data(), regressor=False)
    assert method.variables == ()
    student, teacher = RNG.normal(size=(2, 3, *STUDENT["stage1"].shape))
    seen, given = ({name: x for name in STUDENT} for x in (student, teacher))
    term = method.hint(fakes.output(seen), fakes.output(given), {})["hint"]
    np.testing.assert_allclose(term, 100 * np.mean((student - teacher) ** 2), rtol=1e-5)
    with pytest.raises(ValueError, match=r"equal shapes.*regressor=false.*stage"):
        build(regressor=False)


def hint(vector):
    """The vectors' maps come from a regressor; the code base has one phase."""
    taps, specs, outputs = vectors.sides(vector, vector.levels())
    method = fitnet.FitNet(
        *specs,
        fakes.data(),
        variant="one_phase",
        taps=taps,
        regressor=False,
        weight=1.0,
    )
    (phase,) = method.phases()
    return lambda: vectors.results(phase.loss(*outputs, {})), {}


PARITY = {"FitNet": hint}
