import dataclasses
import hashlib
import inspect
import json
import math
import pathlib
import types

import pytest

import dataloader
from options.settings import MAY_BE_UNUSED, Options
from tests.options.settings import VALUES

ROOT = pathlib.Path(__file__).parents[2]
NAN, INF = math.nan, math.inf

# flag: (values in its range, values out of it)
RANGES = {
    "data_fraction": ((1e-9, 0.5, 1.0), (0.0, -0.1, 1.01, NAN, INF)),
    "validation": ((0.0, 0.1, 0.999), (-0.1, 1.0, NAN, INF)),
    "data_seed": ((0, 2**31 - 1), (-1, 2**31)),
    "validation_seed": ((None, 0, 2**31 - 1), (-1, 2**31)),
    "augmentation_period": ((0, 7), (-1,)),
    "pad_mode": (("zero", "reflect"), ("", "Zero", "same")),
    "image_size": ((0, 224), (-1,)),
    "cache_gib": ((0.0, 1e-9, 64.0), (-0.1, NAN, INF)),
    "teacher_scaling": (("", "unit", "torch"), ("Unit", "zoom")),
    "student_scaling": (("", "pixels", "caffe"), ("Unit", "zoom")),
    "randaugment": ((0, 3), (-1,)),
    "randaugment_magnitude": ((0.0, 9.5, 30.0), (-0.1, 30.1, NAN, INF)),
    "cutout": ((0, 16), (-1,)),
    "mixup": ((0.0, 0.2, 8.0), (-0.1, NAN, INF)),
    "cutmix": ((0.0, 0.2, 8.0), (-0.1, NAN, INF)),
    "normalisation": (("data", "teacher"), ("", "Data")),
    "teacher_epochs": ((1, 300), (0, -1)),
    "teacher_seed": ((0, 2**31 - 1), (-1, 2**31)),
    "teacher_data_seed": ((None, 0, 2**31 - 1), (-1, 2**31)),
    "task_weight": ((None, 0.0, 2.5), (-0.1, NAN, INF)),
    "class_weight": (("", "balanced"), ("Balanced", "{0: 2}")),
    "epochs": ((1, 300), (0, -1)),
    "init_epochs": ((1, 300), (0, -1)),
    "init_learning_rate": ((None, 1e-9, 2.0), (0.0, -0.1, NAN, INF)),
    "batch_size": ((1, 4096), (0, -1)),
    "learning_rate": ((1e-9, 2.0), (0.0, -0.1, NAN, INF)),
    "schedule": (("cosine", "step", "constant"), ("", "cos")),
    "decay_points": (((), (0.5,), (1.0, 250.0)), ((0.0,), (0.5, -1.0), (NAN,), (INF,))),
    "decay_rate": ((1e-9, 1.0), (0.0, -0.1, 1.01, NAN, INF)),
    "warmup_epochs": ((0.0, 0.5, 59.9), (-0.1, NAN, INF, 60.0, 61.0)),
    "weight_decay": ((0.0, 0.1), (-0.1, NAN, INF)),
    "momentum": ((0.0, 0.9), (-0.1, 1.0, NAN, INF)),
    "precision": (("float32", "mixed_bfloat16", "mixed_float16"), ("", "float16")),
    "seed": ((0, 2**31 - 1), (-1, 2**31)),
    "teacher_cache_precision": (("float32", "float16", "bfloat16"), ("", "float64")),
    "evaluate_every": ((1, 9), (0, -1)),
    "log_every": ((1, 9), (0, -1)),
    "checkpoint_every": ((1, 9), (0, -1)),
}
# What a resumed run may change; files count by their content.
_FREE = ("train_dir", "data_dir", "evaluate_every", "log_every", "checkpoint_every")
_FREE += ("allow_other_code", "skip_bad_images", "cache_gib", "teacher_dir")
_FREE += ("teacher_cache", "teacher_cache_taps", "teacher_cache_dir")
FREE = {name: VALUES[name] for name in _FREE}
_FILES = {"teacher_checkpoint", "continue_from"}
OTHERS = {name: value for name, value in VALUES.items() if name not in (*FREE, *_FILES)}
ALWAYS_VALID = {"dataset", "data_dir", "train_dir", "teacher", "teacher_checkpoint"}
ALWAYS_VALID |= {"student", "distiller", "hparam", "nesterov", "xla", "imports"}
ALWAYS_VALID |= {"merge_valid", "skip_bad_images", "teacher_dir", "allow_other_code"}
ALWAYS_VALID |= {"equal_epochs", "continue_from"}
ALWAYS_VALID |= {"teacher_cache", "teacher_cache_taps", "teacher_cache_dir"}
ALWAYS_VALID |= {
    f"{r}_{n}" for r in ("teacher", "student") for n in ("taps", "weights")
}
NAMES = {field.name for field in dataclasses.fields(Options)}


