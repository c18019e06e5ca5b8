"""The settings of a training run: defaults, help, ranges; and what they decide."""

import dataclasses
import hashlib
import json
import math
import pathlib
import re
from collections.abc import Callable

from op_utils.recipe import Recipe, learning_rates

# What Keras models expect of their images, see nets/scaling.py; "" is not said.
SCALINGS = ("", "pixels", "unit", "normalised", "tf", "torch", "caffe")


@dataclasses.dataclass(frozen=True)
class _Range:
    """A condition on a number, with the words that an error uses for it."""

    words: str
    holds: Callable[[float], bool]


_POSITIVE = _Range("a finite number above 0", lambda x: 0 < x < math.inf)
_NOT_NEGATIVE = _Range("a finite number, 0 or more", lambda x: 0 <= x < math.inf)
_FRACTION = _Range("above 0 and at most 1", lambda x: 0 < x <= 1)
_SHARE = _Range("at least 0 and below 1", lambda x: 0 <= x < 1)
_COUNT = _Range("1 or more", lambda x: x >= 1)
_PERIOD = _Range("0 (no period) or more", lambda x: x >= 0)
_IMAGE_SIZE = _Range("0 (the images' own) or more", lambda x: x >= 0)
_COUNT_OR_NONE = _Range("0 (none) or more", lambda x: x >= 0)
_MAGNITUDE = _Range("from 0 to 30", lambda x: 0 <= x <= 30)
_SEED = _Range("from 0 to 2147483647", lambda x: 0 <= x < 2**31)


