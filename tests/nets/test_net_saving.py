import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import nets
from nets import saving
from nets.wresnet import WResNet
from tests.nets.checkpoints import assert_a_checkpoint_holds_all

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.mark.parametrize("name", ["resnet8", "resnet8x4", "wrn_10_2"])
def test_a_loaded_net_is_the_saved_one(make_net, images, tmp_path, name):
    net = make_net(name, num_classes=7, mean=MEAN, std=STD)
    nets.save(net, tmp_path / "deep" / "net.keras")
    loaded = nets.load(tmp_path / "deep" / "net.keras")
    assert loaded.get_config() == net.get_config()
    assert (loaded.mean, loaded.std, loaded.num_classes) == (MEAN, STD, 7)
    assert loaded.image_shape == (8, 8, 3)
    np.testing.assert_array_equal(loaded(images), net(images))
    assert os.listdir(tmp_path / "deep") == ["net.keras"]


def test_a_files_net_is_named_without_building_it(make_net, tmp_path):
    nets.save(make_net("resnet8"), tmp_path / "any.keras")
    assert saving.name_of(tmp_path / "any.keras") == "resnet8"
    with pytest.raises(ValueError, match="absent.keras"):
        saving.name_of(tmp_path / "absent.keras")


def test_the_published_variants_are_saved(images, tmp_path):
    net = WResNet(3, (8, 8, 3), depth=10, shortcut="raw", padding="same")
    nets.save(net, tmp_path / "net.keras")
    loaded = nets.load(tmp_path / "net.keras")
    assert (loaded.shortcut, loaded.padding) == ("raw", "same")
    np.testing.assert_array_equal(loaded(images), net(images))


def test_a_fresh_process_needs_only_the_import(make_net, images, tmp_path):
    net = make_net("wrn_10_1")
    nets.save(net, tmp_path / "net.keras")
    np.save(tmp_path / "images.npy", images)
    program = (
        "import keras, nets, numpy as np\n"
        "net = keras.saving.load_model('net.keras')\n"
        "logits = net(np.load('images.npy'), with_taps=True).logits\n"
        "np.save('logits.npy', logits)\n"
    )
    root = os.path.dirname(os.path.dirname(nets.__file__))
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        check=True,
    )
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), net(images))


def test_load_under_another_precision(make_net, images, tmp_path):
    net = make_net("resnet8")
    nets.save(net, tmp_path / "net.keras")
    loaded = nets.load(tmp_path / "net.keras", dtype="mixed_bfloat16")
    assert loaded(images).dtype == tf.bfloat16
    for old, new in zip(net.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    nets.save(loaded, tmp_path / "low.keras")
    exact = nets.load(tmp_path / "low.keras", dtype="float32")
    np.testing.assert_array_equal(exact(images), net(images))


def test_a_failed_save_leaves_the_old_file(make_net, tmp_path, monkeypatch):
    net = make_net("resnet8")
    path = tmp_path / "net.keras"
    path.write_text("old")

    def half(self, path):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(type(net), "save", half)
    with pytest.raises(OSError, match="disk full"):
        nets.save(net, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["net.keras"]


@pytest.mark.parametrize("name", ["resnet14", "wrn_16_2"])
def test_a_checkpoint_holds_every_variable(make_net, tmp_path, name):
    net = make_net(name)
    assert_a_checkpoint_holds_all(net, tmp_path)


def _error_of_load(path):
    with pytest.raises(ValueError) as info:
        nets.load(path)
    message = str(info.value)
    assert "\n" not in message and path.name in message
    return message


def test_errors_name_what_is_wrong_with_the_file(make_net, tmp_path):
    good = tmp_path / "good.keras"
    nets.save(make_net("resnet8"), good)
    data = bytearray(good.read_bytes())

    assert "no such file" in _error_of_load(tmp_path / "missing.keras")
    assert "no such file" in _error_of_load(tmp_path / "net.h5")

    text = tmp_path / "text.keras"
    text.write_text("not a net")
    assert "no .keras archive" in _error_of_load(text)

    cut = tmp_path / "cut.keras"
    cut.write_bytes(data[: len(data) // 2])
    assert "cut off" in _error_of_load(cut)

    flipped = tmp_path / "flipped.keras"
    data[len(data) // 2] ^= 255
    flipped.write_bytes(data)
    assert "damaged" in _error_of_load(flipped)

    other = tmp_path / "other.keras"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "a zip")
    assert "config.json" in _error_of_load(other)

    foreign = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(foreign)
    assert "without taps" in _error_of_load(foreign)


def test_save_wants_the_suffix(make_net, tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.keras.*path='.*net\.h5'"):
        nets.save(make_net("resnet8"), tmp_path / "net.h5")