def test_the_tables_here_are_complete():
    assert NAMES == RANGES.keys() | ALWAYS_VALID
    assert NAMES == FREE.keys() | OTHERS.keys() | {
        "teacher_checkpoint",
        "continue_from",
    }


@pytest.mark.parametrize(
    ("name", "value"), [(name, v) for name, (good, _) in RANGES.items() for v in good]
)
def test_values_in_range(name, value):
    assert getattr(Options(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"), [(name, v) for name, (_, bad) in RANGES.items() for v in bad]
)
def test_values_out_of_range_raise(name, value):
    shown = value[-1] if isinstance(value, tuple) else value
    with pytest.raises(ValueError, match=rf"--{name}.*Expec.*: --{name}=") as caught:
        Options(**{name: value})
    assert str(caught.value).endswith(f"={shown}.")


def test_a_long_warmup_names_both_flags():
    with pytest.raises(ValueError, match=r"--epochs=5\. Received: --warmup_epochs=5"):
        Options(epochs=5, warmup_epochs=5)


def test_the_defaults_are_valid_and_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().epochs = 3


# config.json and the folder


def test_config_has_all_that_decides_the_numbers():
    config = Options(**FREE, **OTHERS).config()
    # Kept in 16 bits, each tap that is kept changes numbers.
    assert config.keys() == NAMES - FREE.keys() | {"teacher_cache_taps"}
    assert config["hparam"] == ["AT.weight=1", "VID.weight=0.1"]
    assert config == json.loads(json.dumps(config)), "as it is read back"


@pytest.mark.parametrize("name", FREE)
def test_options_that_decide_nothing_may_change(name):
    changed = Options(**{name: FREE[name]})
    assert changed.config() == Options().config()
    assert changed.default_train_dir() == Options().default_train_dir()


UNUSED_UNLESS = {
    "decay_points": {"schedule": "step"},
    "decay_rate": {"schedule": "step"},
    "merge_valid": {"dataset": "folder:cinic"},
    "randaugment_magnitude": {"randaugment": 1},
    "validation_seed": {"validation": 0.1},
    "teacher_cache_precision": {"teacher_cache": True},
}


@pytest.mark.parametrize("name", OTHERS)
def test_options_that_decide_something_change_the_folder(name):
    others = UNUSED_UNLESS.get(name, {})
    before, changed = Options(**others), Options(**others, **{name: OTHERS[name]})
    assert changed.config() != before.config()
    assert changed.default_train_dir() != before.default_train_dir()


@pytest.mark.parametrize(
    ("others", "unused"),
    [
        ({"schedule": "cosine"}, {"decay_points": (3.0,)}),
        ({"schedule": "constant"}, {"decay_rate": 0.5}),
        ({"momentum": 0.0}, {"nesterov": True}),
        ({"image_size": 32}, {"pad_mode": "reflect"}),
        ({"dataset": "cifar10"}, {"merge_valid": True}),
        ({"randaugment": 0}, {"randaugment_magnitude": 3.0}),
        ({"validation": 0.0}, {"validation_seed": 3}),
        ({"validation": 0.1, "data_seed": 3}, {"validation_seed": 3}),
        ({"data_seed": 3}, {"teacher_data_seed": 3}),
        ({"teacher_cache": False}, {"teacher_cache_precision": "float16"}),
    ],
)
def test_options_that_are_not_used_may_change(others, unused):
    assert Options(**others, **unused).config() == Options(**others).config()


OF_INIT = ("init_epochs", "init_learning_rate", "equal_epochs")
OF_CROPS, OF_VARIATION = ("pad_mode",), ("augmentation_period",)


@pytest.mark.parametrize(
    ("lengths", "crops", "varies", "unused"),
    [
        (["train"], False, False, OF_INIT + OF_CROPS + OF_VARIATION),
        (["train"], True, True, OF_INIT),
        (["init", "train"], False, False, OF_CROPS + OF_VARIATION),
        (["init", "train"], False, True, OF_CROPS),
        (["init", "train"], True, True, ()),
    ],
)
def test_what_a_run_does_not_use_is_left_out(lengths, crops, varies, unused):
    phases = [types.SimpleNamespace(length=length) for length in lengths]
    augmentation = types.SimpleNamespace(crops=crops, varies=varies)
    settings = Options(**OTHERS)
    used = settings.without_unused(phases, augmentation)
    for name in OTHERS:
        source = Options() if name in unused else settings
        assert getattr(used, name) == getattr(source, name), name
    assert MAY_BE_UNUSED.issuperset(unused)


def test_a_cache_that_no_phase_uses_has_no_precision():
    settings = Options(teacher_cache=True, teacher_cache_precision="float16")
    phases = [types.SimpleNamespace(length="train")]
    augmentation = types.SimpleNamespace(crops=True, varies=True)
    used, unused = (
        settings.without_unused(phases, augmentation, is_cached).config()
        for is_cached in (True, False)
    )
    assert used == settings.config() != Options().config()
    assert unused == Options().config()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"mixup": 0.2}, "--mixup=0.2"),
        ({"cutmix": 1.0}, "--cutmix=1.0"),
        ({"mixup": 0.2, "cutmix": 1.0}, "--mixup=0.2, --cutmix=1.0"),
    ],
)
def test_a_method_that_reads_labels_refuses_mixed_images(given, shown):
    reads, not_ = (
        types.SimpleNamespace(name="CRD+AT", needs_labels=needs)
        for needs in (True, False)
    )
    message = rf"--distiller=CRD\+AT reads the label.*Received: {shown}\."
    with pytest.raises(ValueError, match=message):
        Options(**given).check_labels_of(reads)
    Options(**given).check_labels_of(not_)
    Options(randaugment=2, cutout=4).check_labels_of(reads)