def _option(default, words, *, check=None, choices=None, is_number_free=False):
    """A field with its help text and its condition.

    `is_number_free` marks what decides none of the run's numbers: it may change
    when a run is resumed.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": words,
            "check": check,
            "choices": choices,
            "is_number_free": is_number_free,
        },
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """All settings of a run; each field is a flag of train_w_distill.py.

    Raises:
        ValueError: a setting is out of its range.
    """

    train_dir: str = _option(
        "",
        "Run folder; the same command resumes in it. Default: a name made of the "
        "settings under runs/.",
        is_number_free=True,
    )
    dataset: str = _option(
        "digits", "digits, npz:FILE, folder:PATH, or a name that TFDS knows."
    )
    data_dir: str = _option(
        "", "Where TFDS data sets are prepared.", is_number_free=True
    )
    data_fraction: float = _option(
        1.0, "Share of the training data, class-balanced and nested.", check=_FRACTION
    )
    validation: float = _option(
        0.0,
        "Share of the training data held out to choose the best epoch. 0 takes the "
        "validation folder of folder:PATH where there is one beside test; a share "
        "takes its place, and the folder is not used.",
        check=_SHARE,
    )
    data_seed: int = _option(
        0, "Seed of split, fraction, order and augmentation.", check=_SEED
    )
    augmentation_period: int = _option(
        0, "Augmentation repeats after so many epochs; 0: never.", check=_PERIOD
    )
    pad_mode: str = _option(
        "zero", "How images are padded before a crop.", choices=("zero", "reflect")
    )
    image_size: int = _option(
        0,
        "Height and width that images are resized to: random resized crops in "
        "training, the middle in evaluation. 0: their own, which must be one.",
        check=_IMAGE_SIZE,
    )
    merge_valid: bool = _option(
        False, "Join the validation folder of folder:PATH to the training data."
    )
    skip_bad_images: bool = _option(
        False,
        "Leave out files of folder:PATH that cannot be decoded.",
        is_number_free=True,  # what is left is told by the data's SHA-256
    )
    cache_gib: float = _option(
        4.0,
        "Images of one size are held in memory if they need at most so many GiB; "
        "others are read from their files for each batch.",
        check=_NOT_NEGATIVE,
        is_number_free=True,
    )
    randaugment: int = _option(
        0, "Random operations on each image (RandAugment).", check=_COUNT_OR_NONE
    )
    randaugment_magnitude: float = _option(
        9.0, "Their strength; 10 is the end of AutoAugment's ranges.", check=_MAGNITUDE
    )
    cutout: int = _option(
        0, "Side of Cutout's square, which becomes the mean.", check=_COUNT_OR_NONE
    )
    mixup: float = _option(0.0, "Mixup's alpha; 0: none.", check=_NOT_NEGATIVE)
    cutmix: float = _option(
        0.0,
        "CutMix's alpha; 0: none. With --mixup, each batch gets one of both.",
        check=_NOT_NEGATIVE,
    )
    teacher: str = _option(
        "resnet20",
        "The teacher: a net that is trained first, keras.applications.NAME or "
        "keras.applications.NAME/SIZE, or a trained model, a .keras file.",
    )
    teacher_checkpoint: str = _option(
        "", "A trained teacher, a .keras file; the same as --teacher=FILE."
    )
    teacher_taps: str = _option(
        "", "Of a Keras model: tap=LAYER,..., such as stage1=block2_out,stage2=out."
    )
    teacher_scaling: str = _option(
        "", "How the model of a .keras file wants pixels.", choices=SCALINGS
    )
    teacher_weights: str = _option(
        "", "Of keras.applications: none, imagenet, or a file; none is trained first."
    )
    teacher_epochs: int = _option(60, "Epochs of the teacher's training.", check=_COUNT)
    teacher_seed: int = _option(0, "Seed of the teacher's training.", check=_SEED)
    student: str = _option(
        "resnet8", "The student: as --teacher; a .keras file's weights are its start."
    )
    student_taps: str = _option("", "As --teacher_taps.")
    student_scaling: str = _option("", "As --teacher_scaling.", choices=SCALINGS)
    student_weights: str = _option("", "As --teacher_weights.")
    imports: tuple[str, ...] = _option(
        (), "A Python file or module with classes that a .keras file names."
    )
    distiller: str = _option("Soft_logits", "Method, or a sum such as VID+Soft_logits.")
    hparam: tuple[str, ...] = _option(
        (), "A method's hyperparameter, name=value; may be given again and again."
    )
    task_weight: float | None = _option(
        None,
        "Weight of the label cross-entropy in the last phase. Default: 1 unless the "
        "method's paper says otherwise.",
        check=_NOT_NEGATIVE,
    )
    epochs: int = _option(60, "Epochs of the (last) training phase.", check=_COUNT)
    init_epochs: int = _option(
        30, "Epochs of an initialising phase, for methods that have one.", check=_COUNT
    )
    init_learning_rate: float | None = _option(
        None,
        "Constant learning rate of an initialising phase. Default: --learning_rate.",
        check=_POSITIVE,
    )
    batch_size: int = _option(64, "Images a step.", check=_COUNT)
    learning_rate: float = _option(0.05, "Highest learning rate.", check=_POSITIVE)
    schedule: str = _option(
        "cosine", "Course of the learning rate.", choices=("cosine", "step", "constant")
    )
    decay_points: tuple[float, ...] = _option(
        (0.625, 0.75, 0.875),
        "Where --schedule=step decays: epochs, or shares of --epochs if all below 1.",
        check=_POSITIVE,
    )
    decay_rate: float = _option(0.1, "Factor of each step decay.", check=_FRACTION)
    warmup_epochs: float = _option(
        0.0, "Epochs of linear warm-up at the start of the last phase.",
        check=_NOT_NEGATIVE,
    )  # fmt: skip
    weight_decay: float = _option(
        5e-4,
        "L2, added to the gradient of every trained variable.",
        check=_NOT_NEGATIVE,
    )
    momentum: float = _option(0.9, "Momentum of SGD.", check=_SHARE)
    nesterov: bool = _option(False, "Nesterov momentum.")
    precision: str = _option(
        "float32", "Of the nets; losses are always float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )  # fmt: skip
    xla: bool = _option(False, "Compile forward and backward with XLA.")
    seed: int = _option(0, "Seed of initialisation and of the method.", check=_SEED)
    evaluate_every: int = _option(
        1, "Epochs between two evaluations.", check=_COUNT, is_number_free=True
    )
    log_every: int = _option(
        50, "Steps between two TensorBoard points.", check=_COUNT, is_number_free=True
    )
    checkpoint_every: int = _option(
        500, "Steps between two checkpoints.", check=_COUNT, is_number_free=True
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                "--warmup_epochs is as long as the training. Expected less than "
                f"--epochs={self.epochs}. Received: "
                f"--warmup_epochs={self.warmup_epochs}."
            )

    def config(self) -> dict:
        """All that decides the run's numbers, as JSON values."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata["is_number_free"]
        }
        if self.schedule != "step":
            values |= _defaults("decay_points", "decay_rate")
        if not self.momentum:
            values |= _defaults("nesterov")
        if self.image_size:
            values |= _defaults("pad_mode")
        if not self.reads_folder:
            values |= _defaults("merge_valid")
        if not self.randaugment:
            values |= _defaults("randaugment_magnitude")
        for name in FILES:  # Their content counts, not where they lie.
            if self._is_file(name):
                values[name] = file_digest(values[name])
        return json.loads(json.dumps(values))

    def _is_file(self, name: str) -> bool:
        value = getattr(self, name)
        if name.endswith("_weights"):
            return value not in (*FRESH, "imagenet")
        return value.endswith(".keras") or (name == "teacher_checkpoint" and value)

    @property
    def reads_folder(self) -> bool:
        """Whether the data are class folders."""
        return self.dataset.startswith("folder:")

    @property
    def uses_teacher(self) -> bool:
        """Whether these settings name a teacher."""
        return bool(self.teacher or self.teacher_checkpoint)

    @property
    def has_trained_teacher(self) -> bool:
        """Whether the teacher comes with its weights."""
        return bool(self.teacher_checkpoint) or self.teacher_weights not in FRESH

    def net(self, role: str) -> dict:
        """Keyword arguments of `nets.given.Given` for the teacher or the student."""
        names = ("taps", "scaling", "weights")
        given = {name: getattr(self, f"{role}_{name}") for name in names}
        file = self.teacher_checkpoint if role == "teacher" else ""
        return {"role": role, "name": getattr(self, role), "file": file, **given}

    @property
    def fresh_teacher_seed(self) -> int:
        """Seed of the weights of a teacher that starts together with the student.

        It is beyond those that --seed can be, so that no student starts as it does.
        """
        return self.seed + 2**31

    def data(self) -> dict:
        """Keyword arguments of `dataloader.prepare`."""
        return {
            "name": self.dataset,
            "data_dir": self.data_dir or None,
            "batch_size": self.batch_size,
            "fraction": self.data_fraction,
            "validation": self.validation,
            "seed": self.data_seed,
            "pad_mode": self.pad_mode,
            "period": self.augmentation_period or None,
            "image_size": self.image_size,
            "cache_gib": self.cache_gib,
            "merge_valid": self.merge_valid,
            "skip_bad_images": self.skip_bad_images,
            "randaugment": self.randaugment,
            "randaugment_magnitude": self.randaugment_magnitude,
            "cutout": self.cutout,
            "mixup": self.mixup,
            "cutmix": self.cutmix,
        }

    def rates(self, steps_per_epoch: int) -> dict:
        """Learning rates by phase length; ValueError if the schedule cannot be."""
        return learning_rates(self, steps_per_epoch)

    def recipe(self, steps_per_epoch: int, mean, std) -> Recipe:
        """What the trainer needs to know, for data of this size and scale."""
        return Recipe(
            rates=self.rates(steps_per_epoch),
            batch_size=self.batch_size,
            steps_per_epoch=steps_per_epoch,
            mean=mean,
            std=std,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            scale_loss=self.precision == "mixed_float16",
            task_weight=self.task_weight,
            seed=self.seed,
            xla=self.xla,
            log_every=self.log_every,
            checkpoint_every=self.checkpoint_every,
            evaluate_every=self.evaluate_every,
        )

    def default_train_dir(self, parent: str = "runs") -> str:
        """A folder name from the settings: the same command finds the same folder."""
        text = json.dumps(self.config(), sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:8]
        student = self.student
        if self._is_file("student"):
            student = pathlib.PurePath(student).stem
        # Some have "/" or ":".
        dataset = re.sub(r"[^\w.]+", "_", self.dataset)
        student = re.sub(r"[^\w.-]+", "_", student)
        return f"{parent}/{dataset}-{student}-{self.distiller}-{key}"

    def without_teacher(self) -> "Options":
        """The same settings with those of a teacher left out."""
        names = (*ONLY_WITH_TEACHER, "teacher_checkpoint", *TEACHER_MODEL)
        return dataclasses.replace(self, **_defaults(*names), teacher="")

    def without_unused(self, phases, augmentation) -> "Options":
        """The same settings with those left out that decide nothing in this run.

        Args:
            phases: the method's.
            augmentation: a `dataloader.Augmentation`, what is done to the images.
        """
        unused = () if augmentation.crops else ONLY_WITH_CROPS
        unused += () if augmentation.varies else ONLY_WITH_VARIATION
        if not any(phase.length == "init" for phase in phases):
            unused += ONLY_WITH_INIT
        return dataclasses.replace(self, **_defaults(*unused))

    def with_teacher_of(self, method) -> "Options":
        """The same settings without those of a teacher that the method does not need.

        Args:
            method: a `distiller.Spec`.

        Raises:
            ValueError: a trained teacher is given to a method that trains its own.
        """
        if not method.uses_teacher:
            return self.without_teacher()
        if method.trains_teacher and self.has_trained_teacher:
            name = "checkpoint" if self.teacher_checkpoint else "weights"
            raise ValueError(
                f"--distiller={method.name} trains teacher and student together, both "
                "from fresh weights. Expected --teacher=NET instead of a trained one. "
                f"Received: --teacher_{name}={getattr(self, f'teacher_{name}')}."
            )
        if method.trains_teacher or self.has_trained_teacher:
            unused = dataclasses.replace(self, **_defaults(*ONLY_WITH_TEACHER))
            no_net = {"teacher": ""} if self.teacher_checkpoint else {}
            return dataclasses.replace(unused, **no_net)
        return self

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

    def for_teacher(self) -> "Options":
        """The settings of the teacher's own training, whatever the student's are."""
        options = dataclasses.replace(
            self.without_teacher(),
            student=self.teacher,
            student_taps=self.teacher_taps,
            student_scaling="",
            student_weights="",
            epochs=self.teacher_epochs,
            seed=self.teacher_seed,
            warmup_epochs=min(self.warmup_epochs, self.teacher_epochs / 2),
            data_fraction=1.0,
            distiller="none",
            hparam=(),
            task_weight=1.0,
            **_defaults(*ONLY_WITH_INIT),
        )
        return dataclasses.replace(
            options, train_dir=options.default_train_dir("runs/teachers")
        )


