"""Which image files lie in which class folder: PATH/SPLIT/CLASS/FILE."""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from common.errors import wrong

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
        raise wrong(
            "There is no such data folder",
            expected="PATH of folder:PATH with train/CLASS/ and test/CLASS/ in it",
            received=f"dataset=folder:{root}",
        )
    folders = _split_folders(root)
    classes = tuple(_folders(root / folders["train"]))
    if not classes:
        raise wrong(
            "The training data have no class folders",
            expected=f"images in {folders['train']}/CLASS/",
            received=f"dataset=folder:{root}",
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
        raise wrong(
            "The data folder does not have the folders needed",
            expected=f"train, and test or one of {', '.join(SPLITS['validation'])}, or "
            "both",
            received=f"dataset=folder:{root} with {', '.join(present) or 'no folder'}",
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
            raise wrong(
                f"{folder} has a class that train lacks",
                expected=f"folders of the {len(classes)} classes in train",
                received=f"{folder}/{group.name} in dataset=folder:{root}",
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
            raise wrong(
                "A class has no images",
                expected=f"files ending in {', '.join(SUFFIXES)} in every class folder",
                received=f"{folder}/{group.name} in dataset=folder:{root}",
            )
    if not names:
        raise wrong(
            f"The folder {folder} has no class folders",
            expected=f"images in {folder}/CLASS/",
            received=f"dataset=folder:{root}",
        )
    return ClassFiles(
        np.array(names),
        np.array(labels, np.int32),
        np.array(stamps, np.int64),
        tuple(others),
    )