def test_default_train_dir_is_readable_and_stable():
    """Settings that a later version adds leave it, as long as they are the default."""
    settings = Options(dataset="cifar10", student="resnet20", distiller="AT+VID")
    text = '{"dataset": "cifar10", "distiller": "AT+VID", "student": "resnet20"}'
    key = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert settings.default_train_dir() == f"runs/cifar10-resnet20-AT+VID-{key}"
    assert settings.default_train_dir("x") == f"x/cifar10-resnet20-AT+VID-{key}"


def test_default_train_dir_is_one_folder_whatever_the_data_set_is_called():
    path = Options(dataset="folder:../my/images").default_train_dir()
    assert path.startswith("runs/folder_.._my_images-resnet8-")
    assert pathlib.Path(path).parent == pathlib.Path("runs")


def test_the_teacher_file_counts_by_its_content(tmp_path):
    one, two = tmp_path / "one.keras", tmp_path / "two.keras"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    settings = [Options(teacher_checkpoint=str(path)) for path in (one, two)]
    digest = "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert settings[0].config()["teacher_checkpoint"] == digest
    assert settings[0].config() == settings[1].config()
    two.write_bytes(b"other weights")
    assert settings[0].config() != settings[1].config()


@pytest.mark.parametrize("name", ["missing.keras", ""])
def test_a_teacher_file_that_cannot_be_read_raises(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(ValueError, match=r"cannot read .*Expected a \.keras file"):
        Options(teacher_checkpoint=str(path)).config()


# Teachers


def test_uses_teacher():
    assert Options().uses_teacher
    assert Options(teacher="", teacher_checkpoint="a.keras").uses_teacher
    assert not Options(teacher="").uses_teacher


def method(uses_teacher=True, trains_teacher=False, has_init_phase=False):
    return types.SimpleNamespace(
        name="DML",
        uses_teacher=uses_teacher,
        trains_teacher=trains_teacher,
        has_init_phase=has_init_phase,
    )


ALONE = method(uses_teacher=False)


def test_without_teacher_nothing_of_a_teacher_counts():
    plain = Options(distiller="none", teacher="").config()
    settings = Options(
        distiller="none",
        teacher="WRN-16-4",
        teacher_checkpoint="missing.keras",
        teacher_epochs=3,
        teacher_seed=9,
    )
    assert settings.used_by(ALONE).config() == plain
    assert not settings.used_by(ALONE).uses_teacher


TEACHERS = Options(teacher="WRN-16-4", teacher_epochs=3, teacher_seed=9, seed=4)


def test_a_method_is_left_what_it_needs_of_a_teacher():
    assert TEACHERS.used_by(method()) == TEACHERS
    assert TEACHERS.used_by(ALONE) == Options(teacher="", seed=4)


def test_a_given_teacher_needs_no_training():
    given = dataclasses.replace(TEACHERS, teacher_checkpoint="a.keras")
    found = given.used_by(method())
    assert found == Options(teacher="", teacher_checkpoint="a.keras", seed=4)


def test_a_teacher_that_learns_along_has_no_training_of_its_own():
    found = TEACHERS.used_by(method(trains_teacher=True))
    assert found == Options(teacher="WRN-16-4", seed=4)


def test_a_trained_teacher_cannot_start_with_the_student():
    given = dataclasses.replace(TEACHERS, teacher_checkpoint="a.keras")
    message = r"--distiller=DML trains.*--teacher=NET.*--teacher_checkpoint=a\.keras"
    with pytest.raises(ValueError, match=message):
        given.used_by(method(trains_teacher=True))


def test_no_student_starts_with_a_fresh_teachers_seed():
    seeds = 0, 1, 2**31 - 1
    fresh = {Options(seed=seed).fresh_teacher_seed for seed in seeds}
    assert len(fresh) == 3
    for seed in fresh:
        with pytest.raises(ValueError, match="--seed"):
            Options(seed=seed)


STUDENTS_OWN = (
    "student student_taps student_scaling student_weights distiller hparam task_weight "
    "data_fraction epochs init_epochs init_learning_rate equal_epochs seed "
    "normalisation"
).split()
OF_TRAINED_TEACHERS = {"teacher_scaling", "teacher_weights", "teacher_cache_precision"}


def test_the_teachers_training():
    teacher = Options(**FREE, **OTHERS).for_teacher()
    assert (teacher.student, teacher.epochs, teacher.seed) == ("WRN-16-4", 30, 2)
    assert (teacher.distiller, teacher.hparam) == ("none", ())
    assert (teacher.data_fraction, teacher.task_weight) == (1.0, 1.0)
    assert not teacher.uses_teacher
    start = "elsewhere/teachers/folder_cinic-WRN-16-4-none-"
    assert teacher.train_dir.startswith(start)
    default = Options().for_teacher().train_dir
    assert default.startswith("runs/teachers/digits-resnet20-none-")
    shared = OTHERS.keys() - set(STUDENTS_OWN)
    shared -= {"teacher", "teacher_epochs", "teacher_seed", "teacher_taps"}
    shared -= OF_TRAINED_TEACHERS | {"data_seed", "teacher_data_seed"}
    assert teacher.data_seed == OTHERS["teacher_data_seed"]
    assert teacher.student_taps == OTHERS["teacher_taps"]
    assert teacher.student_scaling == OTHERS["teacher_scaling"] != ""
    for name in shared:
        assert getattr(teacher, name) == OTHERS[name], name


@pytest.mark.parametrize("name", [*STUDENTS_OWN, *FREE])
def test_the_teacher_does_not_depend_on_the_student(name):
    value = (OTHERS | FREE)[name]
    teacher = Options(**{name: value}).for_teacher()
    assert teacher.config() == Options().for_teacher().config()
    name_of = pathlib.PurePath(Options().for_teacher().train_dir).name
    assert pathlib.PurePath(teacher.train_dir).name == name_of


@pytest.mark.parametrize(
    "name", sorted(OTHERS.keys() - set(STUDENTS_OWN) - OF_TRAINED_TEACHERS)
)
def test_the_teacher_depends_on_all_the_rest(name):
    others = UNUSED_UNLESS.get(name, {})
    teacher = Options(**others, **{name: OTHERS[name]}).for_teacher()
    assert teacher.config() != Options(**others).for_teacher().config()


def test_a_teacher_trained_as_a_student_is_the_same_run():
    """What trains the teacher is a command that anyone may give."""
    teacher = Options().for_teacher()
    typed = Options(
        distiller="none", student="resnet20", task_weight=1.0, teacher=""
    ).used_by(ALONE)
    assert typed.config() == teacher.config()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"data_seed": 3}, (3, None)),
        ({"data_seed": 3, "teacher_data_seed": 0}, (0, 3)),
        ({"data_seed": 3, "validation_seed": 0}, (3, 0)),
        ({"data_seed": 3, "teacher_data_seed": 0, "validation_seed": 0}, (0, None)),
    ],
)
def test_the_teacher_holds_out_what_the_student_holds_out(given, expected):
    settings = Options(validation=0.1, **given)
    teacher = settings.for_teacher()
    assert (teacher.data_seed, teacher.validation_seed) == expected
    assert teacher.data()["validation_seed"] == settings.data()["validation_seed"]


