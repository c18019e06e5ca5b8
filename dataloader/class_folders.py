"""Which image files lie in which class folder: PATH/SPLIT/CLASS/FILE."""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg")  # in upper case, too
SPLITS = {
    "train": ("train",),
    "validation": ("valid", "val", "validation"),
    "test": ("test",),
}


@dataclasses.dataclass(frozen=True)
class ClassFiles:
    """The image files of one split, by class and within it by name.

    Attributes:
        names: bytes [N], below PATH, such as b"train/cat/1.png".
        labels: int32 [N].
        stamps: int64 [N, 2], size in bytes and time of the last change.
        others: names of what lies in the split's folder but is no such file.
    """

    names: np.ndarray
    labels: np.ndarray
    stamps: np.ndarray
    others: tuple[str, ...]


def find(root: pathlib.Path) -> tuple[tuple[str, ...], dict[str, ClassFiles]]:
    """The classes, which are the sorted folders of `train`, and the files of a split.

    What begins with a dot is not looked at.

    Returns:
        (classes, split -> files), with `train` and at least one of `validation` and
        `test`.

    Raises:
        ValueError: a folder is missing, empty or unknown.
    """
    if not root.is_dir():
        raise ValueError(
            "There is no such data folder. Expected PATH of folder:PATH with "
            f"train/CLASS/ and test/CLASS/ in it. Received: dataset=folder:{root}."
        )
    folders = _split_folders(root)
    classes = tuple(_folders(root / folders["train"]))
    if not classes:
        raise ValueError(
            f"The training data have no class folders. Expected images in "
            f"{folders['train']}/CLASS/. Received: dataset=folder:{root}."
        )
    return classes, {
        split: _files(root, folder, classes) for split, folder in folders.items()
    }


def fingerprint(splits: dict[str, ClassFiles]) -> str:
    """SHA-256 of the files' names, sizes and times: equal if nothing was touched."""
    digest = hashlib.sha256()
    for split, files in splits.items():
        digest.update(f"{split} {files.names.dtype} {len(files.names)}\n".encode())
        digest.update(files.names.tobytes() + files.stamps.tobytes())
    return digest.hexdigest()


def _split_folders(root):
    """Split -> the folder's name."""
    present = _folders(root)
    found = {
        split: [name for name in names if name in present]
        for split, names in SPLITS.items()
    }
    found = {split: names for split, names in found.items() if names}
    is_clear = all(len(names) == 1 for names in found.values())
    if "train" not in found or len(found) < 2 or not is_clear:
        raise ValueError(
            "The data folder does not have the folders needed. Expected train, and "
            f"test or one of {', '.join(SPLITS['validation'])}, or both. Received: "
            f"dataset=folder:{root} with {', '.join(present) or 'no folder'}."
        )
    return {split: name for split, (name,) in found.items()}


def _entries(path):
    found = (entry for entry in os.scandir(path) if not entry.name.startswith("."))
    return sorted(found, key=lambda entry: entry.name)


def _folders(path):
    return [entry.name for entry in _entries(path) if entry.is_dir()]


def _files(root, folder, classes):
    """All files of one split."""
    names, labels, stamps, others = [], [], [], []
    numbers = {name: label for label, name in enumerate(classes)}
    for group in _entries(root / folder):
        if not group.is_dir():
            others.append(f"{folder}/{group.name}")
            continue
        if group.name not in numbers:
            raise ValueError(
                f"{folder} has a class that train lacks. Expected folders of the "
                f"{len(classes)} classes in train. Received: {folder}/{group.name} in "
                f"dataset=folder:{root}."
            )
        before = len(names)
        for entry in _entries(group.path):
            name = f"{folder}/{group.name}/{entry.name}"
            if not entry.is_file() or not name.lower().endswith(SUFFIXES):
                others.append(name)
                continue
            status = entry.stat()
            names.append(os.fsencode(name))
            labels.append(numbers[group.name])
            stamps.append((status.st_size, status.st_mtime_ns))
        if len(names) == before:
            raise ValueError(
                "A class has no images. Expected files ending in "
                f"{', '.join(SUFFIXES)} in every class folder. Received: "
                f"{folder}/{group.name} in dataset=folder:{root}."
            )
    if not names:
        raise ValueError(
            f"The folder {folder} has no class folders. Expected images in "
            f"{folder}/CLASS/. Received: dataset=folder:{root}."
        )
    return ClassFiles(
        np.array(names),
        np.array(labels, np.int32),
        np.array(stamps, np.int64),
        tuple(others),
    )
