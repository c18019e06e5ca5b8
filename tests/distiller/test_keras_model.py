"""`fit` trains as the command line does, and as a Keras model is expected to."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import commands
import dataloader
import nets
from distiller.keras_model import DistillationModel
from op_utils import schedule

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
LABELS = np.arange(20, dtype=np.int32) % 3


def small(seed):
    return nets.build("resnet8", 3, (8, 8, 3), seed=seed)


@keras.saving.register_keras_serializable()
class Table(keras.optimizers.schedules.LearningRateSchedule):
    """The rates of the trainer, step by step."""

    def __init__(self, rates):
        self.rates = list(map(float, rates))

    def __call__(self, step):
        return tf.gather(tf.constant(self.rates, tf.float32), tf.cast(step, tf.int32))

    def get_config(self):
        return {"rates": self.rates}


@pytest.mark.parametrize("method", ["Soft_logits", "VID"])
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
    student, teacher = small(1), small(2)
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append((model.phase, epoch))
    )
    model = DistillationModel(student, teacher, "FitNet", hparams=("weight=2",))
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
    log_p = tf.nn.log_softmax(logits).numpy()
    picked = -log_p[np.arange(20), LABELS].mean()
    np.testing.assert_allclose(found["loss"], picked, rtol=1e-4)
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == LABELS))


def test_another_loss_and_the_teacher_count():
    """The method's term is there, weighted, beside the loss that is compiled."""
    model = DistillationModel(small(1), small(2), "KD")
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss=lambda y, z: 3.0 * keras_loss(y, z), task_weight=1.0)
    one = model.fit(IMAGES[:5], LABELS[:5], batch_size=5, verbose=0)["distill"].history
    plain = DistillationModel(small(1), small(2), "KD")
    plain.compile("sgd", task_weight=1.0)
    two = plain.fit(IMAGES[:5], LABELS[:5], batch_size=5, verbose=0)["distill"].history
    np.testing.assert_allclose(one["loss/task"], 3 * two["loss/task"][0], rtol=1e-5)
    assert one["loss/kl"][0] > 0


def test_batches_of_pairs_work_and_unknown_shapes_raise():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    model = DistillationModel(small(1), small(2), "SP")
    model.compile("sgd")
    model.fit(pairs.batch(5, drop_remainder=True), verbose=0)
    assert model.data.num_examples == 20
    with pytest.raises(ValueError, match=r"drop_remainder=True.*\(None, 8, 8, 3\)"):
        model.fit(pairs.batch(5), verbose=0)