def test_a_short_teacher_has_a_shorter_warmup():
    settings = Options(warmup_epochs=10, teacher_epochs=4)
    assert settings.for_teacher().warmup_epochs == 2
    assert Options(warmup_epochs=10).for_teacher().warmup_epochs == 10


# What the other packages are told


@pytest.mark.parametrize("empty", [True, False])
def test_data(empty):
    settings = Options() if empty else Options(**FREE, **OTHERS)
    assert settings.data() == {
        "name": settings.dataset,
        "data_dir": None if empty else "elsewhere",
        "batch_size": settings.batch_size,
        "fraction": settings.data_fraction,
        "validation": settings.validation,
        "seed": settings.data_seed,
        "validation_seed": None if empty else 4,
        "pad_mode": settings.pad_mode,
        "period": None if empty else 4,
        "image_size": 0 if empty else 48,
        "cache_gib": 4.0 if empty else 0.5,
        "merge_valid": not empty,
        "skip_bad_images": not empty,
        **{
            name: getattr(settings, name)
            for name in ("randaugment", "randaugment_magnitude", "cutout")
        },
        "mixup": settings.mixup,
        "cutmix": settings.cutmix,
    }


def test_data_are_what_the_loader_takes():
    parameters = inspect.signature(dataloader.prepare).parameters
    assert Options().data().keys() == parameters.keys()


def test_settings_of_a_phase_that_a_method_has_not_are_left_out():
    given = Options(init_epochs=3, init_learning_rate=0.1, epochs=7)
    assert given.used_by(method()) == Options(epochs=7)
    assert given.used_by(method(has_init_phase=True)) == given


def test_nothing_to_learn_from_raises():
    nothing = types.SimpleNamespace(name="none")
    with pytest.raises(ValueError, match="nothing to learn from"):
        Options(task_weight=0.0).check_loss_of(nothing)
    Options(task_weight=0.0).check_loss_of(types.SimpleNamespace(name="AT"))
    Options().check_loss_of(nothing)
