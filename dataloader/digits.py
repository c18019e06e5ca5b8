"""scikit-learn's handwritten digits: in its wheel, so nothing is downloaded."""

import numpy as np

from dataloader.dataset import Dataset, Split
from dataloader.pixels import pixel_statistics
from dataloader.subset import split_validation


def load() -> Dataset:
    """1,797 images of 8x8x1, divided 80/20 with equal shares of each class.

    The division is fixed, whatever the seed of a run. Neither crops nor flips:
    4 pixels are half an image, and a mirrored 2 is no digit.
    """
    from sklearn import datasets  # a second to import, needed for this set only

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16))  # its values are 0..16
    everything = Split(
        images.astype(np.uint8)[..., np.newaxis], digits.target.astype(np.int32)
    )
    train, test = split_validation(everything.labels, share=0.2, seed=0)
    train = everything.take(train)
    mean, std = pixel_statistics(train.images)
    return Dataset(
        name="digits",
        train=train,
        test=everything.take(test),
        num_classes=10,
        mean=mean,
        std=std,
        crops=False,
        flips=False,
        class_names=tuple("0123456789"),
    )
