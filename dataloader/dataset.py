"""What a data set is: images in memory, labels, and how they are normalised."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and labels of one split.

    Attributes:
        images: uint8 [N, H, W, C].
        labels: int32 [N], from 0 to num_classes - 1.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Split":
        """The examples at `indices`, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A named data set.

    Attributes:
        name: the name it was loaded by.
        train, test: its two published splits.
        num_classes: number of labels.
        mean, std: per channel, of pixels scaled to [0, 1].
        crops, flips: whether the field's augmentation keeps the labels true:
            random crops after padding by 4, random horizontal flips.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crops: bool = True
    flips: bool = True

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        return self.train.images.shape[1:]
