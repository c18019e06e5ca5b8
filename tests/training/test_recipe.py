import dataclasses
import types

import numpy as np
import pytest

from options.settings import Options
from tests.options.settings import VALUES, phase, student
from training import recipe
from training.recipe import recipe_of

# Those that need no file.
SETTINGS = {
    name: value
    for name, value in VALUES.items()
    if name not in ("teacher_checkpoint", "continue_from")
}


def data(steps_per_epoch):
    """Data as a recipe sees them; classes of three images and of one."""
    train = types.SimpleNamespace(labels=np.array([0, 0, 0, 1]))
    return types.SimpleNamespace(steps_per_epoch=steps_per_epoch, train=train)


def rates(steps_per_epoch=10, lengths=(), **settings):
    settings = {"epochs": 8, "init_epochs": 3, "learning_rate": 0.1} | settings
    phases = [types.SimpleNamespace(length=length) for length in lengths]
    return recipe.learning_rates(Options(**settings), steps_per_epoch, phases)


def test_cosine_is_the_default():
    found = rates()
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(80) / 80))
    np.testing.assert_allclose(found["train"], expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(found["init"], np.full(30, 0.1, np.float32))


def test_constant():
    np.testing.assert_array_equal(
        rates(schedule="constant")["train"], np.full(80, 0.1, np.float32)
    )


@pytest.mark.parametrize("decay_points", [(2, 4), (0.25, 0.5)])
def test_decay_points_are_epochs_or_shares(decay_points):
    train = rates(schedule="step", decay_points=decay_points, decay_rate=0.5)["train"]
    expected = np.repeat([0.1, 0.05, 0.025], [20, 20, 40])
    np.testing.assert_array_equal(train, expected.astype(np.float32))


def test_decay_points_may_lie_inside_an_epoch():
    train = rates(schedule="step", decay_points=(2.5,), decay_rate=0.5)["train"]
    assert np.flatnonzero(np.diff(train)) == [24]


def test_a_point_of_one_is_an_epoch():
    train = rates(schedule="step", decay_points=(0.5, 1.0), decay_rate=0.5)["train"]
    np.testing.assert_array_equal(np.flatnonzero(np.diff(train)), [4, 9])


def test_without_decay_points_nothing_decays():
    train = rates(schedule="step", decay_points=())["train"]
    np.testing.assert_array_equal(train, np.full(80, 0.1, np.float32))


@pytest.mark.parametrize("num_init", [0, 1, 2])
def test_equal_epochs_are_those_of_all_phases(num_init):
    lengths = ["init"] * num_init + ["train"]
    found = rates(lengths=lengths, equal_epochs=True)
    assert sum(len(found[length]) for length in lengths) == 8 * 10
    # The last phase has its whole schedule, in less time.
    shorter = rates(epochs=8 - 3 * num_init)["train"]
    np.testing.assert_array_equal(found["train"], shorter)
    longer = rates(lengths=lengths)
    assert sum(len(longer[length]) for length in lengths) == (8 + 3 * num_init) * 10


@pytest.mark.parametrize(
    ("settings", "left"),
    [({"epochs": 3}, 0), ({"epochs": 2}, 0), ({"epochs": 5, "warmup_epochs": 2.0}, 2)],
)
def test_equal_epochs_that_leave_nothing_raise(settings, left):
    message = rf"leaves {left} epochs .*--epochs={settings['epochs']}, 1 init.*=3, "
    with pytest.raises(ValueError, match=message):
        rates(lengths=["init", "train"], equal_epochs=True, **settings)
    rates(lengths=["train"], equal_epochs=True, **settings)


@pytest.mark.parametrize("decay_points", [(8,), (4, 8), (4, 100)])
def test_a_decay_point_beyond_the_end_raises(decay_points):
    shown = ",".join(map(str, decay_points))
    with pytest.raises(ValueError, match=rf"below 8, .*--decay_points={shown}\."):
        rates(schedule="step", decay_points=decay_points)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_decay_points_count_only_with_step(schedule):
    rates(schedule=schedule, decay_points=(100,))


def test_warmup_belongs_to_the_last_phase():
    found = rates(schedule="constant", warmup_epochs=0.4)
    expected = np.full(80, 0.1)
    expected[:4] *= np.array([0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found["train"], expected, rtol=1e-6)
    np.testing.assert_array_equal(found["init"], np.full(30, 0.1, np.float32))


def test_the_initialising_phase_may_have_a_rate_of_its_own():
    found = rates(init_learning_rate=0.3, schedule="constant")
    np.testing.assert_array_equal(found["init"], np.full(30, 0.3, np.float32))
    np.testing.assert_array_equal(found["train"], np.full(80, 0.1, np.float32))


def test_a_recipe_cannot_be_changed():
    made = recipe_of(Options(), data(5), student())
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.momentum = 0.5


def test_recipe():
    settings = Options(**SETTINGS)
    recipe = recipe_of(settings, data(11), student(), (phase(),))
    np.testing.assert_allclose(recipe.class_weights, [2 / 3, 2])
    assert {name: len(rates) for name, rates in recipe.rates.items()} == {
        "init": 20 * 11,
        "train": 50 * 11,
    }
    assert (recipe.steps_per_epoch, recipe.mean, recipe.std) == (11, (0.5,), (0.25,))
    same = SETTINGS.keys() & {field.name for field in dataclasses.fields(recipe)}
    assert len(same) == 10
    for name in same:
        assert getattr(recipe, name) == getattr(settings, name), name


def test_classes_are_weighed_only_if_asked_for_and_only_in_a_label_loss():
    assert recipe_of(Options(), data(1), student(), (phase(),)).class_weights is None
    weighed = Options(class_weight="balanced", task_weight=0.0)
    with pytest.raises(ValueError, match=r"--class_weight=balanced with task_weight=0"):
        recipe_of(weighed, data(1), student(), (phase(), phase(0.0)))
    recipe = recipe_of(weighed, data(1), student(), (phase(0.0), phase(0.5)))
    assert recipe.class_weights is not None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_only_a_student_in_float16_has_its_loss_scaled(dtype):
    recipe = recipe_of(Options(), data(1), student(dtype))
    assert recipe.scale_loss == (dtype == "float16")
