"""The settings of a training run, and what they decide."""

import dataclasses
import hashlib
import json
import pathlib
import re

from common.digests import file_digest
from common.errors import wrong
from options import conditions
from options.conditions import Known
from options.option import check_value
from options.table import OptionTable

FRESH = ("", "none")  # of *_weights: there are none
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")  # nets/brought/model_files.py reads them
FILES = ("teacher_checkpoint", "teacher_weights", "student", "student_weights")
_OF_MODEL = ("taps", "scaling", "weights")  # what is said of a role's model
TEACHER_MODEL = tuple(f"teacher_{name}" for name in _OF_MODEL)


@dataclasses.dataclass(frozen=True)
class Options(OptionTable):
    """All settings of a run; each row of the table is a flag of train_w_distill.py.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))
        if self.warmup_epochs >= self.epochs:
            raise wrong(
                "--warmup_epochs is as long as the training",
                expected=f"less than --epochs={self.epochs}",
                received=f"--warmup_epochs={self.warmup_epochs}",
            )

    @property
    def reads_folder(self) -> bool:
        """Whether the data are class folders."""
        return self.dataset.startswith("folder:")

    @property
    def is_in_memory(self) -> bool:
        """Whether the data are arrays, whatever --cache_gib says."""
        return self.dataset == "digits" or self.dataset.startswith("npz:")

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
            raise wrong(
                f"--distiller={method.name} reads the label of each image, and mixed "
                "images have two",
                expected="neither --mixup nor --cutmix",
                received=", ".join(mixed),
            )

    def is_file(self, name: str) -> bool:
        """Whether the setting of this name is a file whose content counts."""
        value = getattr(self, name)
        if name.endswith("_weights"):
            return value not in (*FRESH, "imagenet")
        return value.endswith(MODEL_SUFFIXES) or (
            name == "teacher_checkpoint" and value
        )

    @property
    def uses_teacher(self) -> bool:
        """Whether these settings name a teacher."""
        return bool(self.teacher or self.teacher_checkpoint)

    @property
    def has_trained_teacher(self) -> bool:
        """Whether the teacher comes with its weights."""
        return bool(self.teacher_checkpoint) or self.teacher_weights not in FRESH

    def trains_teacher_first(self, method) -> bool:
        """Whether there is a teacher that must be trained before the student.

        Args:
            method: a `distiller.Spec`, or the method itself.
        """
        known = Known(self.uses_teacher, method.trains_teacher)
        return conditions.TRAINED_FIRST not in conditions.unmet(self, known)

    def net(self, role: str) -> dict:
        """Keyword arguments of `nets.given.Given` for the teacher or the student."""
        given = {name: getattr(self, f"{role}_{name}") for name in _OF_MODEL}
        own = pathlib.Path(self.continue_from, f"{role}.keras")
        # A teacher's file is there where it was trained with the student.
        if self.continue_from and (role == "student" or own.exists()):
            return {"role": role, "name": getattr(self, role), "file": str(own)}
        file = self.teacher_checkpoint if role == "teacher" else ""
        return {"role": role, "name": getattr(self, role), "file": file, **given}

    def config(self) -> dict:
        """All that decides the run's numbers, as JSON values."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata["is_number_free"]
        }
        for name in self.unused(Known(settings=True)).keys() & values.keys():
            values[name] = _LEFT_OUT[name]
        # Said in another way, a run stays the same.
        values["validation_seed"] = self.validation_seed_for(self.data_seed)
        if self.teacher_data_seed == self.data_seed:
            values["teacher_data_seed"] = None
        if values["teacher_cache_precision"] != "float32":  # Then what is kept counts.
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

    def unused(self, known: Known) -> dict[str, str]:
        """The options that decide nothing -> what they have no effect with.

        Args:
            known: what is known of the run beside its settings.
        """
        return {
            field.name: reason
            for condition, reason in conditions.unmet(self, known).items()
            for field in dataclasses.fields(self)
            if field.metadata["used_if"] == condition
        }

    def _without(self, known: Known, **changes) -> "Options":
        left_out = {name: _LEFT_OUT[name] for name in self.unused(known)}
        return dataclasses.replace(self, **left_out, **changes)

    def without_unused(self, phases, augmentation, is_cached=True) -> "Options":
        """The same settings with those left out that decide nothing in this run.

        Args:
            phases: the method's.
            augmentation: a `dataloader.Augmentation`, what is done to the images.
            is_cached: whether a phase takes anything from the teacher cache.
        """
        known = Known(
            has_init_phase=any(phase.length == "init" for phase in phases),
            crops=augmentation.crops,
            varies=augmentation.varies,
            is_cached=is_cached,
        )
        return self._without(known)

    def used_by(self, method) -> "Options":
        """The same settings without what the method does not use.

        Args:
            method: a `distiller.Spec`.

        Raises:
            ValueError: a trained teacher is given to a method that trains its own.
        """
        self._check_teacher_of(method)
        known = Known(method.uses_teacher, method.trains_teacher, method.has_init_phase)
        split_seed = self.validation_seed_for(self.data_seed)
        return self._without(known, validation_seed=split_seed)

    def _check_teacher_of(self, method) -> None:
        is_along = method.uses_teacher and method.trains_teacher
        if is_along and self.has_trained_teacher:
            name = "checkpoint" if self.teacher_checkpoint else "weights"
            raise wrong(
                f"--distiller={method.name} trains teacher and student together, both "
                "from fresh weights",
                expected="--teacher=NET instead of a trained one",
                received=f"--teacher_{name}={getattr(self, f'teacher_{name}')}",
            )

    def check_loss_of(self, method) -> None:
        """Raises ValueError if neither the method nor the labels teach anything.

        Args:
            method: a `distiller.Spec`.
        """
        if method.name == "none" and self.task_weight == 0:
            raise wrong(
                "there is nothing to learn from",
                expected="a method, or a label loss",
                received="--distiller=none --task_weight=0",
            )

    def for_teacher(self) -> "Options":
        """The settings of the teacher's own training, whatever the student's are.

        Its validation split is the student's, whatever else of the data is drawn
        otherwise: it must not have learned what the student is chosen by.
        """
        data_seed = self.teacher_data_seed
        if data_seed is None:
            data_seed = self.data_seed
        options = self._without(
            Known(uses_teacher=False, has_init_phase=False),
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
        )
        return dataclasses.replace(
            options, train_dir=options.default_train_dir(self.teacher_dir)
        )


def used_only_if(condition: str) -> tuple[str, ...]:
    """The options that are used if one of `conditions` holds."""
    fields = dataclasses.fields(Options)
    return tuple(f.name for f in fields if f.metadata["used_if"] == condition)


_LEFT_OUT = {
    field.name: field.metadata["unused"] for field in dataclasses.fields(OptionTable)
}
# What `Options.without_unused` may leave out, once the data are known.
MAY_BE_UNUSED = frozenset(
    Options().unused(
        Known(has_init_phase=False, crops=False, varies=False, is_cached=False)
    )
)
