"""Image classification sets of TensorFlow Datasets (TFDS)."""

import contextlib
import os

import numpy as np
from absl import logging

from common.errors import wrong
from dataloader import tfds_records
from dataloader.dataset import Dataset, Split
from dataloader.pixels import count_statistics, pixel_statistics
from dataloader.without_autotuning import without_autotuning

NAMES = (
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "mnist",
    "svhn_cropped",
    "imagenet_resized/32x32",
    "imagenet_resized/64x64",
    "imagenet2012",
    "imagenette",
)

# Mean and std of all training pixels, as published distillation code has them
# (RepDistiller and mdistiller for CIFAR-100, everybody for ImageNet).
_IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_PUBLISHED_STATISTICS = {
    "imagenet2012": _IMAGENET_STATISTICS,
    "imagenette": _IMAGENET_STATISTICS,
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}

# Writing: a mirrored character is another one, or none.
_NO_FLIPS = (
    "binary_alpha_digits",
    "cmaterdb",
    "emnist",
    "kmnist",
    "mnist",
    "mnist_corrupted",
    "omniglot",
    "svhn_cropped",
)


def load(
    name: str,
    data_dir: str | None,
    known: tuple[str, ...] = NAMES,
    *,
    image_size: int = 0,
    cache_gib: float = 4.0,
) -> Dataset:
    """Loads a TFDS set, downloading it first if it is not prepared.

    Args:
        name: as TFDS writes it: `name`, `name/config`, `name:version`.
        data_dir: folder of prepared sets, None for TFDS's default.
        known: names listed if TFDS does not know this one.
        image_size: see `dataloader.load`.
        cache_gib: see `dataloader.load`.

    Raises:
        ValueError: see `dataloader.load`.
    """
    with _quiet():
        builder = _builder(name, data_dir, known)
        keys = _checked_keys(name, builder.info, image_size)
        if not builder.is_prepared():
            _prepare(name, builder)
        names = "train", _test_split(name, builder, keys)
        shape = builder.info.features[keys[0]].shape
        count = sum(builder.info.splits[split].num_examples for split in names)
        digest = ""
        if None in shape or count * np.prod(shape) > cache_gib * 2**30:
            found = tfds_records.find(builder, names, keys)
            splits, digest = found.splits, found.digest
        else:
            splits = [_read(builder, split, keys) for split in names]
    for split_name, split in zip(names, splits, strict=True):
        _check_split(name, builder, split_name, split)
    if builder.name in _PUBLISHED_STATISTICS:
        mean, std = _PUBLISHED_STATISTICS[builder.name]
    elif digest:
        mean, std = count_statistics(found.counts)
    else:
        mean, std = pixel_statistics(splits[0].images)
    label = builder.info.features[keys[1]]
    return Dataset(
        name=name,
        train=splits[0],
        test=splits[1],
        num_classes=label.num_classes,
        mean=mean,
        std=std,
        flips=builder.name not in _NO_FLIPS,
        digest=digest,
        class_names=_class_names(label),
    )


def is_prepared(
    name: str, data_dir: str | None, known: tuple[str, ...] = NAMES
) -> bool:
    """Whether `load` need not download the set; ValueError if there is none."""
    with _quiet():
        return _builder(name, data_dir, known).is_prepared()


def _builder(name, data_dir, known):
    # Five seconds to import, so only those wait who need it.
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except Exception as error:  # of many classes: unknown set, config, version
        raise ValueError(
            f"Unknown data set. Expected one of {', '.join(known)}, or another "
            f"name that TensorFlow Datasets knows.{_of_files(name)} Received: {name=}. "
            f"({_first_line(error)})"
        ) from error


def _of_files(name: str) -> str:
    """What to write before the name of a file or folder; empty for other names."""
    kind = "npz" if name.endswith(".npz") else "folder" if os.path.isdir(name) else ""
    return f" Did you mean {kind}:{name}?" if kind else ""


def _class_names(label) -> tuple[str, ...] | None:
    """The labels' names; None where TFDS has only numbers, which it makes up itself."""
    names = tuple(label.names)
    return None if all(name.isdecimal() for name in names) else names


