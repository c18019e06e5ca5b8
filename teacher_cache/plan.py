"""Which phases of a run the teacher cache serves, and what it tells of the others."""

import dataclasses
from collections.abc import Sequence

from teacher_cache import outputs_read
from training.teacher_outputs import EMBEDDING, LOGITS

_ALWAYS = {LOGITS, EMBEDDING}


@dataclasses.dataclass(frozen=True)
class CachePlan:
    """What a run takes from the cache.

    Attributes:
        outputs: for each phase, which of the teacher's outputs its batches bring along;
            empty where the teacher itself is asked, or not at all.
        lengths: for each phase, "init" or "train".
        notes: why it is asked although there is a cache, a line each.
    """

    outputs: tuple[frozenset[str], ...]
    lengths: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_used(self) -> bool:
        """Whether any phase takes anything."""
        return any(self.outputs)


def plan(settings, data, method, student, teacher) -> CachePlan:
    """What the settings ask for, as far as the method can use it.

    Args:
        settings: an `settings.Options`.
        data: a `dataloader.TrainingData`.
        method: a `distiller.framework.base.Distiller`.
        student: a net with taps.
        teacher: the same; None where there is none.
    """
    phases = method.phases()
    lengths = tuple(phase.length for phase in phases)
    nothing = CachePlan((frozenset(),) * len(phases), lengths)
    if not settings.teacher_cache or teacher is None:
        return nothing
    reason = _reason_of_run(settings, data.augmentation, teacher)
    if reason:
        return dataclasses.replace(nothing, notes=(_note(reason),))
    own = [
        _reason_of_forward(phase, phase.method or method, teacher) for phase in phases
    ]
    asked = [phase for phase, reason in zip(phases, own, strict=True) if not reason]
    of_asked = iter(
        outputs_read.read(
            asked, method, student, teacher, data.train.image_shape, data.batch_size
        )
        if asked
        else ()
    )
    read = [frozenset() if reason else next(of_asked) for reason in own]
    reasons = [
        reason or _reason_of_taps(names, settings.teacher_cache_taps)
        for reason, names in zip(own, read, strict=True)
    ]
    outputs = [
        frozenset() if reason else names
        for reason, names in zip(reasons, read, strict=True)
    ]
    if not any(reasons) and not any(outputs):
        reasons = ["which reads nothing of the teacher's output"] * len(phases)
    return CachePlan(tuple(outputs), lengths, _notes(settings, phases, reasons))


def _reason_of_run(settings, augmentation, teacher) -> str:
    if settings.xla:
        return "--xla, whose teacher rounds differently"
    if teacher.compute_dtype == "float16":
        # Measured on a CPU: in some batches. Not so in float32 and bfloat16.
        return "a float16 teacher: its rounding depends on the place in the batch"
    if augmentation.mixes:
        flags = [f"--{n}" for n in ("mixup", "cutmix") if getattr(augmentation, n)]
        return f"{' and '.join(flags)}: a mixed image belongs to one batch alone"
    return ""


def _reason_of_forward(phase, method, teacher) -> str:
    if phase.trains_teacher:
        return "whose teacher learns along"
    if method.overrides("teacher_forward"):
        return "which has a teacher's forward pass of its own"
    if teacher.converts_pixels and not phase.trains_student:
        return (  # see `teacher_cache.forward_function`
            "which does not train the student: pixels that are converted for the "
            "teacher alone round otherwise"
        )
    return ""


def _reason_of_taps(names: frozenset[str], are_kept: bool) -> str:
    taps = sorted(names - _ALWAYS)
    if are_kept or not taps:
        return ""
    are = "are" if len(taps) > 1 else "is"
    return (
        f"which reads the teacher's {', '.join(taps)}; with --teacher_cache_taps "
        f"{'they' if are == 'are' else 'it'} {are} kept, too"
    )


def _notes(settings, phases: Sequence, reasons: Sequence[str]) -> tuple[str, ...]:
    method = f"--distiller={settings.distiller}"
    if len(set(reasons)) == 1:
        return (_note(f"{method}, {reasons[0]}"),) if reasons[0] else ()
    return tuple(
        _note(f"phase {phase.name} of {method}, {reason}")
        for phase, reason in zip(phases, reasons, strict=True)
        if reason
    )


def _note(reason: str) -> str:
    return f"--teacher_cache has no effect with {reason}"
