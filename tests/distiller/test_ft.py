import numpy as np
import pytest

from distiller import ft
from op_utils import factor_distance
from tests import fakes, vectors

STUDENT = fakes.specs((4, 4, 3), (4, 4, 5), names=("stage1", "last_map"))
TEACHER = fakes.specs((4, 4, 6), (2, 2, 8), names=("stage1", "last_map"))
RNG = np.random.default_rng(0)
MAPS, TARGETS = (
    {name: RNG.normal(size=(3, *spec.shape)) for name, spec in side.items()}
    for side in (STUDENT, TEACHER)
)
OWN, GIVEN = RNG.normal(size=(2, 3, 4, 4, 5))


def build(**hyperparameters):
    return ft.FT(STUDENT, TEACHER, fakes.data(), **hyperparameters)


def halved(maps):
    b, h, w, c = maps.shape
    return maps.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def unit(x):
    x = x.reshape(len(x), -1)
    return x / np.sqrt((x**2).sum(1, keepdims=True))


def gap(student, teacher, p2=1):
    return (np.abs(unit(student) - unit(teacher)) ** p2).mean()


def attention_gap(student, teacher, p1=2, p2=1):
    student, teacher = ((x**p1).mean(-1) for x in (student, teacher))
    return gap(student, teacher, p2)


@pytest.mark.parametrize("p2", [1, 2, 4])
def test_gaps_equal_numpy(p2):
    np.testing.assert_allclose(
        factor_distance.factor_gap(OWN, GIVEN, p2), gap(OWN, GIVEN, p2)
    )
    for p1 in (1, 2, 3):
        found = factor_distance.factor_attention_gap(OWN, GIVEN, p1, p2)
        np.testing.assert_allclose(found, attention_gap(OWN, GIVEN, p1, p2))


@pytest.mark.parametrize(
    "function", [factor_distance.factor_gap, factor_distance.factor_attention_gap]
)
def test_zero_at_equality_up_to_scale_and_after_pooling(function):
    np.testing.assert_allclose(function(3.0 * GIVEN, GIVEN), 0.0, atol=1e-12)
    np.testing.assert_allclose(function(GIVEN, halved(GIVEN)), 0.0, atol=1e-12)
    np.testing.assert_allclose(function(halved(GIVEN), GIVEN), 0.0, atol=1e-12)


def test_the_paraphraser_first_and_alone():
    method = build(taps=("stage1", "last_map"))
    paraphrase, distill = method.phases()
    assert (paraphrase.name, paraphrase.length) == ("paraphrase", "init")
    assert (paraphrase.task_weight, paraphrase.trains_student) == (0.0, False)
    assert (distill.name, distill.length, distill.task_weight) == (
        "distill",
        "train",
        None,
    )
    assert distill.trains_student
    # Kernel, gamma and beta of three convolutions: two stacks, one stack; two pairs.
    assert (len(paraphrase.own), len(distill.own)) == (2 * 2 * 9, 2 * 9)
    kernels = [tuple(v.shape) for v in distill.own if len(v.shape) == 4]
    assert kernels == [
        (3, 3, 3, 3),
        (3, 3, 3, 3),
        (3, 3, 3, 3),
        (3, 3, 5, 5),
        (3, 3, 5, 4),
        (3, 3, 4, 4),
    ]


