"""A Keras model of one's own as teacher, from the command line."""

import json

import keras
import numpy as np
import pytest

import commands
import dataloader
import nets
from nets import given
from tests import test_docs
from tests.test_bad_input import assert_one_clear_line

TRAIN = "train_w_distill.py"


def save(path, width):
    """A model with the layers that docs/your_model.md names."""
    conv = {"kernel_size": 3, "padding": "same", "activation": "relu"}
    layers = [
        keras.layers.Conv2D(width, name="block1_out", **conv),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(6, name="block2_out", **conv),
        keras.layers.Flatten(),
        # Wide, so that not all images get the same class.
        keras.layers.Dense(
            10, kernel_initializer=keras.initializers.RandomNormal(0, 9)
        ),
        keras.layers.Softmax(),
    ]
    keras.Sequential([keras.Input((8, 8, 1)), *layers], name=path.stem).save(path)


@pytest.fixture
def folder(tmp_path):
    """Where my.keras and little.keras are."""
    keras.utils.set_random_seed(1)
    save(tmp_path / "my.keras", 4)
    save(tmp_path / "little.keras", 2)
    return tmp_path


def test_the_command_of_the_docs(folder):
    """The wrapped teacher is what Keras computes, the student a file of its own."""
    (_, *command), *_ = test_docs.documented_commands()
    quick = ("--epochs=1", "--data_fraction=0.1", "--train_dir=run")
    finished = commands.run(*command, *quick, cwd=folder)
    assert finished.code == 0, finished.err
    for note in ("teacher: my", "student: little"):
        assert f"note: {note} ends in a softmax: its input counts" in finished.out
    assert "taps of little: stage1 = block1_out, stage2 = block2_out" in finished.out
    assert "taps of my:" not in finished.out
    result = json.loads((folder / "run/result.json").read_text())
    test = dataloader.load("digits").test
    model = keras.saving.load_model(folder / "my.keras")
    probabilities = model.predict(test.images / np.float32(255), verbose=0)
    top1 = np.mean(probabilities.argmax(1) == test.labels)
    assert len(set(probabilities.argmax(1))) > 3
    assert result["teacher"]["top1"] == pytest.approx(top1)
    assert result["settings"]["teacher_taps"].startswith("stage1=block1_out")
    student = nets.load(folder / "run/student.keras")
    logits = student(student.normalise(test.images))
    top1 = np.mean(np.argmax(logits, axis=1) == test.labels)
    assert result["student"]["top1"] == pytest.approx(top1)
    bare = student.model
    assert type(bare) is keras.Sequential
    probabilities = bare(test.images / np.float32(255))
    np.testing.assert_allclose(keras.ops.softmax(logits), probabilities, atol=1e-5)
    before = keras.saving.load_model(folder / "little.keras")
    assert np.any(bare.get_weights()[0] != before.get_weights()[0])


def test_a_model_that_does_not_say_how_it_wants_pixels(folder):
    finished = commands.run(TRAIN, "--teacher=my.keras", cwd=folder)
    assert_one_clear_line(finished, "--teacher_scaling", "pixels, unit", "my.keras")
    assert not (folder / "runs").exists()


NETS = """
import keras

@keras.saving.register_keras_serializable("mine")
class Plain(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten = keras.layers.Flatten()
        self.out = keras.layers.Dense(10)

    def build(self, input_shape):
        self.out.build((None, 64))

    def call(self, images):
        return self.out(self.flatten(images))
"""


def test_a_method_of_maps_and_a_subclassed_teacher(tmp_path):
    (tmp_path / "my_plain_nets.py").write_text(NETS)
    names = {}
    exec(NETS, names)
    model = names["Plain"]()
    model.build((None, 8, 8, 1))
    model.save(tmp_path / "my.keras")
    flags = ("--teacher=my.keras", "--teacher_scaling=unit", "--student=resnet8")
    imports = "--imports=my_plain_nets.py"
    finished = commands.run(TRAIN, *flags, imports, "--distiller=AT", cwd=tmp_path)
    assert_one_clear_line(finished, "teacher shows no taps", "docs/your_model.md")
    assert not (tmp_path / "runs").exists()


UNREGISTERED = """
import keras

class Block(keras.layers.Layer):
    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.width, self.dense = width, keras.layers.Dense(width)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return keras.ops.tanh(self.dense(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}
"""


@pytest.mark.slow
def test_an_h5_teacher_and_a_class_that_is_not_registered(tmp_path):
    """Trained, found finished again, and evaluated, with the class's file each time."""
    (tmp_path / "my_blocks.py").write_text(UNREGISTERED)
    names = {}
    exec(UNREGISTERED, names)
    for file, end in (("big.h5", []), ("little.keras", [names["Block"]()])):
        layers = [keras.layers.Flatten(), *end, keras.layers.Dense(10)]
        keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / file)
    flags = ("--teacher=big.h5", "--teacher_scaling=unit", "--student=little.keras")
    flags += ("--student_scaling=unit", "--epochs=1", "--data_fraction=0.1")
    finished = commands.run(TRAIN, *flags, cwd=tmp_path)
    assert_one_clear_line(finished, "Block", "--imports", "little.keras")
    imports = "--imports=my_blocks.py"
    for words in ("saved runs/digits-little-Soft_logits-", "nothing to train"):
        finished = commands.run(TRAIN, *flags, imports, cwd=tmp_path)
        assert finished.code == 0 and words in finished.out, finished.err
    (student,) = tmp_path.glob("runs/*/student.keras")
    finished = commands.run("test.py", f"--checkpoint={student}", cwd=tmp_path)
    assert_one_clear_line(finished, "Block", "--imports")
    finished = commands.run("test.py", f"--checkpoint={student}", imports, cwd=tmp_path)
    result = json.loads((student.parent / "result.json").read_text())
    figures = json.loads(student.with_suffix(".json").read_text())
    assert figures["top1"] == result["student"]["top1"]


@pytest.mark.parametrize("flags", ["taps", "name"])
def test_names_that_do_not_exist(folder, flags):
    """The same errors as ValueErrors, which the scripts print in one line."""
    if flags == "taps":
        file = str(folder / "my.keras")
        teacher = given.Given("teacher", file, scaling="unit", taps="stage1=block9")
        with pytest.raises(ValueError, match="no such layer.*block1_out.*'block9'"):
            given.build(teacher, 10, (8, 8, 1))
    else:
        with pytest.raises(ValueError, match="no such model.*MobileNetV2.*NoNet'"):
            given.canonical_name("keras.applications.NoNet")
