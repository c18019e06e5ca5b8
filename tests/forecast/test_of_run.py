"""A few real steps tell how long a run takes, and leave nothing behind."""

import dataclasses
import time
import types

import numpy as np
import pytest
import tensorflow as tf

import dataloader
import fakes
from common.errors import NonFiniteLoss
from common.interruption import Interrupted
from forecast import of_run as forecast
from teacher_cache import plan as cache_plan
from tests.teacher_cache import cached_runs
from training.checkpoint import Checkpoints
from training.evaluation import Evaluator
from training.observers.observer import Observer
from training.trainer import Trainer

SLEEP = 0.02


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(forecast, "_BLOCK_SECONDS", 0.1)


class Slow:
    """Data whose batches take a known time each."""

    def __init__(self, data):
        self._data, self.given = data, 0

    def __getattr__(self, name):
        return getattr(self._data, name)

    def batches(self, *position):
        def wait(index):
            self.given += 1
            time.sleep(SLEEP)
            return index

        def slow(batch):
            index = tf.numpy_function(wait, [batch["index"]], tf.int32)
            return {**batch, "index": tf.ensure_shape(index, batch["index"].shape)}

        options = tf.data.Options()
        options.autotune.enabled = False
        return self._data.batches(*position).map(slow).with_options(options)


def parts(folder, name="FitNet", epochs=40, data=None, recipe=None, **changes):
    data = data or cached_runs.data()
    settings = cached_runs.settings(folder / "cache", name, **changes)
    student, teacher = fakes.Net(seed=1), cached_runs.teacher()
    method = cached_runs.method(name, data, student, teacher)
    scale = cached_runs.MEAN, cached_runs.STD
    return {
        "student": student,
        "teacher": teacher,
        "method": method,
        "recipe": recipe or cached_runs.recipe(data, epochs, init_epochs=20),
        "data": data,
        "evaluator": Evaluator(data.splits, dataloader.eval_batches, *scale),
        "checkpoints": Checkpoints(folder / "checkpoints"),
        "plan": cache_plan.plan(settings, data, method, student, teacher),
        "settings": settings,
    }


def test_steps_of_each_phase_are_measured_on_the_runs_own_batches(tmp_path):
    data = Slow(cached_runs.data())
    one = parts(tmp_path, epochs=10, data=data, teacher_cache=False)
    found = forecast.measure(**one)
    assert [(p.name, p.length, p.steps) for p in found.phases] == [
        ("hint", "init", 20 * 5),
        ("distill", "train", 10 * 5),
    ]
    assert data.given < 100  # nothing like all of them
    for phase in found.phases:
        assert SLEEP < phase.step_seconds < 4 * SLEEP
        assert phase.start_seconds > 2 * phase.step_seconds  # it compiles
    assert found.training_seconds > 150 * SLEEP
    assert found.cache is None
    assert not list(tmp_path.iterdir())


def test_a_short_run_is_not_measured_beyond_its_end(tmp_path):
    recipe = cached_runs.recipe(cached_runs.data(), 7)
    rates = {name: rates[: 7 * 5] for name, rates in recipe.rates.items()}
    recipe = dataclasses.replace(recipe, rates=rates, evaluate_every=3)
    one = parts(tmp_path, "Soft_logits", recipe=recipe, teacher_cache=False)
    found = forecast.measure(**one)
    assert [p.steps for p in found.phases] == [35]
    assert found.evaluations == 3  # after epochs 3, 6 and 7
    assert found.evaluating_seconds > 3 * found.evaluation_seconds > 0


def test_what_is_left_of_a_run_that_was_stopped(tmp_path):
    one = parts(tmp_path, name="Soft_logits", epochs=6, teacher_cache=False)
    recipe = dataclasses.replace(one["recipe"], checkpoint_every=1, evaluate_every=1)

    class Stop(Observer):
        def stepped(self, moment):
            if moment.step == 12:
                raise Interrupted(15)

    trainer = Trainer(
        **{name: one[name] for name in ("student", "teacher", "method", "checkpoints")},
        recipe=recipe,
        batches=one["data"].batches,
        evaluate=lambda *_: {},
        observers=[Stop()],
    )
    with pytest.raises(Interrupted):
        trainer.run()
    before = files(tmp_path)
    fresh = parts(tmp_path, name="Soft_logits", recipe=recipe, teacher_cache=False)
    found = forecast.measure(**fresh)
    assert [p.steps for p in found.phases] == [30 - 11]  # step 12 was not saved
    assert found.evaluations == 6 - 2
    assert files(tmp_path) == before
    assert found.disk > sum(map(len, before.values()))


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_the_cache_is_told_and_not_filled(tmp_path):
    one = parts(tmp_path, name="Soft_logits")
    asked = count_teacher(one)
    found = forecast.measure(**one)
    # Two versions of 42 images; the logits and the embedding of 64.
    whole = 2 * 42 * 4 * (fakes.NUM_CLASSES + 64)
    assert found.cache.needed == found.cache.total == whole
    assert found.cache.free > 0 and found.cache.seconds > 0
    assert not list(tmp_path.iterdir())
    assert not asked["in steps"]
    cached_runs.Run(one["settings"], one["data"], tmp_path / "checkpoints")()
    before = files(tmp_path)
    again = parts(tmp_path, name="Soft_logits", epochs=2)
    again["checkpoints"] = None
    found = forecast.measure(**again)
    assert (found.cache.needed, found.cache.seconds) == (0, 0.0)
    assert found.cache.total == whole
    assert files(tmp_path) == before


def count_teacher(one):
    """Whether the teacher is asked in a traced step: where the student is, too."""
    asked = {"in steps": False}
    forward = type(one["method"]).teacher_forward

    def counted(self, *arguments):
        asked["in steps"] = True
        return forward(self, *arguments)

    one["method"].teacher_forward = types.MethodType(counted, one["method"])
    return asked


def test_a_run_that_diverges_at_once_is_told(tmp_path):
    recipe = cached_runs.recipe(cached_runs.data(), 3)
    rates = {name: np.full_like(x, np.inf) for name, x in recipe.rates.items()}
    recipe = dataclasses.replace(recipe, rates=rates)
    with pytest.raises(NonFiniteLoss):
        forecast.measure(
            **parts(tmp_path, "Soft_logits", recipe=recipe, teacher_cache=False)
        )


def test_the_peak_of_memory_is_the_process_own():
    block = np.ones(64 << 20, np.uint8)
    assert block.nbytes < forecast.peak_memory()["memory"] < 1 << 40
