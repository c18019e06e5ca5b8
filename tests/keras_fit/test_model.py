"""`fit` trains as the command line does, and as a Keras model is expected to."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import commands
import dataloader
import nets
from keras_fit import data as fit_data
from keras_fit import options as fit_options
from keras_fit.model import DistillationModel
from training import schedule

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
LABELS = np.arange(20, dtype=np.int32) % 3


def small(seed):
    return nets.build("resnet8", 3, (8, 8, 3), seed=seed)


def plain(activation=None, size=8, seed=1):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation=activation),
    ]
    return keras.Sequential([keras.Input((size, size, 3)), *layers])


@keras.saving.register_keras_serializable()
class Table(keras.optimizers.schedules.LearningRateSchedule):
    """The rates of the trainer, step by step."""

    def __init__(self, rates):
        self.rates = list(map(float, rates))

    def __call__(self, step):
        return tf.gather(tf.constant(self.rates, tf.float32), tf.cast(step, tf.int32))

    def get_config(self):
        return {"rates": self.rates}


@pytest.mark.parametrize(
    "method", ["VID", pytest.param("Soft_logits", marks=pytest.mark.slow)]
)
def test_fit_and_the_command_line_give_the_same_bits(method, teacher, tmp_path):
    flags = {
        "data_fraction": 0.25,
        "student": "resnet8",
        "batch_size": 32,
        "seed": 3,
        "epochs": 2,
        "learning_rate": 0.05,
        "weight_decay": 5e-4,
        "distiller": method,
        "teacher_checkpoint": teacher,
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    done = commands.run(
        "train_w_distill.py", *arguments, "--train_dir=run", cwd=tmp_path
    )
    assert done.code == 0, done.err
    expected = nets.load(tmp_path / "run/student.keras")

    data = dataloader.prepare("digits", fraction=0.25, batch_size=32)
    given = nets.load(teacher)
    scale = {"mean": given.mean, "std": given.std}
    shape = data.dataset.input_shape
    student = nets.build("resnet8", data.dataset.num_classes, shape, seed=3, **scale)
    model = DistillationModel(student, given, method, seed=3)
    rates = Table(schedule.cosine(0.05, 2 * data.steps_per_epoch))
    model.compile(keras.optimizers.SGD(rates, momentum=0.9), l2=5e-4)
    steps = data.steps_per_epoch
    model.fit(data.batches(0, 2, 0), epochs=2, steps_per_epoch=steps, verbose=0)
    for a, b in zip(student.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_phases_are_fitted_one_after_the_other():
    student, teacher = plain(), plain(seed=2)
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append((model.phase, epoch))
    )
    model = DistillationModel(
        student, teacher, "FitNet", hparams=("weight=2", "taps=last_stage")
    )
    model.compile("sgd", metrics=["accuracy"])
    histories = model.fit(
        IMAGES, LABELS, batch_size=5, epochs=2, callbacks=[callback], verbose=0
    )
    assert seen == [("hint", 0), ("distill", 0), ("distill", 1)]
    assert list(histories) == ["hint", "distill"]
    assert histories["hint"].history.keys() >= {"loss", "loss/hint"}
    assert histories["distill"].history.keys() >= {"accuracy", "loss/kl", "loss/task"}
    assert model.method.weight == 2.0


def test_it_evaluates_and_predicts_as_its_student():
    student = small(1)
    model = DistillationModel(student, None, "none")
    model.compile("sgd", metrics=["accuracy"])
    model.fit(IMAGES, LABELS, batch_size=5, verbose=0, validation_data=(IMAGES, LABELS))
    logits = student(student.normalise(IMAGES)).numpy()
    np.testing.assert_allclose(
        model.predict(IMAGES, verbose=0), logits, rtol=1e-4, atol=1e-5
    )
    found = model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    both = [found["loss"], found["accuracy"]]
    assert model.evaluate(IMAGES, LABELS, verbose=0) == both
    log_p = tf.nn.log_softmax(logits).numpy()
    picked = -log_p[np.arange(20), LABELS].mean()
    np.testing.assert_allclose(found["loss"], picked, rtol=1e-4)
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == LABELS))


def test_another_loss_and_the_teacher_count():
    """The method's term is there, weighted, beside the loss that is compiled."""
    model = DistillationModel(plain(), plain(seed=2), "KD")
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss=lambda y, z: 3.0 * keras_loss(y, z), task_weight=1.0)
    one = model.fit(IMAGES[:5], LABELS[:5], batch_size=5, verbose=0)["distill"].history
    without = DistillationModel(plain(), plain(seed=2), "KD")
    without.compile("sgd", task_weight=1.0)
    two = without.fit(IMAGES[:5], LABELS[:5], batch_size=5, verbose=0)[
        "distill"
    ].history
    np.testing.assert_allclose(one["loss/task"], 3 * two["loss/task"][0], rtol=1e-5)
    assert one["loss/kl"][0] > 0


def test_loss_over_batches_of_unequal_size():
    model = DistillationModel(plain(), None, "none")
    model.compile("sgd")
    whole, parts = (
        model.evaluate(IMAGES, LABELS, batch_size=n, verbose=0) for n in (20, 16)
    )
    assert parts == pytest.approx(whole, rel=1e-5)


