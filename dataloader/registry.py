"""Data sets by name."""

import math
import os
from typing import Any

from common.errors import wrong
from dataloader import digits, folder, npz, tfds_sets
from dataloader.dataset import Dataset


def names() -> tuple[str, ...]:
    """The names that are always known; other TFDS names work too."""
    return ("digits", "npz:PATH", "folder:PATH", *tfds_sets.NAMES)


def is_path(name: str) -> bool:
    """Whether the set is the user's own file or folder."""
    return name.startswith(("npz:", "folder:"))


def is_here(name: str, data_dir: str | None = None) -> bool:
    """Whether the set is on this machine; `load` downloads others, unless `is_path`.

    Raises:
        ValueError: the name is unknown.
    """
    if is_path(name):
        return os.path.exists(os.path.expanduser(name.partition(":")[2]))
    if name == "digits":
        return True
    return tfds_sets.is_prepared(name, data_dir, known=names())


def load(
    name: str,
    data_dir: str | None = None,
    *,
    image_size: int = 0,
    cache_gib: float = 4.0,
    merge_valid: bool = False,
    skip_bad_images: bool = False,
) -> Dataset:
    """Loads a data set, into memory if it fits.

    Args:
        name: one of `names()`; `npz:PATH`, see `npz.load`; `folder:PATH`, see
            `folder.load`; or the name of another image classification set of
            TensorFlow Datasets, such as `svhn_cropped`.
        data_dir: where TensorFlow Datasets keeps its prepared data; None is its
            own default, `~/tensorflow_datasets`. Sets not there are downloaded.
        image_size: height and width that batches resize images to, see `resizing`;
            0 leaves them as they are, which needs images of one size.
        cache_gib: GiB of decoded images (all splits that are used) up to which they
            are held in memory. Images of several sizes, and those of larger sets,
            are read from their files for each batch. `digits` and `npz` are always
            in memory.
        merge_valid: join the validation folder of `folder:PATH` to the training data.
        skip_bad_images: leave out files of `folder:PATH` that cannot be decoded.

    Raises:
        ValueError: the name is unknown; or the data can be neither found nor
            downloaded, or are not images with one label each, or their sizes differ;
            or a number is out of its range.
    """
    if image_size < 0 or not 0 <= cache_gib < math.inf:
        raise wrong(
            "The data cannot be loaded so",
            expected="image_size and cache_gib of 0 or more",
            image_size=image_size,
            cache_gib=cache_gib,
        )
    sizes: dict[str, Any] = {"image_size": image_size, "cache_gib": cache_gib}
    if name == "digits":
        dataset = digits.load()
    elif name.startswith("npz:"):
        dataset = npz.load(name.removeprefix("npz:"))
    elif name.startswith("folder:"):
        dataset = folder.load(
            name.removeprefix("folder:"),
            merge_valid=merge_valid,
            skip_bad_images=skip_bad_images,
            **sizes,
        )
    else:
        dataset = tfds_sets.load(name, data_dir, known=names(), **sizes)
    return dataset.resized(image_size)
