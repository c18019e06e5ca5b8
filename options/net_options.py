"""Which nets teach and learn: names, files, and what a file does not say."""

import dataclasses
import pathlib

from options.option import COUNT, SEED, option

# What Keras models expect of their images, see nets/brought/scaling.py; "" is not said.
SCALINGS = ("", "pixels", "unit", "normalised", "tf", "torch", "caffe")
FRESH = ("", "none")  # of *_weights: there are none
MODEL_SUFFIXES = (
    ".keras",
    ".h5",
    ".hdf5",
)  # of files; nets/brought/model_files.py reads them
FILES = ("teacher_checkpoint", "teacher_weights", "student", "student_weights")
ONLY_WITH_TEACHER = (
    "teacher_epochs",
    "teacher_seed",
    "teacher_data_seed",
    "teacher_dir",
)
TEACHER_MODEL = ("teacher_taps", "teacher_scaling", "teacher_weights")
ONLY_WITH_TEACHER_FILE = ("normalisation",)


@dataclasses.dataclass(frozen=True)
class NetOptions:
    """The settings of the two nets; see `settings.Options`."""

    teacher: str = option(
        "resnet20",
        "The teacher: a net that is trained first, keras.applications.NAME or "
        "keras.applications.NAME/SIZE, or a trained model, a .keras or .h5 file.",
    )
    teacher_checkpoint: str = option(
        "", "A trained teacher, a .keras or .h5 file; the same as --teacher=FILE."
    )
    teacher_taps: str = option(
        "", "Of a Keras model: tap=LAYER,..., such as stage1=block2_out,stage2=out."
    )
    teacher_scaling: str = option(
        "", "How the model of a file wants pixels.", choices=SCALINGS
    )
    teacher_weights: str = option(
        "", "Of keras.applications: none, imagenet, or a file; none is trained first."
    )
    teacher_epochs: int = option(60, "Epochs of the teacher's training.", check=COUNT)
    teacher_seed: int = option(0, "Seed of the teacher's training.", check=SEED)
    teacher_data_seed: int | None = option(
        None,
        "Data seed of the teacher's training; it never sees the student's validation "
        "split. Default: --data_seed; in a grid without one, 0.",
        check=SEED,
    )
    teacher_dir: str = option(
        "runs/teachers",
        "Where teachers are trained, and found again; runs may share it.",
        is_number_free=True,
    )
    normalisation: str = option(
        "data",
        "Whose mean and deviation scale the student's images: the data set's, as they "
        "do of a student alone, or those of a teacher's .keras file. A student from a "
        ".keras file keeps its own; the teacher sees what it was trained on.",
        choices=("data", "teacher"),
    )
    student: str = option(
        "resnet8",
        "The student: as --teacher; a .keras file's weights are its start. auto-SIZE, "
        "such as auto-1MB, takes of the nets whose files are at most so large the one "
        "with the most multiply-accumulates, see --list_nets.",
    )
    student_taps: str = option("", "As --teacher_taps.")
    student_scaling: str = option("", "As --teacher_scaling.", choices=SCALINGS)
    student_weights: str = option("", "As --teacher_weights.")
    continue_from: str = option(
        "",
        "A finished run's folder: train it for --epochs more, as a new run with its "
        "settings, but for what is given.",
    )
    imports: tuple[str, ...] = option(
        (),
        "A Python file or module with methods or nets of your own (distiller.register, "
        "nets.register), or classes that a .keras file names. It is run: only import "
        "what you trust.",
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
        is_ready = self.has_trained_teacher or method.trains_teacher
        return self.uses_teacher and not is_ready

    def net(self, role: str) -> dict:
        """Keyword arguments of `nets.given.Given` for the teacher or the student."""
        names = ("taps", "scaling", "weights")
        given = {name: getattr(self, f"{role}_{name}") for name in names}
        own = pathlib.Path(self.continue_from, f"{role}.keras")
        # A teacher's file is there where it was trained with the student.
        if self.continue_from and (role == "student" or own.exists()):
            return {"role": role, "name": getattr(self, role), "file": str(own)}
        file = self.teacher_checkpoint if role == "teacher" else ""
        return {"role": role, "name": getattr(self, role), "file": file, **given}
