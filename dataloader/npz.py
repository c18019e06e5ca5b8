"""Your own images in one NumPy file: `--dataset=npz:PATH`."""

import os
import zipfile
import zlib

import numpy as np

from common.errors import wrong
from dataloader.dataset import Dataset, Split
from dataloader.pixels import pixel_statistics

# What NumPy lets through of a file that is damaged, encrypted or something else; a
# NotImplementedError, of an unknown compression, is a RuntimeError.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def load(path: str) -> Dataset:
    """Reads a file that `numpy.savez` wrote.

    Args:
        path: of a .npz file with `train_images` and `test_images`, uint8
            [N, H, W, C] of one size, and `train_labels` and `test_labels`, integers
            or whole numbers [N] or [N, 1] from 0. Optional: `crops` and `flips`,
            booleans that say whether random crops and mirroring keep the labels true
            (both yes if absent), and `class_names`, a text for each class.

    Raises:
        ValueError: the file cannot be read, or an array is missing or wrong.
    """
    try:
        with np.load(os.path.expanduser(path), allow_pickle=False) as file:
            arrays = dict(file)
    except _UNREADABLE as error:
        raise wrong(
            "Cannot read the data",
            expected="a file written by numpy.savez",
            received=f"dataset=npz:{path} ({error})",
        ) from error
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise wrong(
            f"The data lack {', '.join(missing)}",
            expected=f"the arrays {', '.join(ARRAYS)}",
            received=f"npz:{path} with {', '.join(arrays)}",
        )
    train = _split("train", arrays, path)
    test = _split("test", arrays, path)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise wrong(
            "Training and test images differ in size",
            expected="one (H, W, C)",
            received=f"{train.images.shape[1:]} and {test.images.shape[1:]}",
        )
    if test.labels.max() > train.labels.max():
        raise wrong(
            "The test split has a class that the training split lacks",
            expected=f"labels up to {train.labels.max()}",
            received=test.labels.max(),
        )
    if train.labels.max() >= len(train):
        raise wrong(
            "There are more classes than training images",
            expected="labels from 0 to the number of classes - 1",
            received=f"labels up to {train.labels.max()}, {len(train)} images",
        )
    num_classes = int(train.labels.max()) + 1
    mean, std = pixel_statistics(train.images)
    return Dataset(
        name=f"npz:{path}",
        train=train,
        test=test,
        num_classes=num_classes,
        mean=mean,
        std=std,
        crops=bool(arrays.get("crops", True)),
        flips=bool(arrays.get("flips", True)),
        class_names=_class_names(arrays, num_classes, path),
        notes=_empty_classes(train.labels, num_classes),
    )


def _empty_classes(labels: np.ndarray, num_classes: int) -> tuple[str, ...]:
    """A note of the classes that no training image has."""
    empty = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if not len(empty):
        return ()
    shown = ", ".join(map(str, empty[:10])) + (", ..." if len(empty) > 10 else "")
    return (
        f"{len(empty)} of {num_classes} classes have no training image: {shown}; "
        "labels count from 0",
    )


def _class_names(arrays: dict, num_classes: int, path: str) -> tuple[str, ...] | None:
    """The optional names of the classes; None if there are none."""
    names = arrays.get("class_names")
    if names is None:
        return None
    if names.shape != (num_classes,) or names.dtype.kind != "U" or not all(names):
        raise wrong(
            f"class_names of npz:{path} do not fit the labels",
            expected=f"{num_classes} texts, in the labels' order",
            received=f"{names.dtype} {list(names.shape)}",
        )
    return tuple(names.tolist())


def _split(name: str, arrays: dict, path: str) -> Split:
    images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise wrong(
            f"{name}_images of npz:{path} are no images",
            expected="uint8 [N, H, W, C], such as (x * 255).round().astype('uint8') of "
            "floats from 0 to 1",
            received=f"{images.dtype} {list(images.shape)}",
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    # Of floats, as they come out of a table, whole numbers are classes.
    is_whole = labels.dtype.kind in "iu" or (
        labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels))
    )
    fits = is_whole and labels.shape == images.shape[:1]
    if not fits or labels.min() < 0 or labels.max() >= 2**31 - 1:
        raise wrong(
            f"{name}_labels of npz:{path} do not fit the images",
            expected=f"{len(images)} integers from 0 (of one-hot rows "
            "labels.argmax(1))",
            received=f"{labels.dtype} {list(labels.shape)}, the least "
            f"{labels.min() if labels.size else None}",
        )
    return Split(images, labels.astype(np.int32))
