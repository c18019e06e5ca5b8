import keras
import numpy as np
import pytest
import tensorflow as tf

from common.errors import NonFiniteLoss
from tests.training import tiny
from training import optimizer
from training.optimizer import SGD

RNG = np.random.default_rng(0)
SHAPES = ((3, 2), (4,), ())
RATES = (0.5, 0.1, 0.1)
FLOAT16_MAX = 65504.0


def make_variables():
    rng = np.random.default_rng(1)
    values = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]
    # tf.Variables and keras.Variables: methods own both.
    return [tf.Variable(values[0]), *(keras.Variable(v) for v in values[1:])]


GRADIENTS = [
    [RNG.normal(size=shape).astype(np.float32) for shape in SHAPES] for _ in RATES
]


def make(variables, **changes):
    settings = {"momentum": 0.9, "nesterov": False, "weight_decay": 0.01} | changes
    return SGD(variables, **settings)


def in_graph(sgd):
    """`apply` as the trainer runs it; the shapes of the gradients are static."""

    @tf.function
    def apply(gradients, rate):
        sgd.apply(gradients, rate)

    return apply


def train(sgd, gradients=GRADIENTS, graph=True):
    apply = in_graph(sgd) if graph else sgd.apply
    for step, rate in zip(gradients, RATES, strict=True):
        scale = float(sgd.scale(tf.constant(1.0)))
        tensors = [None if g is None else tf.constant(g) * scale for g in step]
        apply(tensors, tf.constant(rate))


def numpy_training(gradients, momentum, nesterov, weight_decay):
    weights = tiny.values(make_variables())
    velocities = [np.zeros_like(w) for w in weights]
    for step, rate in zip(gradients, RATES, strict=True):
        for i, gradient in enumerate(step):
            if gradient is None:
                continue
            g = gradient + weight_decay * weights[i]
            velocities[i] = momentum * velocities[i] - rate * g
            if nesterov:
                weights[i] = weights[i] + momentum * velocities[i] - rate * g
            else:
                weights[i] = weights[i] + velocities[i]
    return weights


SETTINGS = [
    {"momentum": 0.9, "nesterov": False, "weight_decay": 0.01},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"momentum": 0.0, "nesterov": False, "weight_decay": 0.5},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.0},
]


