"""What data a run trains on, and what is done to the images."""

import dataclasses

from options.option import (
    COUNT_OR_NONE,
    FRACTION,
    IMAGE_SIZE,
    MAGNITUDE,
    NOT_NEGATIVE,
    PERIOD,
    SEED,
    SHARE,
    option,
)

ONLY_WITH_FOLDERS = ("merge_valid", "skip_bad_images")
ONLY_WITH_CROPS = ("pad_mode",)
ONLY_WITH_VARIATION = ("augmentation_period",)


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """The settings of the data; see `settings.Options`."""

    dataset: str = option(
        "digits", "digits, npz:FILE, folder:PATH, or a name that TFDS knows."
    )
    data_dir: str = option(
        "", "Where TFDS data sets are prepared.", is_number_free=True
    )
    data_fraction: float = option(
        1.0, "Share of the training data, class-balanced and nested.", check=FRACTION
    )
    validation: float = option(
        0.0,
        "Share of the training data held out to choose the best epoch. 0 takes the "
        "validation folder of folder:PATH where there is one beside test; a share "
        "takes its place, and the folder is not used.",
        check=SHARE,
    )
    data_seed: int = option(
        0, "Seed of split, fraction, order and augmentation.", check=SEED
    )
    validation_seed: int | None = option(
        None,
        "Seed of the split that --validation holds out. Default: --data_seed; in a "
        "grid, 0 where its teacher must not have seen the images.",
        check=SEED,
    )
    augmentation_period: int = option(
        0, "Augmentation repeats after so many epochs; 0: never.", check=PERIOD
    )
    pad_mode: str = option(
        "zero", "How images are padded before a crop.", choices=("zero", "reflect")
    )
    image_size: int = option(
        0,
        "Height and width that images are resized to: random resized crops in "
        "training, the middle in evaluation. 0: their own, which must be one.",
        check=IMAGE_SIZE,
    )
    merge_valid: bool = option(
        False, "Join the validation folder of folder:PATH to the training data."
    )
    skip_bad_images: bool = option(
        False,
        "Leave out files of folder:PATH that cannot be decoded.",
        is_number_free=True,  # what is left is told by the data's SHA-256
    )
    cache_gib: float = option(
        4.0,
        "Images of one size are held in memory if they need at most so many GiB; "
        "others are read from their files for each batch.",
        check=NOT_NEGATIVE,
        is_number_free=True,
    )
    randaugment: int = option(
        0, "Random operations on each image (RandAugment).", check=COUNT_OR_NONE
    )
    randaugment_magnitude: float = option(
        9.0, "Their strength; 10 is the end of AutoAugment's ranges.", check=MAGNITUDE
    )
    cutout: int = option(
        0, "Side of Cutout's square, which becomes the mean.", check=COUNT_OR_NONE
    )
    mixup: float = option(0.0, "Mixup's alpha; 0: none.", check=NOT_NEGATIVE)
    cutmix: float = option(
        0.0,
        "CutMix's alpha; 0: none. With --mixup, each batch gets one of both.",
        check=NOT_NEGATIVE,
    )

    @property
    def reads_folder(self) -> bool:
        """Whether the data are class folders."""
        return self.dataset.startswith("folder:")

    @property
    def split_seed(self) -> int | None:
        """What cuts the validation split; None if none is cut."""
        if not self.validation:
            return None
        return self.data_seed if self.validation_seed is None else self.validation_seed

    def validation_seed_for(self, data_seed: int) -> int | None:
        """The --validation_seed that cuts the same split beside this data seed."""
        return None if self.split_seed == data_seed else self.split_seed

    def check_labels_of(self, method) -> None:
        """Raises ValueError if the method needs one label an image, but there are two.

        Args:
            method: a `distiller.Spec`.
        """
        given = {"mixup": self.mixup, "cutmix": self.cutmix}
        mixed = [f"--{name}={alpha}" for name, alpha in given.items() if alpha]
        if method.needs_labels and mixed:
            raise ValueError(
                f"--distiller={method.name} reads the label of each image, and mixed "
                "images have two. Expected neither --mixup nor --cutmix. Received: "
                f"{', '.join(mixed)}."
            )
