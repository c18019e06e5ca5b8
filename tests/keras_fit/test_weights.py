"""Weights of images and classes, and other habits of Keras' users, in `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distiller import DistillationModel
from op_utils import class_weights
from tests.keras_fit.fitted import IMAGES, LABELS, fit, model, plain

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
WEIGHTS = np.linspace(0.0, 2.0, 20)
CLASSES = {0: 3.0, 2: 0.5}


def as_weighted(images, labels, weights):
    """A dataset of dicts."""
    data = {"image": images, "label": labels, "sample_weight": weights}
    return tf.data.Dataset.from_tensor_slices(data).batch(5, drop_remainder=True)


@pytest.mark.parametrize("loss", [pytest.param(None, marks=pytest.mark.slow), LOSS])
def test_weights_do_what_they_do_in_keras(loss):
    """The same steps as Keras' own fit, and the same evaluation.

    Keras takes those of classes or those of images: both are their product.
    """
    weights = theirs = {"class_weight": CLASSES}
    if loss is None:
        weights = weights | {"sample_weight": WEIGHTS}
        product = WEIGHTS * [CLASSES.get(label, 1.0) for label in LABELS.tolist()]
        theirs = {"sample_weight": product}
    metrics = {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}
    data = {"batch_size": 5, "shuffle": False, "verbose": 0, "epochs": 2}
    expected = plain()
    expected.compile(keras.optimizers.SGD(0.5), LOSS, **metrics)
    expected_history = expected.fit(IMAGES, LABELS, **data, **theirs).history
    made = model("none", keras.optimizers.SGD(0.5), loss=loss, **metrics)
    history = made.fit(IMAGES, LABELS, **data, **weights).history
    for a, b in zip(made.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    for name in ("loss", "accuracy", "weighted_accuracy"):
        np.testing.assert_allclose(history[name], expected_history[name], rtol=1e-3)
    given = {"sample_weight": WEIGHTS, "batch_size": 16, "verbose": 0}
    found = made.evaluate(IMAGES, LABELS, return_dict=True, **given)
    whole = expected.evaluate(IMAGES, LABELS, return_dict=True, **given)
    for name in ("loss", "accuracy", "weighted_accuracy"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-3)


def test_weights_of_images_come_with_arrays_and_with_batches():
    """And weigh the method's term, too; those of classes weigh the label loss alone."""
    options = {"optimizer": keras.optimizers.SGD(0.0), "task_weight": 1.0}

    def losses(**data):
        found = fit(model("KD", **options), shuffle=False, **data).history
        return np.array([found[f"loss/{name}"][0] for name in ("kl", "task")])

    plain_losses, twos = losses(), np.full(20, 2.0)
    weighed = losses(class_weight=dict.fromkeys(range(3), 2.0))
    np.testing.assert_allclose(weighed, plain_losses * [1, 2], rtol=1e-5)
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, twos)).batch(5, True)
    for data in (
        {"sample_weight": twos},
        {"x": pairs, "y": None, "batch_size": None},
        {"x": as_weighted(IMAGES, LABELS, twos), "y": None, "batch_size": 5},
    ):
        np.testing.assert_allclose(losses(**data), 2 * plain_losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("SP", {"sample_weight": WEIGHTS}, "no weight for each image.*for sp"),
        ("KD+SP", {"sample_weight": WEIGHTS}, "no weight for each image"),
        ("KD", {"sample_weight": WEIGHTS[:19]}, r"each of 20 images.*float64 \(19,\)"),
        ("KD", {"sample_weight": -WEIGHTS}, "of other numbers"),
        ("KD", {"sample_weight": np.ones((20, 3))}, r"float64 \(20, 3\)"),
        ("KD", {"class_weight": {3: 1.0}}, r"from 0 to 2.*class_weight=\{3: 1.0\}"),
        ("KD", {"class_weight": "even"}, "Received: class_weight='even'"),
        (
            "none",
            {"initial_epoch": 3},
            "HOW_MANY_MORE. Received: initial_epoch=3",
        ),
        (
            "none",
            {"validation_split": 1.0},
            "0 and below 1.*validation_split=1.0",
        ),
        ("none", {"batch_size": 0}, "Received: batch_size=0"),
        ("none", {"x": [], "y": []}, "no images with their labels"),
    ],
)
def test_what_has_no_meaning_raises(method, given, words):
    with pytest.raises(ValueError, match=words):
        fit(model(method), **given)