def test_keras_models_get_what_fit_gets(tmp_path):
    """Pixels as they are, a teacher of another size, and a file for Keras alone."""
    student, teacher = plain(), plain("softmax", size=4)
    model = DistillationModel(student, teacher, "KD")
    flat = np.repeat(np.arange(0, 200, 10, np.uint8), 192).reshape(20, 8, 8, 3)
    expected = student(IMAGES.astype(np.float32)).numpy()
    assert np.abs(expected).max() > 0.01
    for images in (IMAGES, IMAGES.astype(np.float64)):
        np.testing.assert_allclose(
            model.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-5
        )
    seen = model.teacher(flat.astype(np.float32))
    shown = teacher(flat[:, :4, :4].astype(np.float32))
    np.testing.assert_allclose(keras.ops.softmax(seen), shown, atol=1e-5)
    model.compile("adam", metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "b.weights.h5", save_weights_only=1),
        keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=99.0),
        keras.callbacks.EarlyStopping(patience=2, min_delta=99.0),
    ]
    given = {"validation_data": (flat, LABELS), "callbacks": callbacks, "verbose": 0}
    history = model.fit(flat, LABELS, batch_size=5, epochs=9, **given)["distill"]
    assert len(history.epoch) == 3  # stopped
    assert history.history["learning_rate"][-1] < history.history["learning_rate"][0]
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert type(best) is keras.Sequential
    student.set_weights([w * 0 for w in student.get_weights()])
    model.load_weights(tmp_path / "b.weights.h5")
    np.testing.assert_allclose(student(flat), best(flat), rtol=1e-2, atol=1e-2)
    assert np.any(student(flat))


def test_one_net_with_a_scale_of_pixels_and_one_without_raise():
    with pytest.raises(ValueError, match=r"student=nets\.wrap.*: student=Sequential"):
        DistillationModel(plain(), small(1), "KD")
    wrapped = nets.wrap(plain(), scaling="pixels")
    with pytest.raises(ValueError, match=r"teacher=nets\.wrap.*: teacher=Sequential"):
        DistillationModel(wrapped, plain(), "KD")
    model = DistillationModel(wrapped, small(1), "KD")
    expected = wrapped.model(IMAGES.astype(np.float32))
    np.testing.assert_allclose(model(IMAGES), expected, atol=1e-5)


