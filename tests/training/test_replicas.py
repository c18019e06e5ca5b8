"""More than one replica is refused, where a strategy would add up their updates."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from distiller import DistillationModel
from tests.training import tiny
from tests.training.test_step import RATE, make

ROOT = pathlib.Path(__file__).parents[2]
ONE = r"one replica.*num_replicas_in_sync=1,.*Received: MirroredStrategy with .*=2\."
IMAGES = np.random.default_rng(0).random((12, 4, 4, 1)).astype(np.float32)
LABELS = np.arange(12) % 3


@pytest.fixture
def two():
    """A strategy that nothing is computed by: a test process has one CPU."""
    return tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])


def model(seed=1, method="Soft_logits"):
    return DistillationModel(net(seed), net(seed + 1), method)


def net(seed):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Conv2D(2, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


def fit(found, **options):
    found.fit(IMAGES, LABELS, batch_size=4, verbose=0, **options)
    return tiny.values(found.student.variables)


def test_a_step_is_neither_made_nor_called_by_two(two):
    step = make(tiny.Method(), tiny.Linear(), graph=False)
    before = tiny.values(step.student.variables)
    with two.scope():
        with pytest.raises(ValueError, match="Step trains on " + ONE):
            make(tiny.Method(), step.student)
        with pytest.raises(ValueError, match="Step trains on " + ONE):
            step(tiny.batch(), tf.constant(RATE))
        with pytest.raises(ValueError, match="Step trains on " + ONE):
            tf.function(step)(tiny.batch(), tf.constant(RATE))
    tiny.assert_equal(tiny.values(step.student.variables), before)


def test_a_model_is_neither_compiled_nor_fitted_by_two(two):
    found = model()
    with two.scope():
        with pytest.raises(
            ValueError, match="DistillationModel.compile trains.*" + ONE
        ):
            found.compile("sgd")
    found.compile("sgd")
    with two.scope(), pytest.raises(ValueError, match="DistillationModel.fit.*" + ONE):
        fit(found)


def test_a_model_made_in_the_scope_is_refused_outside_of_it(two):
    with two.scope():
        found = keras.Model()
    assert found.distribute_strategy is two
    other = model()
    other._distribute_strategy = found._distribute_strategy  # where Keras keeps it
    with pytest.raises(ValueError, match="DistillationModel.compile trains.*" + ONE):
        other.compile("sgd")


def test_one_replica_trains_as_none():
    with tf.distribute.OneDeviceStrategy("cpu:0").scope():
        found = model(method="VID+Soft_logits")
        found.compile("sgd", metrics=["accuracy"])
        ended = fit(found, validation_data=(IMAGES, LABELS))
    expected = model(method="VID+Soft_logits")
    expected.compile("sgd", metrics=["accuracy"])
    tiny.assert_equal(ended, fit(expected, validation_data=(IMAGES, LABELS)))


REAL = """
import common.before_tensorflow
import tensorflow as tf

[cpu] = tf.config.list_physical_devices("CPU")
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, halves)

from tests.training import test_replicas as lib
from tests.training.test_step import make
from tests.training import tiny

two = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
with two.scope():
    student, teacher, model = lib.net(1), lib.net(2), lib.model()
    of_step, own = tiny.Linear(), tf.Variable(1.0)
outside = make(tiny.Method(), tiny.Linear(), graph=False)
batch = tiny.batch()
attempts = {
    "run": lambda: two.run(outside, (batch, tf.constant(0.1))),
    "run in a graph": lambda: tf.function(two.run)(outside, (batch, tf.constant(0.1))),
    "student": lambda: make(tiny.Method(), of_step),
    "own": lambda: make(tiny.Method(own=(own,)), tiny.Linear()),
    "model": lambda: model.compile("sgd"),
    "student of a model": lambda: lib.DistillationModel(
        student, lib.net(2), "Soft_logits"
    ).compile("sgd"),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except ValueError as error:
        assert "trains on one replica" in str(error), error
    else:
        raise AssertionError(f"{name} was not refused")
# A teacher that does not learn is read, not updated.
of_teacher = lib.DistillationModel(lib.net(1), teacher, "Soft_logits")
of_teacher.compile("sgd")
plain = lib.model()
plain.compile("sgd")
tiny.assert_equal(lib.fit(of_teacher), lib.fit(plain))
print("all refused")
"""


@pytest.mark.slow
def test_two_real_replicas_are_refused():
    done = subprocess.run(
        [sys.executable, "-c", REAL],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("all refused\n"), done.stderr
