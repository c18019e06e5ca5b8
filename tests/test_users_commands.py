"""Models of users the whole way by commands: saved, distilled, loaded, measured."""

import importlib
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import commands
import nets
from tests.test_bad_input import assert_one_clear_line
from tests.test_users_models import is_statistic, softmax
from users_models import save
from users_models.cases import CASES

TRAIN = "train_w_distill.py"
FILES = pathlib.Path(save.__file__).parent
SIZE, CLASSES = 32, 4
every_model = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
pytestmark = pytest.mark.slow


def write_data(path):
    """A class is a colour, more or less."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 215, (CLASSES, 1, 1, 3))
    arrays = {}
    for split, count in (("train", 128), ("test", 64)):
        labels = np.arange(count) % CLASSES
        shades = rng.integers(-20, 20, (count, 1, 1, 3))
        noise = rng.integers(-20, 20, (count, SIZE, SIZE, 3))
        images = np.clip(colours[labels] + shades + noise, 0, 255)
        arrays[f"{split}_images"] = images.astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    np.savez(path, **arrays)


def saved(folder, case, suffix="keras"):
    """The files of the model's variants, from a process without this project."""
    specs = ["/".join((case.name, *map(str, v), suffix)) for v in case.variants]
    command = [sys.executable, str(FILES / "save.py"), str(folder), *specs]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [save.file_name(spec) for spec in specs]


def flags_of(case, role, file):
    """How the file is named on the command line."""
    scaling = () if case.begins_with_pixels else (f"--{role}_scaling={case.scaling}",)
    return (f"--{role}={file}", *scaling)


def imports_of(case):
    file = FILES / f"{case.name.partition('.')[0]}.py"
    return (f"--imports={file}",) if case.imports else ()


def measured(model, case, images, labels):
    """Accuracy and mean negative log-likelihood, by Keras and NumPy alone."""
    size = model.input_shape[1] if hasattr(model, "input_shape") else SIZE
    images = images.astype(np.float32) / (1.0 if case.scaling == "pixels" else 255.0)
    if images.shape[1] != size:
        images = tf.image.resize(images, (size, size), antialias=True)
    output = np.asarray(model(images, training=False), np.float64)
    probabilities = output if case.probabilities else softmax(output)
    of_label = probabilities[np.arange(len(labels)), labels]
    top1 = np.mean(probabilities.argmax(axis=1) == labels)
    # A probability of 0 is a logit far off, of which Keras' softmax tells no more.
    loss = -np.mean(np.log(of_label)) if of_label.min() > 1e-30 else None
    return {"top1": top1, "loss": loss}


def assert_figures(found, expected, model):
    half = "16" in model.compute_dtype
    # One image on the border of two classes may fall on either side.
    assert found["top1"] == pytest.approx(expected["top1"], abs=0.02)
    tolerance = 5e-2 if half else 1e-3
    if expected["loss"] is not None:
        assert found["loss"] == pytest.approx(expected["loss"], rel=tolerance)
    weights = [v for v in model.weights if "seed_generator" not in v.path]
    parameters = sum(np.prod(v.shape) for v in weights if not is_statistic(v))
    assert found["parameters"] == parameters


def knows_classes(case):
    """The classes of the user's file, under the names that files call them by."""
    names = vars(importlib.import_module(f"users_models.{case.name.partition('.')[0]}"))
    layers = {k: v for k, v in names.items() if isinstance(v, type)}
    return keras.saving.custom_object_scope(layers)


@every_model
def test_from_a_file_to_a_measured_student(case, tmp_path):
    """A teacher of one size or precision teaches its like of another."""
    write_data(tmp_path / "data.npz")
    teacher, student = saved(tmp_path, case)
    shared = ("--dataset=npz:data.npz", *imports_of(case))
    pair = (*flags_of(case, "teacher", teacher), *flags_of(case, "student", student))
    quick = ("--epochs=1", "--batch_size=32", "--learning_rate=0.01")
    train = (TRAIN, *shared, *pair, *quick, "--train_dir=run")
    if case.taps != "maps":
        finished = commands.run(*train, "--distiller=AT", cwd=tmp_path)
        assert_one_clear_line(finished, case.why_no_maps)
        assert not (tmp_path / "run").exists()
    method = "AT+Soft_logits" if case.taps == "maps" else "Soft_logits"
    finished = commands.run(*train, f"--distiller={method}", cwd=tmp_path)
    assert finished.code == 0, finished.err
    result = json.loads((tmp_path / "run/result.json").read_text())
    with np.load(tmp_path / "data.npz") as data:
        test = data["test_images"], data["test_labels"]

    with knows_classes(case):
        model = keras.saving.load_model(tmp_path / teacher, compile=False)
        trained = nets.load(tmp_path / "run/student.keras").model
    of_teacher = measured(model, case, *test)
    assert_figures(result["teacher"], of_teacher, model)
    of_student = measured(trained, case, *test)
    assert_figures(result["student"], of_student, trained)
    assert type(trained) is type(model)

    checkpoints = ("--checkpoint=run/student.keras", f"--teacher_checkpoint={teacher}")
    scaling = flags_of(case, "teacher", "")[1:]
    finished = commands.run("test.py", *shared, *checkpoints, *scaling, cwd=tmp_path)
    assert finished.code == 0, finished.err
    again = json.loads((tmp_path / "run/student.json").read_text())
    assert_figures(again, of_student, trained)
    assert again["top1"] == result["student"]["top1"]
    assert again["teacher_top1"] == result["teacher"]["top1"]


def test_a_file_of_before_the_keras_archives(tmp_path):
    """An .h5 file as teacher and as student, and test.py reads the teacher."""
    (case,) = (case for case in CASES if case.name == "nested.build")
    write_data(tmp_path / "data.npz")
    teacher, student = saved(tmp_path, case, "h5")
    pair = (*flags_of(case, "teacher", teacher), *flags_of(case, "student", student))
    flags = ("--dataset=npz:data.npz", "--epochs=1", "--batch_size=32")
    finished = commands.run(
        TRAIN, *flags, *pair, "--distiller=AT", "--train_dir=run", cwd=tmp_path
    )
    assert finished.code == 0, finished.err
    result = json.loads((tmp_path / "run/result.json").read_text())
    with np.load(tmp_path / "data.npz") as data:
        test = data["test_images"], data["test_labels"]
    model = keras.saving.load_model(tmp_path / teacher, compile=False)
    assert_figures(result["teacher"], measured(model, case, *test), model)
    assert nets.load(tmp_path / "run/student.keras").tap_specs
