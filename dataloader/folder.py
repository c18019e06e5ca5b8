"""Your own images in folders of classes: `--dataset=folder:PATH`."""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from common.errors import wrong
from dataloader import class_folders, fetching, image_check, result_cache
from dataloader.dataset import Dataset, Split
from dataloader.encoded import ImageFiles
from dataloader.pixels import count_statistics

KEPT = ".image_check.npz"  # in PATH: what checking every file found
_FORMAT = 2  # of that file
_SHOWN = 3  # names in a message


@dataclasses.dataclass(frozen=True)
class _Part:
    """The files of one split that are used.

    Attributes:
        names, labels: see `class_folders.ClassFiles`.
        facts, counts: see `image_check.check`.
    """

    names: np.ndarray
    labels: np.ndarray
    facts: np.ndarray
    counts: np.ndarray

    def __add__(self, other):
        return _Part(
            *(
                np.concatenate([getattr(part, name) for part in (self, other)])
                for name in ("names", "labels", "facts")
            ),
            counts=self.counts + other.counts,
        )


def load(
    path: str,
    *,
    image_size: int = 0,
    cache_gib: float = 4.0,
    merge_valid: bool = False,
    skip_bad_images: bool = False,
) -> Dataset:
    """Reads PATH/train/CLASS/*.png, PATH/test/CLASS/*.jpg and so on.

    Every file is decoded once, see `image_check`; the result is kept in PATH and
    holds until a name, a size or a time of change is another. The validation folder
    is called `valid`, `val` or `validation`. Without a test folder it is the test
    split.

    Args:
        path: PATH.
        image_size: what batches resize images to; 0 needs images of one size.
        cache_gib: GiB of pixels up to which images of one size are held in memory.
        merge_valid: join the validation folder to the training data.
        skip_bad_images: leave out files that cannot be decoded.

    Raises:
        ValueError: a folder or a class is missing or empty, a file is bad, or sizes
            differ.
    """
    root = pathlib.Path(path).expanduser().absolute()
    classes, files = class_folders.find(root)
    if merge_valid and not {"validation", "test"} <= files.keys():
        raise wrong(
            "There is no validation folder to merge",
            expected="train, test and valid folders with merge_valid",
            received=f"dataset=folder:{root} with {', '.join(files)}",
        )
    parts, notes = _checked(root, files, classes, skip_bad_images)
    if merge_valid:
        parts["train"] += parts.pop("validation")
    if "test" not in parts:
        parts["test"] = parts.pop("validation")
    shape = _image_shape(parts, root, image_size)
    splits = _splits(parts, root, shape, cache_gib)
    mean, std = count_statistics(parts["train"].counts[: shape[-1]])
    return Dataset(
        name=f"folder:{path}",
        **splits,
        num_classes=len(classes),
        mean=mean,
        std=std,
        digest=_digest(parts),
        notes=notes,
        class_names=classes,
    )


def _checked(root, files, classes, skip_bad_images):
    """Split -> its good files; and what there is to tell."""

    def check_all():
        found = {}
        for split, listed in files.items():
            facts, counts = image_check.check(_paths(root, listed.names), split)
            found |= {f"{split}.facts": facts, f"{split}.counts": counts}
        return found

    key = f"{_FORMAT} {class_folders.fingerprint(files)}"
    found = result_cache.recall(root / KEPT, key, check_all)
    parts, bad, others = {}, [], []
    for split, listed in files.items():
        facts = found[f"{split}.facts"]
        is_good = facts["problem"] == b""
        for i in np.flatnonzero(~is_good):
            bad.append(f"{_text(listed.names[i])} ({_text(facts['problem'][i])})")
        others += listed.others
        parts[split] = _Part(
            listed.names[is_good],
            listed.labels[is_good],
            facts[is_good],
            found[f"{split}.counts"],
        )
    if bad and not skip_bad_images:
        raise wrong(
            f"{len(bad)} image files cannot be used: {_first(bad)}",
            expected="PNG or JPEG images; --skip_bad_images leaves others out",
            received=f"dataset=folder:{root}",
        )
    for split, part in parts.items():
        lost = np.setdiff1d(files[split].labels, part.labels)
        if len(lost):
            raise wrong(
                "A class has no good image",
                expected="one or more in every class folder",
                received=f"class {classes[lost[0]]} of {split} in "
                f"dataset=folder:{root}, bad are {_first(bad)}",
            )
    notes = []
    if bad:
        notes.append(f"{len(bad)} bad image files are left out: {_first(bad)}")
    if others:
        notes.append(
            f"ignored, because not .png, .jpg or .jpeg in a class folder: "
            f"{_first(others)}"
        )
    turned = [
        _text(name)
        for part in parts.values()
        for name in part.names[part.facts["orientation"] > 1]
    ]
    if turned:
        notes.append(
            "pictures with an EXIF orientation, which are taken as stored, not turned: "
            f"{len(turned)} ({_first(turned)}); turn the files to change that"
        )
    return parts, tuple(notes)


def _image_shape(parts, root, image_size):
    """(H, W, C) of all images, H and W None where they differ."""
    channels = 1 if all(part.facts["is_grey"].all() for part in parts.values()) else 3
    names = np.concatenate([part.names for part in parts.values()])
    sizes = np.concatenate([part.facts["size"] for part in parts.values()])
    others = np.flatnonzero((sizes != sizes[0]).any(axis=1))
    if not len(others):
        return (*sizes[0].tolist(), channels)
    if not image_size:
        first, second = (
            f"{_text(names[i])} is {sizes[i][0]}x{sizes[i][1]}" for i in (0, others[0])
        )
        raise wrong(
            "The images differ in size (height x width)",
            expected="one size, or --image_size=N to resize them to NxN",
            received=f"dataset=folder:{root} where {first} and {second}",
        )
    return (None, None, channels)


def _splits(parts, root, shape, cache_gib):
    """Split -> images, in memory if they are of one size and fit, and labels."""
    count = sum(len(part.names) for part in parts.values())
    fits = None not in shape and count * np.prod(shape) <= cache_gib * 2**30
    splits = {}
    for split, part in parts.items():
        images = ImageFiles(_paths(root, part.names), shape)
        splits[split] = Split(fetching.held(images) if fits else images, part.labels)
    return splits


def _digest(parts):
    """SHA-256 of the names and contents of all files that are used."""
    digest = hashlib.sha256()
    for split in sorted(parts):
        part = parts[split]
        digest.update(f"{split} {len(part.names)}\n".encode())
        digest.update(b"\n".join(part.names.tolist()) + part.facts["sha256"].tobytes())
    return digest.hexdigest()


def _paths(root, names):
    return np.strings.add(os.path.join(os.fsencode(root), b""), names)


def _first(names):
    more = "" if len(names) <= _SHOWN else f" and {len(names) - _SHOWN} more"
    return ", ".join(names[:_SHOWN]) + more


def _text(name):
    """A file's name for a message, whatever bytes it is made of."""
    return name.decode(errors="backslashreplace")