def test_reconstruction_is_a_mean_square_without_the_weight():
    method = build(weight=9.0, taps=("stage1", "last_map"))
    paraphrase, _ = method.phases()
    terms = paraphrase.loss(None, fakes.output(TARGETS), {})
    expected = 0.0
    for encode, decode, name in zip(
        method.encoders, method.decoders, TARGETS, strict=True
    ):
        maps = TARGETS[name].astype(np.float32)
        decoded = decode(encode(maps, training=True), training=True)
        assert encode(maps).shape[-1] == maps.shape[-1] // 2
        expected += ((decoded - maps) ** 2).numpy().mean()
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "attention"])
def test_the_student_learns_the_frozen_factor(variant):
    method = build(variant=variant, weight=3.0, p1=3, p2=2)
    for stack in method.encoders:
        for variable in stack.variables:
            variable.assign(RNG.uniform(0.5, 1.5, size=variable.shape))
    _, distill = method.phases()
    frozen = [v.numpy() for stack in method.encoders for v in stack.variables]
    own = method.translators[0](MAPS["last_map"].astype(np.float32), training=True)
    given = method.encoders[0](TARGETS["last_map"].astype(np.float32), training=False)
    terms = distill.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    both = halved(own.numpy()), given.numpy()
    if variant == "paper":
        expected = gap(*both, p2=2)
    else:
        expected = attention_gap(*both, p1=3, p2=2)
    np.testing.assert_allclose(terms["factor"], 3.0 * expected, rtol=1e-4)
    after = [v.numpy() for stack in method.encoders for v in stack.variables]
    for a, b in zip(frozen, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batch_norm_moves_its_statistics_in_training_alone():
    method = build()
    before = [v.numpy() for v in method.non_trainable_variables]
    method.reconstruction(None, fakes.output(TARGETS), {})
    after = [v.numpy() for v in method.non_trainable_variables]
    moved = [np.any(a != b) for a, b in zip(before, after, strict=True)]
    # Encoder and decoder, not the translator.
    assert (len(moved), sum(moved)) == (3 * 6, 2 * 6)


def test_the_published_recipe_is_the_default():
    method = build()
    assert (method.weight, method.p1, method.p2) == (200.0, 2, 1)
    assert (method.variant, method.pairs) == ("paper", (("last_map", "last_map"),))


def test_without_batch_norm_convolutions_have_biases():
    method = build(batch_norm="none")
    assert method.non_trainable_variables == ()
    for phase, convolutions in zip(method.phases(), (6, 3), strict=True):
        assert [v.name for v in phase.own] == ["kernel", "bias"] * convolutions


def test_the_translator_alone_may_have_batch_norms():
    paraphrase, distill = build(batch_norm="translator").phases()
    assert [v.name for v in paraphrase.own] == ["kernel", "bias"] * 6
    assert [v.name for v in distill.own] == ["kernel"] * 3 + ["gamma", "beta"] * 3


@pytest.mark.parametrize(
    "name, value",
    [
        ("weight", -1.0),
        ("variant", "zoo"),
        ("batch_norm", "encoder"),
        ("rate", 0.0),
        ("rate", 0.1),
    ]
    + [("p1", 0), ("p1", 1.5), ("p2", 0), ("p2", 3), ("p2", 2.5)],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def attention(vector):
    given = vector.hyperparameters

    def compute():
        both = vector.student["factor"], vector.teacher["factor"]
        return {
            "loss": factor_distance.factor_attention_gap(
                *both, given["p1"], given["p2"]
            )
        }

    return compute, {}


def translator(vector):
    given = vector.hyperparameters
    assert given["leaky_relu_slope"] == 0.1
    assert given["batch_norm_epsilon"] == 1e-5
    assert given.get("normalize_epsilon", 1e-12) == 1e-12
    student = vector.student or vector.teacher  # none in the first phase
    method = ft.FT(
        vectors.specs(student, ["feature"]),
        vectors.specs(vector.teacher, ["feature"]),
        fakes.data(),
        taps=("feature",),
        weight=1.0,
        rate=given["k"],
        batch_norm="both" if given["use_batch_norm"] else "none",
    )
    variables = {}
    for part, (stack,) in (
        ("paraphraser/encoder", method.encoders),
        ("paraphraser/decoder", method.decoders),
        ("translator", method.translators),
    ):
        assert given["factor_channels"] in stack.widths
        for kind, layers in (("conv", stack.convolutions), ("bn", stack.norms)):
            for i, layer in enumerate(layers):
                for variable in layer.variables:
                    variables[f"{part}/{kind}_{i}/{variable.name}"] = variable
    variables = {name: variables[name] for name in vector.param}

    def compute():
        phases = dict(zip(("reconstruction", "factor"), method.phases(), strict=True))
        s, t = vectors.output(student), vectors.output(vector.teacher)
        return {"loss": phases[given["kind"]].loss(s, t, {})[given["kind"]]}

    return compute, variables


PARITY = {"FT": attention, "FT_translator": translator}
