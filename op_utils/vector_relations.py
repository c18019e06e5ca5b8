"""Relations between the singular vectors of adjacent maps."""

from collections.abc import Sequence

import tensorflow as tf

from common.errors import wrong
from op_utils.singular_vectors import aligned_vectors


def relation_gaps(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    denominator: float = 8.0,
) -> list[tf.Tensor]:
    """Per pair of adjacent levels the sum over batch, c, d and j of (R_s - R_t)^2.

    R[c, d, j] = exp(-(V^l[c, j] - V^(l-1)[d, j])^2 / denominator), for all channels c
    of a level and d of the level before.

    Args:
        students: [B, C_l, K], one for each level.
        teachers: [B, C_l, K], taken as constants.
        denominator: of the exponent, > 0.

    Returns:
        Scalars without unit, at least 0, one fewer than there are levels.

    Raises:
        ValueError: there are fewer than two levels, or not equally many on both sides.
    """
    if len(students) != len(teachers) or len(students) < 2:
        raise wrong(
            "Relations are between adjacent levels",
            expected="two levels or more, of both nets alike",
            received=f"{len(students)} of the student, {len(teachers)} of the teacher",
        )

    def relations(vectors):
        """R - 1, whose digits the difference of two R near 1 would lose."""
        return [
            tf.math.expm1(
                -tf.square(after[:, :, tf.newaxis] - before[:, tf.newaxis])
                / denominator
            )  # [B, C_l, C_(l-1), K]
            for before, after in zip(vectors[:-1], vectors[1:], strict=True)
        ]

    of_teacher = relations([tf.stop_gradient(t) for t in teachers])
    return [
        tf.reduce_sum(tf.square(s - t))
        for s, t in zip(relations(students), of_teacher, strict=True)
    ]


def aligned_relation_gaps(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    k: int = 1,
    candidates: int = 4,
    denominator: float = 8.0,
) -> list[tf.Tensor]:
    """`relation_gaps` of the first right singular vectors of maps.

    Of each level the teacher's first k, and those of the student that match them, both
    times the teacher's singular values, which are divided by their norm.

    Args:
        students: maps [B, Hs, Ws, C], one for each level.
        teachers: maps [B, Ht, Wt, C], taken as constants.
        k: number of the teacher's vectors, at most min(Ht Wt, C).
        candidates: number of the student's vectors that may match.
        denominator: of the exponent, > 0.

    Returns:
        Scalars without unit, at least 0, one fewer than there are levels.

    Raises:
        ValueError: the channels differ, or there are fewer vectors or levels.
    """
    of_student, of_teacher = [], []
    for student, teacher in zip(students, teachers, strict=True):
        s, t, values = aligned_vectors(student, teacher, k, candidates)
        of_student.append(s * values[:, tf.newaxis])
        of_teacher.append(t * values[:, tf.newaxis])
    return relation_gaps(of_student, of_teacher, denominator)
