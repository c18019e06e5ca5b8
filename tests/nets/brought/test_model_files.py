"""Files of models: what is read, and what is refused in one line with the way out."""

import pathlib
import shutil
import tarfile
import zipfile

import h5py
import keras
import numpy as np
import pytest

import nets
from nets import given, saving
from nets.brought import h5_files, model_files
from options import settings

# Written by tf_keras 2.21, with what Keras 3 does not take: groups, rng_type, names
# with "/", inner models.
KERAS_2 = pathlib.Path(__file__).parents[2] / "data/keras_2/model.h5"
SHAPE = (8, 8, 1)


def model(*layers):
    return keras.Sequential(
        [keras.Input(SHAPE), *layers, keras.layers.Flatten(), keras.layers.Dense(3)],
        name="little",
    )


def line_of(load, path) -> str:
    """The error of loading a file: one line that names it."""
    with pytest.raises(ValueError) as info:
        load(path)
    text = str(info.value)
    assert "\n" not in text and str(path) in text
    return text


def test_options_and_nets_know_the_same_files():
    assert settings.MODEL_SUFFIXES == model_files.SUFFIXES


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "model.keras"])
def test_a_file_of_keras_2_gives_its_numbers(name, tmp_path):
    """TensorFlow 2.12 and before wrote HDF5 under the name .keras, too."""
    path = tmp_path / name
    shutil.copy(KERAS_2, path)
    expected = np.load(KERAS_2.with_suffix(".npz"))
    loaded = saving.load_model(path)
    found = loaded(expected["images"], training=False)
    np.testing.assert_allclose(found, expected["outputs"], atol=1e-6)
    assert loaded.get_layer("stem_conv").kernel.shape == (3, 3, 1, 3)
    assert saving.name_of(path) == "from_keras_2"
    net = given.build(given.Given("student", str(path), scaling="unit"), 10, SHAPE)
    nets.save(net, tmp_path / "student.keras")
    again = nets.load(tmp_path / "student.keras")
    logits = again(expected["images"])
    np.testing.assert_allclose(
        keras.ops.softmax(logits), expected["outputs"], atol=1e-6
    )


def test_an_h5_file_of_keras_3_gives_its_numbers(tmp_path):
    inner = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3)], name="in")
    saved = model(inner)
    saved.compile("adam", "mse")
    saved.save(tmp_path / "a.h5")
    images = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    loaded = saving.load_model(tmp_path / "a.h5")
    np.testing.assert_allclose(loaded(images), saved(images), atol=1e-6)
    assert not loaded.compiled
    assert given.canonical_name(str(tmp_path / "a.h5")) == str(tmp_path / "a.h5")


def test_groups_that_count_stay():
    layer = {"class_name": "DepthwiseConv2D", "config": {"groups": 2, "name": "a/b"}}
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    readable = h5_files.as_keras_3_reads(config)["config"]["layers"][0]["config"]
    assert readable == {"groups": 2, "name": "a_b"}


def test_a_saved_model_says_how_it_becomes_a_keras_file(tmp_path):
    folder = tmp_path / "saved"
    model().export(folder, verbose=False)
    for load in (nets.load, saving.load_model, given.canonical_name):
        text = line_of(load, str(folder))
        assert "SavedModel" in text and "model.save('model.keras')" in text
        assert "tf_keras" not in text
    (folder / "keras_metadata.pb").write_bytes(b"of Keras 2")
    text = line_of(nets.load, folder)
    assert f"tf_keras.models.load_model('{folder}').save('model.h5')" in text


def test_a_folder_of_a_run_names_the_file_in_it(tmp_path):
    (tmp_path / "student.keras").touch()
    assert f"Expected {tmp_path}/student.keras" in line_of(nets.load, tmp_path)
    (tmp_path / "student.keras").unlink()
    assert "folder is no model" in line_of(given.canonical_name, str(tmp_path))


def test_weights_alone_are_refused(tmp_path):
    """Those of Keras 3; of Keras 2 they are HDF5 without a configuration, too."""
    model().save_weights(tmp_path / "a.weights.h5")
    text = line_of(saving.load_model, tmp_path / "a.weights.h5")
    assert "weights alone" in text and "model.load_weights" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.pth", "nets.import_weights"),
        ("net.tflite", "exported graph"),
        ("net.onnx", "exported graph"),
        ("net.txt", "ending in .keras"),
    ],
)
def test_other_files_say_what_they_are(name, words, tmp_path):
    (tmp_path / name).write_bytes(b"something")
    assert words in line_of(saving.load_model, tmp_path / name)
    assert words in line_of(given.canonical_name, str(tmp_path / name))


def test_a_name_of_ours_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("resnet8").mkdir()
    assert given.canonical_name("resnet8") == "resnet8"
    with pytest.raises(ValueError, match="no net of this name"):
        given.canonical_name("resnet9")


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz", "keras"])
def test_an_archive_names_its_members(kind, tmp_path):
    names = [f"resnet{n}_vanilla/ckpt_epoch_240.pth" for n in range(8)]
    path = tmp_path / f"teachers.{kind}"
    (tmp_path / "one").write_text("weights")
    if kind in ("zip", "keras"):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.write(tmp_path / "one", name)
    else:
        with tarfile.open(path, "w:gz" if kind == "tgz" else "w") as archive:
            for name in names:
                archive.add(tmp_path / "one", name)
    text = line_of(saving.load_model, path)
    assert "archive of 8 files" in text and "and 2 more" in text
    assert all(name in text for name in names[:6])


def test_a_keras_file_by_another_name(tmp_path):
    model().save(tmp_path / "a.keras")
    (tmp_path / "a.keras").rename(tmp_path / "a.zip")
    text = line_of(saving.load_model, tmp_path / "a.zip")
    assert "Expected the name a.keras" in text


def test_a_keras_file_of_keras_2(tmp_path):
    model().save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as old:
        content = {name: old.read(name) for name in old.namelist()}
    content["metadata.json"] = b'{"keras_version": "2.15.0"}'
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as new:
        for name, part in content.items():
            new.writestr(name, part)
    text = line_of(saving.load_model, tmp_path / "b.keras")
    assert "Keras 2.15.0" in text and ".save('model.h5')" in text


def test_damaged_files_are_named(tmp_path):
    content = KERAS_2.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    assert "damaged" in line_of(saving.load_model, tmp_path / "cut.h5")
    shutil.copy(KERAS_2, tmp_path / "config.h5")
    with h5py.File(tmp_path / "config.h5", "r+") as file:
        file.attrs["model_config"] = "{"
    assert "damaged" in line_of(saving.load_model, tmp_path / "config.h5")
    shutil.copy(KERAS_2, tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        del file["model_weights/out"]
    line_of(saving.load_model, tmp_path / "weights.h5")


def test_weights_in_another_order_than_the_layers_are_not_guessed(tmp_path):
    """Two layers of one shape would take each other's weights without a word."""
    layers = [keras.layers.Dense(8, name=name) for name in ("first", "second")]
    built = keras.Sequential([keras.Input((8,)), *layers])
    built.save(tmp_path / "a.h5")
    assert saving.load_model(tmp_path / "a.h5").layers[0].name == "first"
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["model_weights"].attrs["layer_names"] = [b"second", b"first"]
    text = line_of(saving.load_model, tmp_path / "a.h5")
    assert "in another order" in text and "second, ... for first" in text
