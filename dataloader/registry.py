"""Data sets by name."""

from dataloader import digits, npz, tfds_sets
from dataloader.dataset import Dataset


def names() -> tuple[str, ...]:
    """The names that are always known; other TFDS names work too."""
    return ("digits", "npz:PATH", *tfds_sets.NAMES)


def load(name: str, data_dir: str | None = None) -> Dataset:
    """Loads a data set into memory.

    Args:
        name: one of `names()`; `npz:PATH`, see `npz.load`; or the name of another
            image classification set of TensorFlow Datasets, such as `svhn_cropped`.
        data_dir: where TensorFlow Datasets keeps its prepared data; None is its
            own default, `~/tensorflow_datasets`. Sets not there are downloaded.

    Raises:
        ValueError: the name is unknown; or the data can be neither found nor
            downloaded, or are not images of one size with one label each.
    """
    if name == "digits":
        return digits.load()
    if name.startswith("npz:"):
        return npz.load(name.removeprefix("npz:"))
    return tfds_sets.load(name, data_dir, known=names())
