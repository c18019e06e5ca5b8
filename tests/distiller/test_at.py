import numpy as np
import pytest
import tensorflow as tf

from distiller import at
from tests import fakes, vectors

SHAPES = [(8, 8, 3), (4, 4, 4)], [(4, 4, 5), (4, 4, 6)]
STUDENT, TEACHER = (fakes.specs(*shapes) for shapes in SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.normal(size=(3, *shape)) for shape in side] for side in SHAPES)


def halved(maps):
    b, h, w, c = maps.shape
    return maps.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


# The first level's student is twice the teacher's size.
PAIRS = [(halved(MAPS[0]), TARGETS[0]), (MAPS[1], TARGETS[1])]


def gap(student, teacher, p):
    def attention(maps):
        strength = (maps**p).mean(-1).reshape(len(maps), -1)
        return strength / np.linalg.norm(strength, axis=1, keepdims=True)

    return ((attention(student) - attention(teacher)) ** 2).mean()


def summed_gap(student, teacher, p, epsilon):
    def attention(maps):
        strength = (np.abs(maps) ** p).sum(-1)
        norms = np.sqrt((strength**2).sum((1, 2), keepdims=True))
        return strength / (norms + epsilon)

    return ((attention(student) - attention(teacher)) ** 2).mean()


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 4.0])
def test_gaps_equal_numpy(p):
    gaps = at.attention_gaps(MAPS, TARGETS, p)
    np.testing.assert_allclose(gaps, [gap(s, t, p) for s, t in PAIRS])


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_summed_gaps_equal_numpy(p):
    gaps = at.summed_attention_gaps(MAPS, TARGETS, p, epsilon=0.1)
    expected = [summed_gap(s, t, p, 0.1) / 2 for s, t in PAIRS]
    np.testing.assert_allclose(gaps, expected)


@pytest.mark.parametrize("function", [at.attention_gaps, at.summed_attention_gaps])
def test_zero_where_the_maps_agree_up_to_scale(function):
    gaps = function([TARGETS[0] * 3.0], [TARGETS[0]])
    np.testing.assert_allclose(gaps, [0.0], atol=1e-12)


@pytest.mark.parametrize("variant", ["AT", "AT_sum"])
def test_the_class_weighs_all_levels(variant):
    method = at.AT(STUDENT, TEACHER, fakes.data(), variant=variant, weight=5.0, p=3.0)
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    expected = {
        "AT": sum(gap(s, t, 3) for s, t in PAIRS),
        "AT_sum": sum(summed_gap(s, t, 3, 1e-6) for s, t in PAIRS) / 2,
    }
    np.testing.assert_allclose(terms["attention"], 5.0 * expected[variant], rtol=1e-5)


def test_the_published_recipe_is_the_default():
    method = at.AT(STUDENT, TEACHER, fakes.data())
    assert (method.weight, method.p, method.variant) == (1000.0, 2.0, "AT")
    assert method.pairs == (("stage1", "stage1"), ("stage2", "stage2"))


@pytest.mark.parametrize("variant", ["AT", "AT_sum"])
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_zero_maps_give_finite_gradients(variant, p):
    method = at.AT(STUDENT, TEACHER, fakes.data(), variant=variant, p=p)
    student = fakes.output([np.zeros_like(m) for m in MAPS])
    with tf.GradientTape() as tape:
        tape.watch(student)
        (loss,) = method.loss(student, fakes.output(TARGETS), {}).values()
    assert np.isfinite(loss)
    for gradient in tape.gradient(loss, list(student.taps.values())):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("epsilon", 0.0), ("variant", "sum")]
    + [("p", p) for p in (0.0, 0.5, 1.5, float("nan"), float("inf"))],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        at.AT(STUDENT, TEACHER, fakes.data(), **{name: value})


def test_absolute_values_have_every_power_from_one():
    at.AT(STUDENT, TEACHER, fakes.data(), variant="AT_sum", p=1.5)
    with pytest.raises(ValueError, match=r"p=0\.5"):
        at.AT(STUDENT, TEACHER, fakes.data(), variant="AT_sum", p=0.5)


def means(vector):
    p = vector.hyperparameters["p"]
    return vectors.sum_of_levels(vector, "level", at.attention_gaps, p=p)


def sums(vector):
    given = vector.hyperparameters
    assert given["layer_reduction"] == "mean", "the only one that is published"
    return vectors.sum_of_levels(
        vector,
        "layer",
        at.summed_attention_gaps,
        p=given["p"],
        epsilon=given["epsilon"],
    )


PARITY = {"AT": means, "AT_sum": sums}
