"""What a data set is: images, labels, and how they are normalised."""

import dataclasses

import numpy as np

from dataloader.encoded import EncodedImages


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and labels of one split.

    Attributes:
        images: uint8 [N, H, W, C] in memory, or images that are read when a batch
            asks for them.
        labels: int32 [N], from 0 to num_classes - 1.
        image_size: height and width that batches resize the images to; 0 leaves
            them as they are.
    """

    images: np.ndarray | EncodedImages
    labels: np.ndarray
    image_size: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images in a batch."""
        height, width, channels = self.images.shape[1:]
        size = self.image_size
        return (size or height, size or width, channels)

    def take(self, indices: np.ndarray) -> "Split":
        """The examples at `indices`, in that order."""
        if np.array_equal(indices, np.arange(len(self))):
            return self  # no second copy of images that fill the memory
        return dataclasses.replace(
            self, images=self.images[indices], labels=self.labels[indices]
        )


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A named data set.

    Attributes:
        name: the name it was loaded by.
        train, test: its two published splits.
        num_classes: number of labels.
        mean, std: per channel, of pixels scaled to [0, 1].
        crops, flips: whether the field's augmentation keeps the labels true:
            random crops after padding by 4 (or resized ones, where the images are
            resized), random horizontal flips.
        validation: the published validation split, if there is one beside `test`.
        digest: SHA-256 of the content where the loader knows it; else empty.
        notes: what its user should be told, a line each.
        class_names: what the labels stand for, in their order; None is unknown.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crops: bool = True
    flips: bool = True
    validation: Split | None = None
    digest: str = ""
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image in a batch."""
        return self.train.image_shape

    def resized(self, image_size: int) -> "Dataset":
        """The same data set with batches of images of this size; 0: of their own."""
        splits = {
            name: dataclasses.replace(getattr(self, name), image_size=image_size)
            for name in ("train", "test", "validation")
            if getattr(self, name) is not None
        }
        return dataclasses.replace(self, **splits)
