import pytest

import fakes
from teacher_cache import plan as cache_plan
from tests.teacher_cache import cached_runs

STUDENT, TEACHER, DATA = fakes.Net(seed=1), fakes.Net(seed=2), cached_runs.data()


def plan(name, data=DATA, teacher=TEACHER, **changes):
    settings = cached_runs.settings("cache", name, **changes)
    method = cached_runs.method(name, data, STUDENT, teacher)
    return cache_plan.plan(settings, data, method, STUDENT, teacher)


TAPS = "which reads the teacher's stage1, stage2, stage3; with --teacher_cache_taps "
NO_EFFECT = "--teacher_cache has no effect with "


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("RKD", [{"embedding"}]), ("BSS", [{"logits"}])],
)
def test_what_needs_no_taps_is_served(name, outputs):
    found = plan(name)
    assert found == cache_plan.CachePlan(tuple(outputs), ("train",))
    assert found.is_used


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("AT", f"--distiller=AT, {TAPS}they are kept, too"),
        ("Sobolev", "--distiller=Sobolev, which has a teacher's forward pass of its"),
        ("MLKD", "--distiller=MLKD, which has a teacher's forward pass of its own"),
        ("DML", "--distiller=DML, whose teacher learns along"),
        ("LwM+Soft_logits", "--distiller=LwM+Soft_logits, which has a teacher's"),
    ],
)
def test_methods_that_cannot_use_it_say_so(name, reason):
    found = plan(name)
    assert not found.is_used
    [note] = found.notes
    assert note.startswith(NO_EFFECT + reason)


@pytest.mark.parametrize(
    ("changes", "augmentation", "reason"),
    [
        ({"xla": True}, {}, "--xla, whose teacher rounds differently"),
        ({}, {"mixup": 0.2}, "--mixup: a mixed image belongs to one batch alone"),
        ({}, {"mixup": 0.2, "cutmix": 1.0}, "--mixup and --cutmix: a mixed"),
    ],
)
def test_runs_that_cannot_use_it_say_so(changes, augmentation, reason):
    found = plan("Soft_logits", cached_runs.data(**augmentation), **changes)
    assert not found.is_used
    [note] = found.notes
    assert note.startswith(NO_EFFECT + reason)


class Half(fakes.Net):
    compute_dtype = "float16"


def test_a_float16_teacher_cannot_use_it_and_says_so():
    found = plan("Soft_logits", teacher=Half(seed=2))
    assert not found.is_used
    [note] = found.notes
    assert note.startswith(f"{NO_EFFECT}a float16 teacher: its rounding depends on")


def test_taps_are_served_if_they_are_kept():
    found = plan("AT", teacher_cache_taps=True)
    assert found.outputs == ({"stage1", "stage2", "stage3"},)
    assert found.notes == ()


def test_phases_are_looked_at_one_by_one():
    found = plan("FitNet")
    assert found.outputs == (set(), {"logits"})
    assert found.lengths == ("init", "train")
    [note] = found.notes
    assert note.startswith(f"{NO_EFFECT}phase hint of --distiller=FitNet, which reads")
    assert note.endswith("with --teacher_cache_taps it is kept, too")
    assert plan("FitNet", teacher_cache_taps=True).outputs[0]


def test_a_parts_own_phase_is_served_in_a_sum_that_is_not():
    found = plan("FitNet+LwM", teacher_cache_taps=True)
    assert found.outputs[0] and not found.outputs[1]
    [note] = found.notes
    assert "phase distill of --distiller=FitNet+LwM, which has" in note


@pytest.mark.parametrize(
    ("name", "teacher", "is_wanted"),
    [("Soft_logits", TEACHER, False), ("none", None, True)],
)
def test_without_a_cache_or_a_teacher_nothing_is_said(name, teacher, is_wanted):
    found = plan(name, teacher=teacher, teacher_cache=is_wanted)
    assert not found.is_used and not found.notes


def test_a_phase_without_the_student_asks_a_teacher_whose_pixels_are_converted():
    """FT's first one: alone, the conversion is folded into the normalisation."""
    teacher = fakes.Net(seed=2)
    teacher.converts_pixels = True
    found = plan("FT", teacher=teacher, teacher_cache_taps=True)
    assert [bool(outputs) for outputs in found.outputs] == [False, True]
    [note] = found.notes
    assert "phase paraphrase of --distiller=FT, which does not train the stu" in note
    assert all(plan("FT", teacher_cache_taps=True).outputs)