@pytest.mark.parametrize("scale_loss", [False, True])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("settings", SETTINGS)
def test_three_steps_equal_numpy(settings, graph, scale_loss):
    variables = make_variables()
    train(SGD(variables, **settings, scale_loss=scale_loss), graph=graph)
    for found, expected in zip(
        variables, numpy_training(GRADIENTS, **settings), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_decay_is_inside_the_momentum():
    """Keras' own, outside of it, would give .98010; see tf_facts.md."""
    variable = tf.Variable(1.0)
    sgd = make([variable], momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        sgd.apply([tf.constant(0.0)], tf.constant(0.1))
    np.testing.assert_allclose(variable, 0.99 - 0.009 - 0.0099, rtol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("scale_loss", [False, True])
def test_variables_without_gradient_are_left_alone(graph, scale_loss):
    gradients = [[g[0], None, g[2]] for g in GRADIENTS]
    settings = SETTINGS[0]
    variables = make_variables()
    train(SGD(variables, **settings, scale_loss=scale_loss), gradients, graph)
    expected = numpy_training(gradients, **settings)
    np.testing.assert_array_equal(variables[1], make_variables()[1])
    for found, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale_loss", [False, True])
def test_without_any_gradient_nothing_happens(scale_loss):
    variables = make_variables()
    sgd = make(variables, scale_loss=scale_loss)
    train(sgd, [[None] * 3] * 3)
    tiny.assert_equal(tiny.values(variables), tiny.values(make_variables()))
    assert int(sgd.skipped) == 0


def test_sparse_gradients_decay_the_whole_variable():
    variable = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    sgd = make([variable], momentum=0.0, weight_decay=0.1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(variable, [1, 1]))
    sgd.apply(tape.gradient(loss, [variable]), tf.constant(1.0))
    np.testing.assert_allclose(variable, [[0.9, 1.8], [0.7, 1.6]], rtol=1e-6)


@pytest.mark.parametrize("scale_loss", [False, True])
def test_as_many_gradients_as_variables(scale_loss):
    sgd = make(make_variables(), scale_loss=scale_loss)
    with pytest.raises(ValueError, match="zip"):
        sgd.apply(GRADIENTS[0][:2], tf.constant(0.1))


# Loss scaling


def test_scaling_changes_no_update():
    """Powers of two are exact, so not even the last bit differs."""
    plain, scaled = make_variables(), make_variables()
    train(make(plain, weight_decay=0.25))
    train(make(scaled, weight_decay=0.25, scale_loss=True))
    tiny.assert_equal(tiny.values(plain), tiny.values(scaled))


def test_loss_and_norm_are_scaled_and_back():
    sgd = make(make_variables(), scale_loss=True)
    assert float(sgd.scale(tf.constant(2.0))) == 2.0 * 2.0**15
    assert float(sgd.unscale(sgd.scale(tf.constant(3.0)))) == 3.0
    sgd = make(make_variables())
    assert float(sgd.scale(tf.constant(2.0))) == 2.0
    assert float(sgd.unscale(tf.constant(2.0))) == 2.0


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("graph", [False, True])
def test_a_step_that_overflows_is_skipped(graph, bad):
    variables = make_variables()
    sgd = make(variables, scale_loss=True)
    apply = in_graph(sgd) if graph else sgd.apply
    rate = tf.constant(0.1)
    good = [tf.constant(g) for g in GRADIENTS[0]]
    apply(good, rate)
    before, slots = tiny.values(variables), momenta(sgd)
    for count in (1, 2):
        apply([good[0], tf.constant([bad, 0, 0, 0], tf.float32), good[2]], rate)
        assert int(sgd.skipped) == count
        assert float(sgd.scale(tf.constant(1.0))) == 2.0 ** (15 - count)
    tiny.assert_equal(tiny.values(variables), before)
    tiny.assert_equal(momenta(sgd), slots)
    apply(good, rate)
    assert int(sgd.skipped) == 0
    assert not np.array_equal(variables[1], before[1])


def momenta(sgd):
    return [v.numpy() for v in sgd.variables if "momentum" in v.name]


def test_float16_finds_a_scale_that_works():
    """A real loss: 2^15 times its gradient overflows float16, 2^11 times does not."""
    variable = tf.Variable(1.0)
    sgd = make([variable], weight_decay=0.0, scale_loss=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            half = tf.cast(variable, tf.float16)
            loss = sgd.scale(tf.cast(half * 20.0, tf.float32))
        (gradient,) = tape.gradient(loss, [variable])
        sgd.apply([gradient], tf.constant(0.01))
        return gradient

    skipped = 0
    while not np.isfinite(step()):
        assert float(variable) == 1.0
        skipped += 1
    assert 2.0 ** (15 - skipped) * 20 <= FLOAT16_MAX < 2.0 ** (16 - skipped) * 20
    np.testing.assert_allclose(variable, 1.0 - 0.01 * 20, rtol=1e-6)


def test_too_many_skipped_steps_raise():
    sgd = make(make_variables(), scale_loss=True)
    apply = in_graph(sgd)
    bad = [tf.constant(g) * np.nan for g in GRADIENTS[0]]
    for _ in range(optimizer.MAX_SKIPPED_STEPS - 1):
        apply(bad, tf.constant(0.1))
    sgd.check()
    apply(bad, tf.constant(0.1))
    with pytest.raises(NonFiniteLoss, match="50 steps in a row.*mixed_bfloat16"):
        sgd.check()


def test_without_scaling_nothing_is_skipped():
    variables = make_variables()
    sgd = make(variables)
    sgd.apply([tf.constant(g) * np.nan for g in GRADIENTS[0]], tf.constant(0.1))
    sgd.check()
    assert np.isnan(variables[0]).all()


# Restarts


@pytest.mark.parametrize("scale_loss", [False, True])
def test_the_variables_are_all_that_a_restart_needs(scale_loss):
    """A second optimizer goes on with the first one's."""
    first, second = make_variables(), make_variables()
    one = make(first, scale_loss=scale_loss)
    if scale_loss:
        one.apply([tf.constant(g) * np.inf for g in GRADIENTS[0]], tf.constant(0.1))
        growth = one._optimizer.dynamic_growth_steps
        one._optimizer.step_counter.assign(growth - 5)  # doubles in the second train
    train(one)
    two = make(second, scale_loss=scale_loss)
    for old, new in zip(first, second, strict=True):
        new.assign(old)
    assert len(one.variables) == len(two.variables)
    for old, new in zip(one.variables, two.variables, strict=True):
        new.assign(old)
    for sgd in (one, two):
        train(sgd)
    tiny.assert_equal(tiny.values(first), tiny.values(second))
    tiny.assert_equal(tiny.values(one.variables), tiny.values(two.variables))
    if scale_loss:
        assert float(one.scale(tf.constant(1.0))) == 2.0**15, "halved and doubled"


@pytest.mark.parametrize("scale_loss", [False, True])
def test_every_variable_of_the_optimizer_is_listed(scale_loss):
    """Whatever a step changes, `variables` holds."""
    variables = make_variables()
    sgd = make(variables, scale_loss=scale_loss)
    listed = {id(v) for v in sgd.variables}
    inner = [sgd._optimizer, sgd._sgd]
    known = [v for part in inner for v in part.variables]
    assert {id(v) for v in known} <= listed
    assert sum("momentum" in v.name for v in sgd.variables) == len(SHAPES)
    names = {v.name.split(":")[0] for v in sgd.variables}
    assert "skipped_in_a_row" in names
    assert ({"dynamic_scale", "step_counter"} <= names) == scale_loss
