import dataclasses
import types

import numpy as np
import pytest

from options.options import Options
from tests.options.settings import student
from training import recipe


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
    made = Options().recipe(5, student())
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.momentum = 0.5