def half():
    """A student that computes in float16."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return DistillationModel(plain(), None, "none")
    finally:
        keras.config.set_dtype_policy("float32")


def test_half_precision_scales_the_loss():
    model = half()
    model.compile("sgd")
    model.fit(IMAGES, LABELS, batch_size=5, verbose=0)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.evaluate(IMAGES, LABELS, verbose=0) > 0


def test_steps_that_the_loss_scale_skips_are_counted():
    """A scale that is too large is halved until the gradients are finite in float16."""
    model, sgd = half(), keras.optimizers.SGD(0.01)
    model.compile(keras.optimizers.LossScaleOptimizer(sgd, initial_scale=2.0**20))
    found = model.fit(IMAGES, LABELS, batch_size=5, epochs=3, verbose=0)["train"]
    skipped = 20 - np.log2(float(model.optimizer.dynamic_scale))
    assert sum(found.history["skipped_steps"]) == skipped > 0
    assert found.history["skipped_steps"][-1] == 0
    assert np.isfinite(found.history["gradient_norm"]).all()
    # The last step of an epoch is taken, so there is a norm of each.
    assert min(found.history["gradient_norm"]) > 0


def test_without_scaling_no_step_is_skipped():
    model = DistillationModel(plain(), None, "none")
    model.compile("sgd")
    found = model.fit(IMAGES, LABELS, batch_size=5, verbose=0)["train"].history
    assert found.keys() == {"accuracy", "gradient_norm", "loss", "loss/task"}


def test_fit_again_goes_on_and_takes_no_other_data():
    model = DistillationModel(plain(), plain(), "DML")
    model.compile("sgd")
    assert np.isfinite(model.evaluate(IMAGES, LABELS, verbose=0))
    first = model.fit(IMAGES, LABELS, batch_size=5, verbose=0)["distill"].history
    again = model.fit(IMAGES, LABELS, batch_size=5, verbose=0)["distill"].history
    assert again["loss"] < first["loss"]
    with pytest.raises(ValueError, match="Expected 20 images in batches of 5.*of 10"):
        model.fit(IMAGES, LABELS, batch_size=10, verbose=0)
    with pytest.raises(ValueError, match="Expected 20 images .* Received: 15 images"):
        model.fit(IMAGES[:15], LABELS[:15], batch_size=5, verbose=0)


def test_the_order_is_of_the_seed_and_the_epoch():
    def two_epochs(seed, shuffle=True):
        tf.random.set_seed(len(found))  # must not count
        labels = LABELS[:, np.newaxis].astype(np.int64)  # as keras.datasets has them
        data = fit_data.batches_of(IMAGES, labels, 8, shuffle=shuffle, seed=seed)
        batches = list(data.take(4))
        for batch in batches:
            np.testing.assert_array_equal(batch["image"], IMAGES[batch["index"]])
            np.testing.assert_array_equal(batch["label"], LABELS[batch["index"]])
        return np.concatenate([batch["index"] for batch in batches])

    found = []
    for seed in (1, 1, 2):
        found.append(two_epochs(seed))
    np.testing.assert_array_equal(found[0], found[1])
    assert len({tuple(x) for x in (found[0][:16], found[0][16:], found[2][:16])}) == 3
    assert all(len(set(x)) == 16 for x in (found[0][:16], found[0][16:]))
    plain_order = two_epochs(1, shuffle=False)
    np.testing.assert_array_equal(plain_order, 2 * list(range(16)))


PAIRS = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(5, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sample_weight": np.ones(20)}, "Received: sample_weight"),
        ({"initial_epoch": 1}, "Received: initial_epoch"),
        ({"workers": 2}, "Received: workers"),
        ({"callbacks": keras.callbacks.BackupAndRestore("b")}, "neither the phase"),
        ({"y": None}, r"no images with their labels.*uint8 \(20, 8, 8, 3\) and None"),
        ({"y": LABELS[:19]}, r"no images with their labels.*int32 \(19,\)"),
        ({"y": np.eye(3)[LABELS]}, r"no classes.*argmax.*float64 \(20, 3\)"),
        ({"y": LABELS + 1}, "from 0 to 2. Received: from 1 to 3"),
        (
            {"x": PAIRS.map(lambda x, y: (x, y, y, y)), "y": None},
            "A batch is not clear",
        ),
        ({"x": PAIRS.repeat(), "y": None, "steps_per_epoch": 4}, "cannot be counted"),
        ({"x": PAIRS, "y": None}, "remembers every image.*batches with image, label"),
    ],
)
def test_what_fit_cannot_do_raises(given, words):
    model = DistillationModel(plain(), plain(), "CRD+KD")
    model.compile("sgd")
    with pytest.raises(ValueError, match=words):
        model.fit(**{"x": IMAGES, "y": LABELS, "batch_size": 5, "verbose": 0, **given})


def test_losses_of_probabilities_raise():
    model = DistillationModel(plain(), None, "none")
    losses = keras.losses
    for loss in (
        losses.SparseCategoricalCrossentropy(),
        losses.sparse_categorical_crossentropy,
        "categorical_crossentropy",
    ):
        with pytest.raises(ValueError, match="from_logits=True. Received"):
            model.compile("sgd", loss=loss)
    for name in ("loss_weights", "jit_compile"):
        with pytest.raises(TypeError, match=name):
            model.compile("sgd", **{name: []})
    expected = fit_options.task_loss("sparse_categorical_crossentropy")
    logits = tf.constant([[1.0, 2, 3], [0, 0, 4]])
    same = fit_options.task_loss(losses.SparseCategoricalCrossentropy(from_logits=True))
    batch = {"label": tf.constant([0, 2])}
    mixed = {"other_label": tf.constant([1, 1]), "label_share": tf.constant([0.3, 0.3])}
    for given in (batch, batch | mixed):
        np.testing.assert_allclose(same(given, logits), expected(given, logits), 1e-6)


def test_a_method_without_its_teacher_raises():
    with pytest.raises(ValueError, match="Received: teacher=None, method='KD'"):
        DistillationModel(plain(), None, "KD")
    assert DistillationModel(plain(), plain(), "none").teacher is None


def test_batches_of_pairs_work_and_unknown_shapes_raise():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS.astype(np.int64)))
    model = DistillationModel(plain(), plain(), "SP")
    model.compile("sgd")
    model.fit(pairs.batch(5, drop_remainder=True), verbose=0)
    assert model.data.num_examples == 20
    with pytest.raises(ValueError, match=r"drop_remainder=True.*\(None, 8, 8, 3\)"):
        model.fit(pairs.batch(5), verbose=0)


def test_the_copies_that_fill_a_batch_do_not_count():
    split = dataloader.Split(IMAGES[:7], LABELS[:7])
    model = DistillationModel(small(1), None, "none")
    model.compile("sgd", metrics=["accuracy"])
    padded = model.evaluate(
        dataloader.eval_batches(split, 5), verbose=0, return_dict=True
    )
    whole = model.evaluate(IMAGES[:7], LABELS[:7], verbose=0, return_dict=True)
    assert padded == pytest.approx(whole, rel=1e-5)


def test_the_students_own_penalties_count():
    def fitted(regularizer):
        student = plain()
        student.layers[1].kernel.regularizer = regularizer
        model = DistillationModel(student, plain(seed=2), "KD")
        model.compile("sgd")
        history = model.fit(IMAGES, LABELS, batch_size=5, verbose=0)["distill"].history
        return history, student.layers[1].kernel.numpy()

    free, kernel = fitted(None)
    held, smaller = fitted(keras.regularizers.L2(1.0))
    assert "loss/penalty" not in free and held["loss/penalty"][0] > 0
    assert np.abs(smaller).sum() < np.abs(kernel).sum()
