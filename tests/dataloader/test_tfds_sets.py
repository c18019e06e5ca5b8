import pathlib

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

import dataloader
from tests.dataloader.toy_tfds import write_set

PREPARED = pathlib.Path(__file__).parents[3] / "shared" / "tfds"


def test_a_prepared_set_is_read_in_its_order(tmp_path):
    written = write_set(tmp_path, train=1100, test=12)  # 69 files, 2 reads
    dataset = dataloader.load("toy", data_dir=tmp_path)
    for split in ("train", "test"):
        found = getattr(dataset, split)
        np.testing.assert_array_equal(found.images, written[split])
        np.testing.assert_array_equal(found.labels, np.arange(len(found)) % 3)
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int32)
    assert (dataset.name, dataset.num_classes) == ("toy", 3)
    assert dataset.input_shape == (6, 5, 1)
    assert dataset.crops and dataset.flips
    np.testing.assert_allclose(dataset.mean, (written["train"] / 255).mean())
    np.testing.assert_allclose(dataset.std, (written["train"] / 255).std())


def test_what_is_here_need_not_be_downloaded(tmp_path):
    write_set(tmp_path, train=3, test=3)
    assert dataloader.is_here("toy", tmp_path)
    assert dataloader.is_here("digits") and dataloader.is_here(f"folder:{tmp_path}")
    assert not dataloader.is_here("npz:absent.npz")
    assert not dataloader.is_here("cifar10", str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="Unknown data set"):
        dataloader.is_here("no_such_set", tmp_path)
    with pytest.raises(ValueError, match="Did you mean npz:mine.npz"):
        dataloader.is_here("mine.npz", tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"names": ["cat", "dog", "eel"]}, ("cat", "dog", "eel")),
        ({"names": ["3", "1", "2"]}, None),
        ({"num_classes": 3}, None),  # TFDS calls them 0, 1, 2
    ],
)
def test_class_names(tmp_path, given, expected):
    labels = tfds.features.ClassLabel(**given)
    write_set(tmp_path, labels=labels, train=3, test=3)
    assert dataloader.load("toy", data_dir=tmp_path).class_names == expected


def test_writing_is_not_mirrored(tmp_path):
    labels = tfds.features.ClassLabel(num_classes=10)
    write_set(tmp_path, "mnist", (28, 28, 1), labels, train=5, test=5)
    dataset = dataloader.load("mnist", data_dir=tmp_path)
    assert dataset.crops and not dataset.flips


def test_missing_split(tmp_path):
    write_set(tmp_path, train=3, extra=3)
    with pytest.raises(ValueError, match="Expected train, and test.*with.*extra"):
        dataloader.load("toy", data_dir=tmp_path)


def test_secret_labels(tmp_path):
    write_set(tmp_path, train=3, validation=4)
    message = "Split 'validation'.*Expected 4.*name='toy' with 4 images, 4 of them"
    with pytest.raises(ValueError, match=message):
        dataloader.load("toy", data_dir=tmp_path)


def test_images_of_several_sizes(tmp_path):
    write_set(tmp_path, shape=(None, None, 3), train=3, test=3)
    with pytest.raises(ValueError, match=r"--image_size=N.*'toy'.*\(None, None, 3"):
        dataloader.load("toy", data_dir=tmp_path)


def test_labels_which_are_no_classes(tmp_path):
    labels = tfds.features.Scalar(np.int64)
    write_set(tmp_path, labels=labels, train=3, test=3)
    with pytest.raises(ValueError, match="a class label.*'toy' with Image.*Scalar"):
        dataloader.load("toy", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["cifar11", "cifar10/nothing", "cifar10:9.9.9", ""])
def test_unknown_name_lists_the_known_ones(name, tmp_path):
    with pytest.raises(
        ValueError, match="one of digits, npz:PATH, folder:PATH, cifar10.*Received"
    ) as info:
        dataloader.load(name, data_dir=tmp_path)
    assert f"name={name!r}" in str(info.value)
    assert all(known in str(info.value) for known in dataloader.names())


def test_offline_failure_is_one_line(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise requests.ConnectionError("no such host\nand more")

    # A machine with a network must not download anything in a test either.
    monkeypatch.setattr(requests, "head", offline)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(ValueError) as info:
        dataloader.load("cifar100", data_dir=tmp_path / "bogus")
    message = str(info.value)
    assert "\n" not in message
    assert f"'cifar100' is not prepared in '{tmp_path}/bogus/cifar100/" in message
    assert "`tfds build cifar100 --data_dir=DIR`" in message
    assert not (tmp_path / "bogus").exists()


@pytest.mark.skipif(
    not (PREPARED / "cifar10").exists(), reason=f"no prepared CIFAR-10 in {PREPARED}"
)
def test_cifar10():
    cifar10 = dataloader.load("cifar10", data_dir=str(PREPARED))
    assert (cifar10.input_shape, cifar10.num_classes) == ((32, 32, 3), 10)
    assert cifar10.crops and cifar10.flips
    assert cifar10.class_names[::9] == ("airplane", "truck")
    assert cifar10.mean == (0.4914, 0.4822, 0.4465)
    assert cifar10.std == (0.2470, 0.2435, 0.2616)
    for split, size in ((cifar10.train, 5000), (cifar10.test, 1000)):
        assert np.bincount(split.labels).tolist() == [size] * 10
    # The images fit the published numbers, as far as JPEG lets them.
    pixels = cifar10.train.images[::10] / 255
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), cifar10.mean, atol=0.01)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), cifar10.std, atol=0.01)
    plain = tfds.load("cifar10", split="test[9900:]", data_dir=PREPARED, download=False)
    for i, example in enumerate(plain.as_numpy_iterator(), start=9900):
        np.testing.assert_array_equal(example["image"], cifar10.test.images[i])
        assert example["label"] == cifar10.test.labels[i]
