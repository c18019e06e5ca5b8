"""Pairs of taps for methods that follow singular vectors from level to level."""

from collections.abc import Sequence

from common.errors import wrong
from distiller.framework import tap_pairs


def resolve(
    taps: Sequence[str],
    student_taps: tap_pairs.TapSpecs,
    teacher_taps: tap_pairs.TapSpecs,
    k: int = 1,
    *,
    equal_widths: bool = True,
    equal_sizes: bool = False,
) -> tuple[tuple[str, str], ...]:
    """`tap_pairs.resolve` to two or more pairs of maps.

    Args:
        taps: the entries.
        student_taps: the student's taps, by name.
        teacher_taps: the teacher's taps, by name.
        k: number of singular vectors that each map of the teacher needs.
        equal_widths: whether the two maps of a pair need the same channels.
        equal_sizes: whether the two maps of a pair need the same height and width.

    Returns:
        (student tap, teacher tap), in the order of the entries.

    Raises:
        ValueError: as `tap_pairs.resolve`; or there is one pair only, a map of the
            teacher has fewer singular vectors, or the sizes differ although
            `equal_sizes`.
    """
    pairs = tap_pairs.resolve(
        taps, student_taps, teacher_taps, maps=True, equal_widths=equal_widths
    )
    if len(pairs) < 2:
        raise wrong(
            "The method compares adjacent levels",
            expected="two or more",
            received=f"taps={','.join(taps)}, that is {len(pairs)}",
        )
    for student, teacher in pairs:
        _check_pair(student, student_taps, teacher, teacher_taps, k, equal_sizes)
    return pairs


def _check_pair(student, student_taps, teacher, teacher_taps, k, equal_sizes):
    shapes = student_taps[student].shape, teacher_taps[teacher].shape
    received = f"{student} of the student {shapes[0]}, {teacher} of the teacher "
    received += f"{shapes[1]}"
    height, width, channels = shapes[1]
    if k > min(height * width, channels):
        raise wrong(
            "A map has min(H W, C) singular vectors",
            expected=f"k of at most {min(height * width, channels)}",
            received=f"k={k} for {received}",
        )
    if equal_sizes and shapes[0][:2] != shapes[1][:2]:
        raise ValueError(
            "The method projects on vectors over the teacher's positions. Expected "
            f"maps of equal height and width. Received: {received}. Choose other taps= "
            "or another variant=."
        )
