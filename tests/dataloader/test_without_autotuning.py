import numpy as np
import pytest
import tensorflow as tf

import dataloader
from dataloader import fetching
from dataloader.encoded import ImageFiles
from dataloader.without_autotuning import without_autotuning
from keras_fit import data as fit_data


@pytest.fixture(scope="module")
def data():
    return dataloader.prepare("digits", batch_size=32)


def of_fit(data):
    split = data.dataset.test
    return fit_data.batches_of(split.images, split.labels, 32, shuffle=True, seed=0)


def decoded(data):
    return fetching.decoded(ImageFiles(np.array([b"0.png"]), (8, 8, 3)))


@pytest.mark.parametrize(
    "pipeline",
    [
        lambda data: data.batches(0, 1, 0),
        lambda data: data.version(0),
        lambda data: dataloader.eval_batches(data.dataset.test, 32),
        of_fit,
        decoded,
    ],
    ids=["train", "version", "eval", "fit", "decoded"],
)
def test_no_pipeline_waits_for_a_tuning_thread(pipeline, data):
    assert pipeline(data).options().autotune.enabled is False


def test_other_options_stay():
    options = tf.data.Options()
    options.deterministic = False
    dataset = tf.data.Dataset.range(50).with_options(options)
    assert without_autotuning(dataset).options().deterministic is False


def test_the_elements_stay():
    dataset = tf.data.Dataset.range(50).map(lambda x: x * 2, **fetching.PARALLEL)
    found = without_autotuning(dataset).as_numpy_iterator()
    assert list(found) == list(range(0, 100, 2))
