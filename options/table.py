"""The options: a row for each setting, which is a flag, and field of `Options`."""

import dataclasses

from op_utils import class_weights
from options import conditions
from options.option import (
    COUNT,
    COUNT_OR_NONE,
    FRACTION,
    IMAGE_SIZE,
    MAGNITUDE,
    NOT_NEGATIVE,
    PERIOD,
    POSITIVE,
    SEED,
    SHARE,
    option,
)

# What Keras models expect of their images, see nets/brought/scaling.py; "" is not said.
SCALINGS = ("", "pixels", "unit", "normalised", "tf", "torch", "caffe")


@dataclasses.dataclass(frozen=True)
class OptionTable:
    """All settings of a run; what they decide is told by `options.settings.Options`."""

    # Whether and how the teacher's outputs are kept for other epochs and other runs.
    teacher_cache: bool = option(
        False,
        "Keep the teacher's logits and embedding on disk and ask it only once for each "
        "version of an image (see --augmentation_period).",
        is_number_free=True,
        used_if=conditions.TEACHER_OUTPUTS,
    )
    teacher_cache_taps: bool = option(
        False,
        "Keep the feature maps that the method reads, too; they are large.",
        is_number_free=True,
        used_if=conditions.CACHE,
    )
    teacher_cache_dir: str = option(
        "runs/teacher_cache",
        "Where they are kept; runs may share it.",
        is_number_free=True,
        used_if=conditions.CACHE,
    )
    teacher_cache_precision: str = option(
        "float32",
        "How they are kept; float32 changes no bit, the others halve the size.",
        choices=("float32", "float16", "bfloat16"),
        used_if=conditions.CACHE,
    )

    # What data a run trains on, and what is done to the images.
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
        used_if=conditions.VALIDATION,
    )
    augmentation_period: int = option(
        0,
        "Augmentation repeats after so many epochs; 0: never.",
        check=PERIOD,
        used_if=conditions.VARIATION,
    )
    pad_mode: str = option(
        "zero",
        "How images are padded before a crop.",
        choices=("zero", "reflect"),
        used_if=conditions.CROPS,
    )
    image_size: int = option(
        0,
        "Height and width that images are resized to: random resized crops in "
        "training, the middle in evaluation. 0: their own, which must be one.",
        check=IMAGE_SIZE,
    )
    merge_valid: bool = option(
        False,
        "Join the validation folder of folder:PATH to the training data.",
        used_if=conditions.CLASS_FOLDERS,
    )
    skip_bad_images: bool = option(
        False,
        "Leave out files of folder:PATH that cannot be decoded.",
        is_number_free=True,  # what is left is told by the data's SHA-256
        used_if=conditions.CLASS_FOLDERS,
    )
    cache_gib: float = option(
        4.0,
        "Images of one size are held in memory if they need at most so many GiB; "
        "others are read from their files for each batch.",
        check=NOT_NEGATIVE,
        is_number_free=True,
        used_if=conditions.IMAGE_FILES,
    )
    randaugment: int = option(
        0, "Random operations on each image (RandAugment).", check=COUNT_OR_NONE
    )
    randaugment_magnitude: float = option(
        9.0,
        "Their strength; 10 is the end of AutoAugment's ranges.",
        check=MAGNITUDE,
        used_if=conditions.RANDAUGMENT,
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

    # Which nets teach and learn.
    teacher: str = option(
        "resnet20",
        "The teacher: a net that is trained first, keras.applications.NAME or "
        "keras.applications.NAME/SIZE, or a trained model, a .keras or .h5 file.",
        used_if=conditions.NAMED_TEACHER,
        unused="",
    )
    teacher_checkpoint: str = option(
        "",
        "A trained teacher, a .keras or .h5 file; the same as --teacher=FILE.",
        used_if=conditions.TEACHER,
    )
    teacher_taps: str = option(
        "",
        "Of a Keras model: tap=LAYER,..., such as stage1=block2_out,stage2=out.",
        used_if=conditions.TEACHER,
    )
    teacher_scaling: str = option(
        "",
        "How the model of a file wants pixels.",
        choices=SCALINGS,
        used_if=conditions.TEACHER,
    )
    teacher_weights: str = option(
        "",
        "Of keras.applications: none, imagenet, or a file; none is trained first.",
        used_if=conditions.TEACHER,
    )
    teacher_epochs: int = option(
        60,
        "Epochs of the teacher's training.",
        check=COUNT,
        used_if=conditions.TRAINED_FIRST,
    )
    teacher_seed: int = option(
        0,
        "Seed of the teacher's training.",
        check=SEED,
        used_if=conditions.TRAINED_FIRST,
    )
    teacher_data_seed: int | None = option(
        None,
        "Data seed of the teacher's training; it never sees the student's validation "
        "split. Default: --data_seed; in a grid without one, 0.",
        check=SEED,
        used_if=conditions.TRAINED_FIRST,
    )
    teacher_dir: str = option(
        "runs/teachers",
        "Where teachers are trained, and found again; runs may share it.",
        is_number_free=True,
        used_if=conditions.TRAINED_FIRST,
    )
    normalisation: str = option(
        "data",
        "Whose mean and deviation scale the student's images: the data set's, as they "
        "do of a student alone, or those of a teacher's .keras file. A student from a "
        ".keras file keeps its own; the teacher sees what it was trained on.",
        choices=("data", "teacher"),
        used_if=conditions.TEACHER_FILE,
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

    # How the student is trained, and what is told of it.
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
        30,
        "Epochs of an initialising phase, for methods that have one.",
        check=COUNT,
        used_if=conditions.INIT_PHASE,
    )
    init_learning_rate: float | None = option(
        None,
        "Constant learning rate of an initialising phase. Default: --learning_rate.",
        check=POSITIVE,
        used_if=conditions.INIT_PHASE,
    )
    equal_epochs: bool = option(
        False,
        "Count initialising phases in --epochs: the last phase is shorter by them, so "
        "that all methods train equally long.",
        used_if=conditions.INIT_PHASE,
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
        used_if=conditions.STEP_SCHEDULE,
    )
    decay_rate: float = option(
        0.1,
        "Factor of each step decay.",
        check=FRACTION,
        used_if=conditions.STEP_SCHEDULE,
    )
    warmup_epochs: float = option(
        0.0,
        "Epochs of linear warm-up at the start of the last phase.",
        check=NOT_NEGATIVE,
    )
    weight_decay: float = option(
        5e-4, "L2, added to the gradient of every trained variable.", check=NOT_NEGATIVE
    )
    momentum: float = option(0.9, "Momentum of SGD.", check=SHARE)
    nesterov: bool = option(False, "Nesterov momentum.", used_if=conditions.MOMENTUM)
    precision: str = option(
        "float32",
        "Of the nets; losses are always float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
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