def test_a_dataset_has_its_labels_weights_and_batches():
    batches, made = as_weighted(IMAGES, LABELS, WEIGHTS), model("SP")
    with pytest.raises(ValueError, match="Dataset with y and sample_weight"):
        fit(made, x=batches, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match="None, or 5. Received: batch_size=7"):
        fit(made, x=batches, y=None, batch_size=7)
    with pytest.raises(ValueError, match="sample_weight for sp"):
        fit(made, x=batches, y=None)
    broad = as_weighted(IMAGES, LABELS, np.ones((20, 2)))
    with pytest.raises(ValueError, match=r"one weight each.*float64 \(5, 2\)"):
        fit(made, x=broad, y=None)


def test_weights_of_classes_need_a_label_loss():
    made = model("KD", task_weight=0.0)
    with pytest.raises(ValueError, match="label loss alone.*={0: 2.0} with"):
        fit(made, class_weight={0: 2.0})
    fit(made, sample_weight=WEIGHTS)  # which weigh the method's term


def test_weights_need_the_loss_of_each_image():
    scalar = model("none", loss=lambda labels, logits: LOSS(labels, logits))
    fit(scalar)
    with pytest.raises(ValueError, match="the loss of each image"):
        fit(scalar, sample_weight=WEIGHTS)
    each = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    ones = {"sample_weight": np.ones(20), "shuffle": False}
    found = fit(model("none", loss=lambda y, z: each(y, z)), **ones).history["loss"]
    expected = fit(model("none"), shuffle=False).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_keras_habits():
    """Lists, the last images for validation, and the order of arguments."""
    made = model("none", metrics=["accuracy"])
    found = made.fit(IMAGES.tolist(), LABELS.tolist(), 5, 2, validation_split=0.25)
    assert made.data.num_examples == 15 and made.data.batch_size == 5
    np.testing.assert_array_equal(made.data.labels, LABELS[:15])
    assert found.epoch == [0, 1]
    last = made.evaluate(IMAGES[15:], LABELS[15:], verbose=0)
    np.testing.assert_allclose(found.history["val_loss"][-1], last[0], rtol=1e-5)
    many = model("none")
    images, labels = np.tile(IMAGES, (2, 1, 1, 1)), np.tile(LABELS, 2)
    many.fit(images, labels, class_weight="balanced", verbose=0)
    expected = class_weights.balanced(labels, 3)
    np.testing.assert_array_equal(many.class_weights, expected)
    assert many.data.batch_size == 32


def test_a_second_fit_counts_and_checks_its_own_labels():
    made, rare = model("none"), np.repeat([0, 1, 2], [14, 4, 2])
    fit(made, class_weight="balanced")
    fit(made, y=rare, class_weight="balanced")
    np.testing.assert_array_equal(made.class_weights, class_weights.balanced(rare, 3))
    with pytest.raises(ValueError, match="do not fit the student.*from 0 to 3"):
        fit(made, y=np.arange(20) % 4)


def test_what_comes_before_compile_or_fit_is_one_line():
    with pytest.raises(ValueError, match="call `compile"):
        fit(DistillationModel(plain(), None, "none"))
    made = model("none")
    with pytest.raises(ValueError, match="Received: train_on_batch before fit"):
        made.train_on_batch(IMAGES[:5], LABELS[:5])
    fit(made)
    assert np.isfinite(made.train_on_batch(IMAGES[:5], LABELS[:5])).all()
