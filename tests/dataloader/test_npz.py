import numpy as np
import pytest

import dataloader


def arrays(**changes):
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (12, 6, 5, 3), np.uint8),
        "train_labels": np.arange(12) % 3,
        "test_images": rng.integers(0, 256, (4, 6, 5, 3), np.uint8),
        "test_labels": np.arange(4) % 3,
        **changes,
    }


def load(tmp_path, **changes):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    return dataloader.load(f"npz:{tmp_path}/mine.npz")


def test_arrays_arrive_unchanged(tmp_path):
    dataset = load(tmp_path)
    np.testing.assert_array_equal(dataset.train.images, arrays()["train_images"])
    np.testing.assert_array_equal(dataset.test.labels, arrays()["test_labels"])
    assert dataset.num_classes == 3 and dataset.input_shape == (6, 5, 3)
    scaled = arrays()["train_images"] / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, scaled.std((0, 1, 2)), rtol=1e-6)
    assert dataset.crops and dataset.flips


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_labels_may_be_whole_numbers_or_a_column(tmp_path, shape, dtype):
    labels = {
        name: arrays()[name].astype(dtype).reshape(shape)
        for name in ("train_labels", "test_labels")
    }
    found, expected = load(tmp_path, **labels), load(tmp_path)
    for split in ("train", "test"):
        labels = getattr(found, split).labels
        np.testing.assert_array_equal(labels, getattr(expected, split).labels)
        assert labels.dtype == np.int32
    assert found.num_classes == 3 and found.digest == expected.digest


def test_labels_from_one_are_told(tmp_path):
    """Nobody has the class 0 then, and there is one class too many."""
    assert load(tmp_path).notes == ()
    names = ("train_labels", "test_labels")
    (note,) = load(tmp_path, **{name: arrays()[name] + 1 for name in names}).notes
    assert "1 of 4 classes have no training image: 0; labels count from 0" in note


def test_class_names_are_optional(tmp_path):
    assert load(tmp_path).class_names is None
    assert load(tmp_path, class_names=["b", "a", "c d"]).class_names == (
        *("b", "a", "c d"),
    )


def test_augmentation_can_be_forbidden(tmp_path):
    dataset = load(tmp_path, flips=False)
    assert dataset.crops and not dataset.flips


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((12, 6, 5, 3))}, "float64"),
        ({"train_images": np.zeros((12, 6, 5), np.uint8)}, r"\[12, 6, 5\]"),
        ({"train_labels": np.zeros(11, int)}, "12 integers"),
        (
            {"train_labels": np.arange(12) / 2},
            "12 integers from 0 .of one-hot .*Received: float64",
        ),
        ({"train_labels": np.full(12, np.nan)}, "float64"),
        ({"train_labels": np.full(12, np.inf)}, "float64"),
        ({"train_labels": np.eye(3)[np.arange(12) % 3]}, r"float64 \[12, 3\]"),
        ({"train_labels": np.arange(12) % 3 == 0}, "bool"),
        ({"test_labels": np.array([-1, 0, 1, 2])}, "the least -1"),
        ({"test_labels": np.array([0, 1, 2, 3])}, "labels up to 2"),
        ({"train_labels": np.full(12, 2**32 + 1)}, "12 integers"),
        ({"train_labels": np.full(12, 12)}, "more classes"),
        ({"test_images": np.zeros((4, 5, 5, 3), np.uint8)}, "differ in size"),
        ({"class_names": np.array(["a", "b"])}, "class_names of npz.*Expected 3 texts"),
        ({"class_names": np.array([1, 2, 3])}, r"Received: int64 \[3\]"),
        ({"class_names": np.array(["a", "", "c"])}, "Expected 3 texts"),
    ],
)
def test_wrong_arrays(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **changes)


def test_missing_array(tmp_path):
    np.savez(tmp_path / "mine.npz", train_images=np.zeros(1))
    with pytest.raises(ValueError, match="lack train_labels, test_images"):
        dataloader.load(f"npz:{tmp_path}/mine.npz")


@pytest.mark.parametrize("content", [None, b"text", b""])
def test_unreadable_file(tmp_path, content):
    if content is not None:
        (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(ValueError, match="numpy.savez"):
        dataloader.load(f"npz:{tmp_path}/mine.npz")


def test_damaged_compressed_data(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays())
    content = bytearray(path.read_bytes())
    for position in range(60, 80):  # within the first array's compressed bytes
        content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="numpy.savez"):
        dataloader.load(f"npz:{path}")


def test_the_home_folder_may_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "mine.npz", **arrays())
    assert dataloader.load("npz:~/mine.npz").num_classes > 1
