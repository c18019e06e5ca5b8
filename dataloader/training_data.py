"""A data set cut up for one run: training subset, validation split, test split."""

import dataclasses
import functools
import hashlib
from typing import cast

import numpy as np
import tensorflow as tf

from common.errors import wrong
from dataloader import registry, subset
from dataloader.augmentation import Augmentation
from dataloader.dataset import Dataset, Split
from dataloader.pipeline import train_batches, version_batches


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What one run trains and is measured on.

    Attributes:
        dataset: where it all comes from.
        indices: positions of `train` in the published training split, ascending.
        train: the examples to train on.
        validation: held out before the fraction is taken, or published; may be
            empty.
        augmentation: what is done to training images.
        seed: of the fraction, the order and the augmentation.
        batch_size: images a step.
    """

    dataset: Dataset
    indices: np.ndarray
    train: Split
    validation: Split
    augmentation: Augmentation
    seed: int
    batch_size: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return len(self.train) // self.batch_size

    @property
    def splits(self) -> dict[str, Split]:
        """What accuracies are measured on, by name; only what is not empty."""
        splits = {"validation": self.validation, "test": self.dataset.test}
        return {name: split for name, split in splits.items() if len(split)}

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all images and labels: a name alone does not say what they are."""
        if self.dataset.digest:
            return self.dataset.digest
        digest = hashlib.sha256()
        for split in (self.dataset.train, self.dataset.test):
            images = cast(np.ndarray, split.images)  # Loaders of files know a digest.
            for array in (images, split.labels):
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def batches(
        self, first_epoch: int, num_epochs: int, skip_batches: int
    ) -> tf.data.Dataset:
        """Training batches from any point on, see `pipeline.train_batches`."""
        return train_batches(
            self.train,
            batch_size=self.batch_size,
            first_epoch=first_epoch,
            num_epochs=num_epochs,
            skip_batches=skip_batches,
            seed=self.seed,
            augmentation=self.augmentation,
        )

    def version(self, number: int) -> tf.data.Dataset:
        """All training images in order, as epochs of one version show them.

        See `pipeline.version_batches`.
        """
        return version_batches(
            self.train,
            batch_size=self.batch_size,
            version=number,
            seed=self.seed,
            augmentation=self.augmentation,
        )


def prepare(
    name: str,
    data_dir: str | None = None,
    *,
    batch_size: int,
    fraction: float = 1.0,
    validation: float = 0.0,
    seed: int = 0,
    validation_seed: int | None = None,
    pad_mode: str = "zero",
    period: int | None = None,
    image_size: int = 0,
    cache_gib: float = 4.0,
    merge_valid: bool = False,
    skip_bad_images: bool = False,
    randaugment: int = 0,
    randaugment_magnitude: float = 9.0,
    cutout: int = 0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> TrainingData:
    """Loads a data set and cuts it.

    Args:
        name: see `registry.load`.
        data_dir: see `registry.load`.
        batch_size: images a step.
        fraction: share of the training data to keep, after the validation split.
        validation: share of the training data to hold out. 0 takes the published
            validation split where there is one; a share takes its place.
        seed: of the cut, the order and the augmentation.
        validation_seed: of the validation split; None takes `seed`.
        pad_mode: see `augmentation.Augmentation`.
        period: see `augmentation.Augmentation`.
        image_size: see `registry.load`.
        cache_gib: see `registry.load`.
        merge_valid: see `registry.load`.
        skip_bad_images: see `registry.load`.
        randaugment: the same.
        randaugment_magnitude: the same.
        cutout: the same; the data's mean is what it leaves.
        mixup: the same.
        cutmix: the same.

    Raises:
        ValueError: the set cannot be loaded, or a number is out of its range.
    """
    dataset = registry.load(
        name,
        data_dir,
        image_size=image_size,
        cache_gib=cache_gib,
        merge_valid=merge_valid,
        skip_bad_images=skip_bad_images,
    )
    labels, split_seed = dataset.train.labels, validation_seed
    split_seed = seed if split_seed is None else split_seed
    kept, held_out = subset.split_validation(labels, validation, split_seed)
    chosen = subset.balanced_subset(labels[kept], fraction, seed)
    indices = kept[chosen]
    if not 1 <= batch_size <= len(indices):
        raise wrong(
            f"A batch does not fit the training data of {name}",
            expected=f"a batch_size from 1 to {len(indices)}",
            batch_size=batch_size,
        )
    published = dataset.validation
    if published is not None and validation:
        note = f"validation={validation} holds out training data; the {len(published)}"
        note += " images of the published validation split are not used"
        dataset = dataclasses.replace(dataset, notes=(*dataset.notes, note))
        published = None
    return TrainingData(
        dataset=dataset,
        indices=indices,
        train=dataset.train.take(indices),
        validation=dataset.train.take(held_out) if published is None else published,
        augmentation=Augmentation(
            crops=dataset.crops,
            flips=dataset.flips,
            pad_mode=pad_mode,
            period=period,
            randaugment=randaugment,
            randaugment_magnitude=randaugment_magnitude,
            cutout=cutout,
            mean=dataset.mean,
            mixup=mixup,
            cutmix=cutmix,
        ),
        seed=seed,
        batch_size=batch_size,
    )
