import numpy as np
import pytest
import tensorflow as tf

from distiller import vid
from tests import fakes, vectors

SHAPES = [(8, 8, 3), (4, 4, 4)], [(4, 4, 5), (4, 4, 6)]
STUDENT, TEACHER = (fakes.specs(*shapes) for shapes in SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.normal(size=(3, *shape)) for shape in side] for side in SHAPES)


def build(**hyperparameters):
    return vid.VID(STUDENT, TEACHER, fakes.data(), **hyperparameters)


def test_nll_equals_numpy():
    mean, target = RNG.normal(size=(2, 2, 3, 3, 4))
    variance = np.array([0.5, 1.0, 2.0, 4.0])
    expected = ((target - mean) ** 2 / variance + np.log(variance)).mean() / 2
    np.testing.assert_allclose(vid.gaussian_nll(mean, target, variance), expected)
    # At equality half the mean logarithm is left, no log(2 pi).
    left = vid.gaussian_nll(target, target, variance)
    np.testing.assert_allclose(left, np.log(variance).mean() / 2)


def test_the_class_sums_over_levels():
    method = build(weight=3.0, eps=0.01, mid_channels=7)
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    b, h, w, c = MAPS[0].shape
    halved = MAPS[0].reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
    expected = 0.0
    for level, s in enumerate((halved, MAPS[1])):
        k0, k1, k2 = (k.kernel.numpy()[0, 0] for k in method.regressors[level])
        assert k0.shape[1] == k1.shape[1] == 7
        mean = np.maximum(np.maximum(s @ k0, 0) @ k1, 0) @ k2
        variance = np.log1p(np.exp(method.log_scales[level].numpy())) + 0.01
        gap = (TARGETS[level] - mean) ** 2 / variance
        expected += (gap + np.log(variance)).mean() / 2
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    np.testing.assert_allclose(terms["nll"], 3.0 * expected, rtol=1e-5)


@pytest.mark.parametrize("initial", [1e-3, 5.0, 1000.0])
def test_the_variance_starts_where_it_should(initial):
    method = build(initial_variance=initial)
    np.testing.assert_allclose(method.variance(1), np.full(6, initial), rtol=1e-4)


def test_owns_three_kernels_and_a_scale_for_each_level():
    method = build()
    shapes = sorted(tuple(v.shape) for v in method.trainable_variables)
    first = [(5,), (1, 1, 3, 5), (1, 1, 5, 5), (1, 1, 5, 5)]
    second = [(6,), (1, 1, 4, 6), (1, 1, 6, 6), (1, 1, 6, 6)]
    assert shapes == sorted(first + second)
    assert method.non_trainable_variables == ()


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("eps", 0.0), ("initial_variance", 1e-6), ("mid_channels", 0)],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_unequal_maps_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(1, 4, 4, 2\)"):
        vid.gaussian_nll(tf.zeros([1, 4, 4, 2]), tf.zeros([1, 2, 2, 2]), tf.ones(2))


def information(vector):
    given = vector.hyperparameters
    levels = vector.levels()
    method = vid.VID(
        vectors.specs(vector.student, levels),
        vectors.specs(vector.teacher, levels),
        fakes.data(),
        taps=tuple(levels),
        weight=1.0,
        eps=given["eps"],
        initial_variance=given["init_pred_var"],
        mid_channels=given["mid_channels"],
    )
    variables = {"log_scale": method.log_scales[0]} | {
        f"regressor_{i}/kernel": layer.kernel
        for i, layer in enumerate(method.regressors[0])
    }

    def compute():
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        return {"loss": tf.add_n(list(method.loss(s, t, {}).values()))}

    return compute, variables


PARITY = {"VID": information}
