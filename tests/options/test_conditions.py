"""When an option is unused, and what a note says that it has no effect with."""

import dataclasses

import pytest

from options import conditions
from options.conditions import Known
from options.settings import Options

ALONE = "--distiller=AT"
NAMES = {
    value
    for name, value in vars(conditions).items()
    if name.isupper() and isinstance(value, str)
}
NOTHING = Known(
    uses_teacher=False,
    trains_teacher=False,
    has_init_phase=False,
    settings=True,
    crops=False,
    varies=False,
    is_cached=False,
)


def test_every_condition_is_of_an_option_and_can_fail():
    asked = {f.metadata["used_if"] for f in dataclasses.fields(Options)}
    assert asked - {None} == NAMES
    assert conditions.unmet(Options(momentum=0.0), NOTHING).keys() == NAMES


def test_nothing_is_said_of_what_is_not_known():
    assert Options(image_size=8, teacher_checkpoint="a.keras").unused(Known()) == {}


ONE_PHASE = f"{ALONE}: it has one phase"
IN_MEMORY = "--dataset=npz:a, which is held in memory"
WHOLE = "--dataset=digits, which is not cropped at random"
STILL = "--dataset=digits, whose images are not changed one by one"
LEARNS_ALONG = f"{ALONE}: its teacher starts with the student"
OWN_SCALE = "--student=FILE.keras, which says itself how images are scaled"
BY_NAME = "--teacher=a, which is scaled as the data are"
PLAIN, MODEL = {"teacher": "a"}, {"teacher_weights": "imagenet"}
CHECKPOINT = {"teacher_checkpoint": "a"}
SETTINGS, ALONG = Known(settings=True), Known(trains_teacher=True)
FIRST, OWN = Known(trains_teacher=False), Known(scales_student=True)
RESIZED_WHOLE = Known(settings=True, crops=False)


@pytest.mark.parametrize(
    ("given", "known", "name", "reason"),
    [
        ({}, SETTINGS, "teacher_cache_taps", "--teacher_cache=false"),
        ({}, SETTINGS, "validation_seed", "--validation=0"),
        ({}, SETTINGS, "decay_points", "--schedule=cosine"),
        ({"schedule": "constant"}, SETTINGS, "decay_rate", "--schedule=constant"),
        ({"momentum": 0.0}, SETTINGS, "nesterov", "--momentum=0.0"),
        ({}, SETTINGS, "merge_valid", "--dataset=digits"),
        ({}, SETTINGS, "skip_bad_images", "--dataset=digits"),
        ({"dataset": "npz:a"}, SETTINGS, "cache_gib", IN_MEMORY),
        ({"image_size": 8}, SETTINGS, "pad_mode", "--image_size=8"),
        ({}, SETTINGS, "randaugment_magnitude", "--randaugment=0"),
        ({}, Known(crops=False), "pad_mode", WHOLE),
        ({"image_size": 8}, RESIZED_WHOLE, "pad_mode", WHOLE),
        ({}, Known(varies=False), "augmentation_period", STILL),
        ({}, Known(has_init_phase=False), "init_epochs", ONE_PHASE),
        (PLAIN, ALONG, "teacher_dir", LEARNS_ALONG),
        (PLAIN, ALONG, "normalisation", BY_NAME),
        (MODEL, FIRST, "teacher_seed", "--teacher_weights"),
        (CHECKPOINT, FIRST, "teacher_seed", "--teacher_checkpoint"),
        (CHECKPOINT, FIRST, "teacher", "--teacher_checkpoint"),
        (CHECKPOINT, OWN, "normalisation", OWN_SCALE),
    ],
)
def test_the_reasons(given, known, name, reason):
    assert Options(distiller="AT", **given).unused(known)[name] == reason


def test_what_a_run_without_teacher_does_not_use_is_in_order():
    found = Options(distiller="AT", teacher_cache=True).unused(
        Known(uses_teacher=False, trains_teacher=False, settings=True)
    )
    assert [name for name, reason in found.items() if reason == ALONE] == [
        "teacher",
        "teacher_checkpoint",
        "teacher_taps",
        "teacher_scaling",
        "teacher_weights",
        "teacher_epochs",
        "teacher_seed",
        "teacher_data_seed",
        "teacher_dir",
        "normalisation",
        "teacher_cache",
        "teacher_cache_taps",
        "teacher_cache_dir",
        "teacher_cache_precision",
    ]
