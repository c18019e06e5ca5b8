import pathlib
import random
import types

import numpy as np
import pytest
import tensorflow as tf

import dataloader
from options.settings import Options
from tests.training import tiny
from training import teacher_check
from training.checkpoint import Checkpoints
from training.evaluation import Evaluator

GIVEN = Options(teacher="", teacher_checkpoint="a.keras")
NEW = types.SimpleNamespace(checkpoints=Checkpoints(pathlib.Path("nowhere")))


def split(labels):
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return dataloader.Split(images, np.asarray(labels, np.int32))


def data(train, validation=()):
    """Without a data set, so that nobody can look at its test split."""
    return types.SimpleNamespace(train=split(train), validation=split(validation))


def knows(right):
    """An evaluator of a teacher of two classes; `right` of its answers are."""

    def logits_of(net, of_split):
        answers = np.where(np.arange(len(of_split)) < right, 0, 1) ^ of_split.labels
        return np.eye(2, dtype=np.float32)[answers]

    return types.SimpleNamespace(logits_of=logits_of)


def told(evaluator, of_data, settings=GIVEN, folder=NEW, teacher="a net"):
    lines = []
    teacher_check.before_training(
        settings, folder, teacher, evaluator, of_data, lines.append
    )
    return lines


def test_two_classes_in_the_other_order():
    """A teacher that would be right in 80 % of the images is in 20 %."""
    line, warning = told(knows(20), data(np.arange(100) % 2))
    assert line == (
        "teacher: 20.00 % right on 100 training images (the commonest class is 50.00 % "
        "of them)"
    )
    assert warning.startswith("warning: the teacher is no better than")
    assert "order" in warning and "--teacher_scaling" in warning
    assert "\n" not in warning
    (line,) = told(knows(80), data(np.arange(100) % 2))
    assert line.startswith("teacher: 80.00 % right")


def test_on_the_validation_split_if_there_is_one():
    (line,) = told(knows(30), data([0] * 100, validation=[0, 1, 1] * 10))
    assert "100.00 % right on 30 validation images (the commonest class is 66.67" in (
        line
    )


def test_once_for_a_given_teacher(tmp_path):
    some, of_data = knows(9), data([0, 1] * 5)
    assert told(some, of_data)
    assert not told(some, of_data, teacher=None)
    assert not told(some, of_data, Options())  # is trained first
    begun = types.SimpleNamespace(checkpoints=Checkpoints(tmp_path))
    assert not told(some, of_data, folder=begun)
    weights = Options(teacher="keras.applications.VGG16", teacher_weights="imagenet")
    assert told(some, of_data, weights)


def test_large_data_are_looked_at_in_part(monkeypatch):
    monkeypatch.setattr(teacher_check, "LARGEST", 10)
    (line,) = told(knows(10), data(np.arange(1000) % 2))
    # Not at every hundredth image, all of which are of class 0.
    assert "10 training images (the commonest class is 50.00 %" in line


def test_spread_keeps_each_classes_share():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [600, 300, 100]))
    found = teacher_check.spread(labels, 50)
    assert np.bincount(labels[found]).tolist() == [30, 15, 5]
    assert np.all(np.diff(found) > 0) and len(found) == 50
    assert found[-1] > 900 and found[0] < 100
    np.testing.assert_array_equal(teacher_check.spread(labels, 1000), np.arange(1000))


@pytest.mark.parametrize(
    ("accuracy", "commonest", "count", "is_a_guess"),
    [
        (0.2, 0.5, 2000, True),
        (0.5, 0.5, 2000, True),
        (0.52, 0.5, 2000, True),  # two standard deviations are 2.2 points
        (0.53, 0.5, 2000, False),
        (0.113, 0.1, 2000, True),
        (0.115, 0.1, 2000, False),
        (0.95, 0.96, 2000, True),
        (1.0, 0.5, 4, False),  # as good as can be
        (0.75, 0.5, 4, True),
        (0.0, 0.01, 2000, True),
    ],
)
def test_a_guess(accuracy, commonest, count, is_a_guess):
    assert teacher_check.is_a_guess(accuracy, commonest, count) == is_a_guess


def test_a_teacher_without_an_answer_is_warned_of():
    def nan(net, of_split):
        return np.full([len(of_split), 2], np.nan, np.float32)

    line, _ = told(types.SimpleNamespace(logits_of=nan), data([0, 1] * 50))
    assert line.startswith("teacher: 0.00 % right")


def test_no_random_number_is_drawn():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, *tiny.IMAGE_SHAPE), np.uint8)
    some = dataloader.Split(images, np.arange(30, dtype=np.int32) % 3)
    of_data = types.SimpleNamespace(train=some, validation=some.take(np.arange(0)))
    evaluator = Evaluator({}, dataloader.eval_batches, (0.5,), (0.25,))
    net, drawn = tiny.Net(), []
    before = tiny.values(net.variables)
    for asks in (True, False):
        random.seed(1)
        np.random.seed(1)
        tf.random.set_seed(1)
        if asks:
            assert told(evaluator, of_data, teacher=net)
        drawn.append((random.random(), np.random.rand(), float(tf.random.uniform([]))))
    assert drawn[0] == drawn[1]
    tiny.assert_equal(tiny.values(net.variables), before)
