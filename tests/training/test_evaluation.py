import types

import numpy as np
import pytest
import tensorflow as tf

import dataloader
from tests.training import tiny
from training import evaluation
from training.evaluation import Evaluator

MEAN, STD = (0.4,), (0.2,)


def make_split(size, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (size, *tiny.IMAGE_SHAPE), np.uint8)
    return dataloader.Split(images, rng.integers(0, 3, size).astype(np.int32))


SPLITS = {"validation": make_split(7), "test": make_split(450, 1)}


def numpy_logits(net, split):
    pixels = (split.images / 255.0 - MEAN[0]) / STD[0]
    return pixels.reshape(len(split.labels), -1) @ net.get_weights()[0]


@pytest.fixture
def evaluator():
    return Evaluator(SPLITS, dataloader.eval_batches, MEAN, STD)


@pytest.mark.parametrize("name", SPLITS)
def test_logits_are_those_of_all_images_in_order(evaluator, name):
    net = tiny.Linear()
    found = evaluator.logits(net, name)
    assert found.dtype == np.float32
    assert found.shape == (len(SPLITS[name].labels), tiny.NUM_CLASSES)
    np.testing.assert_allclose(
        found, numpy_logits(net, SPLITS[name]), rtol=1e-4, atol=1e-5
    )


def test_logits_of_a_split_that_is_none_of_its_own(evaluator):
    net, split = tiny.Linear(), make_split(201, 5)
    found = evaluator.logits_of(net, split)
    np.testing.assert_allclose(found, numpy_logits(net, split), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(
        evaluator.logits_of(net, SPLITS["test"]), evaluator.logits(net)
    )


def test_accuracies_of_every_split(evaluator):
    net = tiny.Linear()
    expected = {
        f"{name}_accuracy": np.mean(numpy_logits(net, split).argmax(1) == split.labels)
        for name, split in SPLITS.items()
    }
    found = evaluator.accuracies(net)
    assert found == expected
    assert {type(value) for value in found.values()} == {float}, "for JSON and CSV"


def test_evaluating_changes_nothing_and_sees_changes(evaluator):
    net = tiny.Net()
    before = tiny.values(net.variables)
    first = evaluator.logits(net)
    tiny.assert_equal(tiny.values(net.variables), before)
    net.norm.moving_mean.assign(tf.ones([6]))
    assert not np.array_equal(evaluator.logits(net), first)


def test_every_net_is_compiled_once(evaluator):
    traces = []

    class Counting(tiny.Linear):
        def call(self, images, training=False, with_taps=False):
            traces.append(images.shape[0])
            return super().call(images, training, with_taps)

    nets = Counting(0), Counting(1)
    del traces[:]
    for net in nets * 2:
        evaluator.accuracies(net)
        evaluator.logits_of(net, make_split(3))
    assert traces == [evaluation.BATCH_SIZE] * 2


def test_logits_are_float32_under_mixed_precision(evaluator):
    assert evaluator.logits(tiny.Net(dtype="mixed_bfloat16")).dtype == np.float32


def test_speed_is_the_median_of_some_runs(evaluator, monkeypatch):
    times = iter([0.0, 1.0, 10.0, 12.0, 20.0, 29.0])
    monkeypatch.setattr(
        evaluation, "time", types.SimpleNamespace(perf_counter=lambda: next(times))
    )
    assert evaluator.images_per_second(tiny.Linear(), repeats=3) == 450 / 2