def _test_split(name, builder, keys):
    """The name of the split to test on: labels of some test splits are secret."""
    splits = builder.info.splits
    present = [split for split in ("test", "validation") if split in splits]
    if "train" not in splits or not present:
        raise wrong(
            "The data set does not have the splits needed",
            expected="train, and test or validation",
            received=f"{name=} with {', '.join(splits)}",
        )
    if len(present) > 1:
        import tensorflow_datasets as tfds

        decoders = {keys[0]: tfds.decode.SkipDecoding()}
        first = builder.as_dataset(split="test[:1]", decoders=decoders)
        if any(example[keys[1]] < 0 for example in first.as_numpy_iterator()):
            return "validation"
    return present[0]


def _checked_keys(name, info, image_size):
    """The names of the image and the label, which must be of the right kind."""
    import tensorflow_datasets as tfds

    # Sets written by `store_as_tfds_dataset` do not say which is which.
    keys = info.supervised_keys or ("image", "label")
    features = [info.features[key] for key in keys if key in info.features]
    if (
        len(features) != 2
        or not isinstance(features[0], tfds.features.Image)
        or not isinstance(features[1], tfds.features.ClassLabel)
        or features[0].shape[-1] is None
        or features[0].np_dtype != np.uint8
    ):
        kinds = ", ".join(str(feature) for feature in features) or "no labelled images"
        raise wrong(
            "Not a data set for image classification",
            expected="uint8 images of a fixed number of channels and a class label",
            received=f"{name=} with {kinds}",
        )
    if None in features[0].shape and not image_size:
        raise wrong(
            "The images of this data set differ in size",
            expected="--image_size=N, to resize them to NxN",
            received=f"{name=} with images of {features[0].shape}",
        )
    return keys


def _prepare(name, builder):
    import requests  # TFDS downloads with it
    import tensorflow_datasets as tfds

    # Without this TFDS asks Google's cloud first, which hangs where there is none.
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    by_hand = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    try:
        urls = [url for url in builder.url_infos or () if url.startswith("http")]
        for url in [] if by_hand else urls[:1]:
            # Offline, TFDS tries ten times, for minutes: one try tells as much.
            requests.head(url, timeout=10)
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # network, disk, missing package, manual download
        if by_hand:
            raise ValueError(
                f"Data set {name!r} is not prepared in {str(builder.data_path)!r} and "
                "its files must be downloaded by hand. Expected what TFDS says: "
                f"{_first_line(error)} {' '.join(by_hand.split())}"
            ) from error
        raise ValueError(
            f"Data set {name!r} is not prepared in {str(builder.data_path)!r} and "
            f"could not be downloaded. Run `tfds build {name} --data_dir=DIR` where "
            "there is a network, copy DIR here and give it as data_dir. Received: "
            f"{type(error).__name__}: {_first_line(error)}."
        ) from error


def _read(builder, split, keys):
    """All examples of one split in the order of the files."""
    import tensorflow_datasets as tfds

    size = builder.info.splits[split].num_examples
    shape = builder.info.features[keys[0]].shape
    images, labels = np.empty([size, *shape], np.uint8), np.empty([size], np.int32)
    end = 0
    # Decoding is parallel, yet TFDS keeps the order if files are not shuffled.
    batches = builder.as_dataset(
        split=split,
        shuffle_files=False,
        batch_size=1000,
        read_config=tfds.ReadConfig(try_autocache=False),  # read once: keep no copy
    )
    for batch in without_autotuning(batches).as_numpy_iterator():
        start, end = end, end + len(batch[keys[1]])
        images[start:end], labels[start:end] = batch[keys[0]], batch[keys[1]]
    return Split(images[:end], labels[:end])


def _check_split(name, builder, split_name, split):
    size = builder.info.splits[split_name].num_examples
    if len(split) != size or split.labels.min() < 0:
        raise wrong(
            f"Split {split_name!r} cannot be used",
            expected=f"{size} labelled images",
            received=f"{name=} with {len(split)} images, {(split.labels < 0).sum()} of "
            "them without a label",
        )


@contextlib.contextmanager
def _quiet():
    """Keeps TFDS's progress bars and INFO lines out of the log."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _first_line(error):
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
