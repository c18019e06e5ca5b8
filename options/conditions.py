"""When options are used: what a row of the table may ask for, and why it is not so."""

import dataclasses
from collections.abc import Iterator

# In the order of the notes on a run that has no teacher.
NAMED_TEACHER = "a teacher that is the name of a net"
TEACHER = "a teacher"
TRAINED_FIRST = "a teacher that is trained first"
TEACHER_FILE = "a teacher from a file"
TEACHER_OUTPUTS = "outputs of a teacher that can be kept"
CACHE = "a teacher cache"
INIT_PHASE = "an initialising phase"
VALIDATION = "a validation split"
STEP_SCHEDULE = "the step schedule"
MOMENTUM = "momentum"
CLASS_FOLDERS = "class folders"
IMAGE_FILES = "images that need not be in memory"
RANDAUGMENT = "random operations"
CROPS = "random crops of padded images"
VARIATION = "images that are changed one by one"


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of a run; None is not known.

    Attributes:
        uses_teacher, trains_teacher, has_init_phase: of the method.
        settings: True asks for what the settings alone tell.
        scales_student: whether the student's file says how images are scaled.
        crops, varies: of the data's `dataloader.Augmentation`.
        is_cached: whether a phase takes anything from the teacher cache.
    """

    uses_teacher: bool | None = None
    trains_teacher: bool | None = None
    has_init_phase: bool | None = None
    settings: bool | None = None
    scales_student: bool | None = None
    crops: bool | None = None
    varies: bool | None = None
    is_cached: bool | None = None


def unmet(options, known: Known) -> dict[str, str]:
    """The conditions that are known to fail -> what they fail with.

    Args:
        options: the run's `options.settings.Options`.
        known: what is known beside; of the rest nothing is said.
    """
    found = {}
    for rules in (_of_teacher, _of_training_and_data):
        for reason, *conditions in rules(options, known):
            for condition in conditions:
                found.pop(condition, None)  # The last reason counts, in its place.
                found[condition] = reason
    return found


def _of_teacher(options, known: Known) -> Iterator[tuple[str, ...]]:
    method = f"--distiller={options.distiller}"
    if known.trains_teacher:
        yield f"{method}: its teacher starts with the student", TRAINED_FIRST
    if known.trains_teacher is not None:
        if options.has_trained_teacher:
            yield "--teacher_weights", TRAINED_FIRST
        if options.teacher_checkpoint:
            yield "--teacher_checkpoint", NAMED_TEACHER, TRAINED_FIRST
        else:
            net = f"--teacher={options.teacher}"
            yield f"{net}, which is scaled as the data are", TEACHER_FILE
    if known.scales_student and options.teacher_checkpoint:
        student = "--student=FILE.keras"
        yield f"{student}, which says itself how images are scaled", TEACHER_FILE
    if known.is_cached is False:
        yield f"{method}: nothing is taken from it", TEACHER_OUTPUTS, CACHE
    if known.settings and not options.teacher_cache:
        yield "--teacher_cache=false", CACHE
    if known.uses_teacher is False:
        yield method, NAMED_TEACHER, TEACHER, TRAINED_FIRST, TEACHER_FILE
        yield method, TEACHER_OUTPUTS, CACHE


def _of_training_and_data(options, known: Known) -> Iterator[tuple[str, ...]]:
    data = f"--dataset={options.dataset}"
    if known.has_init_phase is False:
        yield f"--distiller={options.distiller}: it has one phase", INIT_PHASE
    if known.settings:
        if not options.validation:
            yield "--validation=0", VALIDATION
        if options.schedule != "step":
            yield f"--schedule={options.schedule}", STEP_SCHEDULE
        if not options.momentum:
            yield f"--momentum={options.momentum}", MOMENTUM
        if not options.reads_folder:
            yield data, CLASS_FOLDERS
        if options.is_in_memory:
            yield f"{data}, which is held in memory", IMAGE_FILES
        if options.image_size:
            yield f"--image_size={options.image_size}", CROPS
        if not options.randaugment:
            yield "--randaugment=0", RANDAUGMENT
    if known.crops is False:
        yield f"{data}, which is not cropped at random", CROPS
    if known.varies is False:
        yield f"{data}, whose images are not changed one by one", VARIATION