FRESH = ("", "none")  # of *_weights: there are none
FILES = ("teacher_checkpoint", "teacher_weights", "student", "student_weights")
TEACHER_MODEL = ("teacher_taps", "teacher_scaling", "teacher_weights")
ONLY_WITH_TEACHER = ("teacher_epochs", "teacher_seed")
ONLY_WITH_INIT = ("init_epochs", "init_learning_rate")
ONLY_WITH_FOLDERS = ("merge_valid", "skip_bad_images")
ONLY_WITH_CROPS = ("pad_mode",)
ONLY_WITH_VARIATION = ("augmentation_period",)


def _defaults(*names: str) -> dict:
    return {f.name: f.default for f in dataclasses.fields(Options) if f.name in names}


def _check(field: dataclasses.Field, value) -> None:
    """Raises ValueError unless the value is in the field's range."""
    check, choices = field.metadata["check"], field.metadata["choices"]
    if choices and value not in choices:
        known = ", ".join(filter(None, choices))
        raise ValueError(
            f"--{field.name} is not known. Expected one of {known}. "
            f"Received: --{field.name}={value}."
        )
    for number in value if isinstance(value, tuple) else (value,):
        if check and number is not None and not check.holds(number):
            raise ValueError(
                f"--{field.name} is out of range. Expected {check.words}. "
                f"Received: --{field.name}={number}."
            )


def file_digest(path: str) -> str:
    """SHA-256 of a file's bytes; ValueError if it cannot be read."""
    try:
        with pathlib.Path(path).open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror}. Expected a .keras file."
        ) from error
