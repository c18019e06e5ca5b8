"""The settings of a training run: defaults, help, ranges; and what they decide."""

import dataclasses
import hashlib
import json
import pathlib
import re

from common.digests import file_digest
from op_utils import class_weights
from options.cache_options import ONLY_WITH_CACHE, CacheOptions
from options.data_options import ONLY_WITH_CROPS, ONLY_WITH_VARIATION, DataOptions
from options.net_options import (
    FILES,
    ONLY_WITH_TEACHER,
    ONLY_WITH_TEACHER_FILE,
    TEACHER_MODEL,
    NetOptions,
)
from options.option import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    check_value,
    option,
)


@dataclasses.dataclass(frozen=True)
class Options(NetOptions, DataOptions, CacheOptions):
    """All settings of a run; each field is a flag of train_w_distill.py.

    Raises:
        ValueError: a setting is out of its range.
    """

    train_dir: str = option(
        "",
        "Run folder; the same command resumes in it. Default: a name made of the "
        "settings under runs/.",
        is_number_free=True,
    )
    distiller: str = option("Soft_logits", "Method, or a sum such as VID+Soft_logits.")
    hparam: tuple[str, ...] = option(
        (), "A method's hyperparameter, name=value; may be given again and again."
    )
    task_weight: float | None = option(
        None,
        "Weight of the label cross-entropy in the last phase. Default: 1 unless the "
        "method's paper says otherwise.",
        check=NOT_NEGATIVE,
    )
    class_weight: str = option(
        "",
        "Weights of the classes in the label loss: balanced is images / (classes * "
        "images of the class) in the training data. Default: 1 for each.",
        choices=("", class_weights.BALANCED),
    )
    epochs: int = option(60, "Epochs of the (last) training phase.", check=COUNT)
    init_epochs: int = option(
        30, "Epochs of an initialising phase, for methods that have one.", check=COUNT
    )
    init_learning_rate: float | None = option(
        None,
        "Constant learning rate of an initialising phase. Default: --learning_rate.",
        check=POSITIVE,
    )
    equal_epochs: bool = option(
        False,
        "Count initialising phases in --epochs: the last phase is shorter by them, so "
        "that all methods train equally long.",
    )
    batch_size: int = option(64, "Images a step.", check=COUNT)
    learning_rate: float = option(0.05, "Highest learning rate.", check=POSITIVE)
    schedule: str = option(
        "cosine", "Course of the learning rate.", choices=("cosine", "step", "constant")
    )
    decay_points: tuple[float, ...] = option(
        (0.625, 0.75, 0.875),
        "Where --schedule=step decays: epochs, or shares of --epochs if all below 1.",
        check=POSITIVE,
    )
    decay_rate: float = option(0.1, "Factor of each step decay.", check=FRACTION)
    warmup_epochs: float = option(
        0.0, "Epochs of linear warm-up at the start of the last phase.",
        check=NOT_NEGATIVE,
    )  # fmt: skip
    weight_decay: float = option(
        5e-4,
        "L2, added to the gradient of every trained variable.",
        check=NOT_NEGATIVE,
    )
    momentum: float = option(0.9, "Momentum of SGD.", check=SHARE)
    nesterov: bool = option(False, "Nesterov momentum.")
    precision: str = option(
        "float32", "Of the nets; losses are always float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )  # fmt: skip
    xla: bool = option(False, "Compile forward and backward with XLA.")
    seed: int = option(0, "Seed of initialisation and of the method.", check=SEED)
    allow_other_code: bool = option(
        False,
        "Go on with a run that other code or library versions began; it is recorded.",
        is_number_free=True,
    )
    evaluate_every: int = option(
        1, "Epochs between two evaluations.", check=COUNT, is_number_free=True
    )
    log_every: int = option(
        50, "Steps between two TensorBoard points.", check=COUNT, is_number_free=True
    )
    checkpoint_every: int = option(
        500, "Steps between two checkpoints.", check=COUNT, is_number_free=True
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))
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
        # Said in another way, a run stays the same.
        values["validation_seed"] = self.validation_seed_for(self.data_seed)
        if self.teacher_data_seed == self.data_seed:
            values |= _defaults("teacher_data_seed")
        if not self.teacher_cache:
            values |= _defaults("teacher_cache_precision")
        elif self.teacher_cache_precision != "float32":  # Then what is kept counts.
            values["teacher_cache_taps"] = self.teacher_cache_taps
        if self.continue_from:
            student = pathlib.PurePath(self.continue_from, "student.keras")
            values["continue_from"] = file_digest(str(student))
        for name in FILES:  # Their content counts, not where they lie.
            if self.is_file(name):
                values[name] = file_digest(values[name])
        return json.loads(json.dumps(values))

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
            "validation_seed": self.split_seed,
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

    def default_train_dir(self, parent: str = "runs") -> str:
        """A folder name from the settings: the same command finds the same folder."""
        # Of what is not the default: a setting that a later version adds, and that
        # changes nothing by default, must not lose the runs of this one.
        usual = Options().config()
        own = {k: v for k, v in self.config().items() if v != usual.get(k)}
        text = json.dumps(own, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:8]
        student = self.student
        if self.is_file("student"):
            student = pathlib.PurePath(student).stem
        # Some have "/" or ":".
        dataset = re.sub(r"[^\w.]+", "_", self.dataset)
        student = re.sub(r"[^\w.-]+", "_", student)
        name = f"{dataset}-{student}-{self.distiller}-{key}"
        return str(pathlib.PurePath(parent, name))

    def without_teacher(self) -> "Options":
        """The same settings with those of a teacher left out."""
        names = (*ONLY_WITH_TEACHER, "teacher_checkpoint", *TEACHER_MODEL)
        names += ("teacher_cache", *ONLY_WITH_CACHE, *ONLY_WITH_TEACHER_FILE)
        return dataclasses.replace(self, **_defaults(*names), teacher="")

    def without_unused(self, phases, augmentation, is_cached=True) -> "Options":
        """The same settings with those left out that decide nothing in this run.

        Args:
            phases: the method's.
            augmentation: a `dataloader.Augmentation`, what is done to the images.
            is_cached: whether a phase takes anything from the teacher cache.
        """
        unused = () if augmentation.crops else ONLY_WITH_CROPS
        unused += () if is_cached else ("teacher_cache", "teacher_cache_precision")
        unused += () if augmentation.varies else ONLY_WITH_VARIATION
        if not any(phase.length == "init" for phase in phases):
            unused += ONLY_WITH_INIT
        return dataclasses.replace(self, **_defaults(*unused))

    def used_by(self, method) -> "Options":
        """The same settings without what the method does not use.

        Args:
            method: a `distiller.Spec`.

        Raises:
            ValueError: a trained teacher is given to a method that trains its own.
        """
        options = self._with_teacher_of(method)
        unused = () if method.has_init_phase else ONLY_WITH_INIT
        split = {"validation_seed": self.validation_seed_for(self.data_seed)}
        return dataclasses.replace(options, **split, **_defaults(*unused))

    def _with_teacher_of(self, method) -> "Options":
        if not method.uses_teacher:
            return self.without_teacher()
        if method.trains_teacher and self.has_trained_teacher:
            name = "checkpoint" if self.teacher_checkpoint else "weights"
            raise ValueError(
                f"--distiller={method.name} trains teacher and student together, both "
                "from fresh weights. Expected --teacher=NET instead of a trained one. "
                f"Received: --teacher_{name}={getattr(self, f'teacher_{name}')}."
            )
        unused = () if self.teacher_checkpoint else ONLY_WITH_TEACHER_FILE
        if method.trains_teacher or self.has_trained_teacher:
            unused += ONLY_WITH_TEACHER
        no_net = {"teacher": ""} if self.teacher_checkpoint else {}
        return dataclasses.replace(self, **_defaults(*unused), **no_net)

    def check_loss_of(self, method) -> None:
        """Raises ValueError if neither the method nor the labels teach anything.

        Args:
            method: a `distiller.Spec`.
        """
        if method.name == "none" and self.task_weight == 0:
            raise ValueError(
                "there is nothing to learn from. Expected a method, or a label loss. "
                "Received: --distiller=none --task_weight=0."
            )

    def for_teacher(self) -> "Options":
        """The settings of the teacher's own training, whatever the student's are.

        Its validation split is the student's, whatever else of the data is drawn
        otherwise: it must not have learned what the student is chosen by.
        """
        data_seed = self.teacher_data_seed
        if data_seed is None:
            data_seed = self.data_seed
        options = dataclasses.replace(
            self.without_teacher(),
            student=self.teacher,
            student_taps=self.teacher_taps,
            student_scaling=self.teacher_scaling,
            student_weights="",
            continue_from="",
            epochs=self.teacher_epochs,
            seed=self.teacher_seed,
            data_seed=data_seed,
            validation_seed=self.validation_seed_for(data_seed),
            warmup_epochs=min(self.warmup_epochs, self.teacher_epochs / 2),
            data_fraction=1.0,
            distiller="none",
            hparam=(),
            task_weight=1.0,
            **_defaults(*ONLY_WITH_INIT),
        )
        return dataclasses.replace(
            options, train_dir=options.default_train_dir(self.teacher_dir)
        )


ONLY_WITH_INIT = ("init_epochs", "init_learning_rate", "equal_epochs")
# What `Options.without_unused` may leave out, once the data are known.
MAY_BE_UNUSED = (*ONLY_WITH_INIT, *ONLY_WITH_CROPS, *ONLY_WITH_VARIATION)
MAY_BE_UNUSED += ("teacher_cache_taps", "teacher_cache_precision")


def _defaults(*names: str) -> dict:
    return {f.name: f.default for f in dataclasses.fields(Options) if f.name in names}
