"""Singular vectors of maps, with gradients that stay finite, and their alignment."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from common.errors import wrong
from op_utils.channel_products import as_rows
from op_utils.norms import norm


class SingularVectors(NamedTuple):
    """The largest singular values of a map and their vectors, one column for each.

    Attributes:
        left: [B, H * W, N], over the positions.
        values: [B, N], falling, in the unit of the map.
        right: [B, C, N], over the channels.
    """

    left: tf.Tensor
    values: tf.Tensor
    right: tf.Tensor


def singular_vectors(maps: tf.Tensor, number: int) -> SingularVectors:
    """The first singular triples of each map, as a matrix X = [H * W, C].

    They come from the eigenvectors of the smaller one of X^T X and X X^T. The gradient
    is the true derivative, but for two vectors whose squared singular values agree up
    to rounding: what turns the one into the other is undetermined and counts as 0.

    A right vector's component of largest magnitude is positive, and its left vector
    follows. (Published code also asks for a sum of at least 0. For the first vector of
    a non-negative map, which has one sign, and where they compared it is the same.)
    A vector whose singular value vanishes up to rounding, as all do of a map of zeros,
    is undetermined: it is returned as zeros, without gradient.

    Args:
        maps: [B, H, W, C] with static H, W, C.
        number: N of the triples, at least 1.

    Returns:
        Unit vectors, or zeros, and their values.

    Raises:
        ValueError: the maps do not have as many singular values.
    """
    _, height, width, channels = maps.shape
    positions = height * width
    if not 1 <= number <= min(positions, channels):
        raise wrong(
            "A map has min(H W, C) singular vectors",
            expected=f"a number from 1 to {min(positions, channels)}",
            received=f"number={number} for (H, W, C) = {(height, width, channels)}",
        )
    x = as_rows(maps)
    tall = positions >= channels
    gram = tf.matmul(x, x, transpose_a=tall, transpose_b=not tall)  # the smaller one
    inner = _top_eigenvectors(gram, number)
    outer = tf.matmul(x, inner, transpose_a=not tall)
    values = norm(outer, axis=1)  # [B, N]
    # Eigenvalues are squares: what rounding leaves of them, its root leaves of these.
    floor = tf.stop_gradient(values[:, :1]) * np.sqrt(_rounding(x.dtype))
    present = (values > floor)[:, tf.newaxis]
    inner = tf.where(present, inner, tf.zeros_like(inner))
    outer = tf.math.divide_no_nan(outer, values[:, tf.newaxis])
    outer = tf.where(present, outer, tf.zeros_like(outer))
    left, right = (outer, inner) if tall else (inner, outer)
    sign = _sign(right)
    return SingularVectors(left * sign, values, right * sign)


def align(candidates: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """For each target the candidate of largest |cosine|, times this cosine's sign.

    Choice and sign are constants. Two targets may get the same candidate.

    Args:
        candidates: [B, C, N] unit vectors, the student's.
        targets: [B, C, K] unit vectors, the teacher's, taken as constants.

    Returns:
        [B, C, K]; zeros where every cosine is 0.
    """
    cosines = tf.matmul(targets, candidates, transpose_a=True)  # [B, K, N]
    chosen = tf.one_hot(
        tf.argmax(tf.abs(cosines), axis=-1), cosines.shape[-1], dtype=cosines.dtype
    )
    signed = tf.stop_gradient(chosen * tf.sign(cosines))
    return tf.matmul(candidates, signed, transpose_b=True)


def aligned_vectors(
    student: tf.Tensor, teacher: tf.Tensor, number: int, candidates: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The teacher's first right vectors, and those of the student that match them.

    Args:
        student: [B, Hs, Ws, C].
        teacher: [B, Ht, Wt, C], taken as constant.
        number: K of the teacher's vectors.
        candidates: so many first vectors of the student are compared, or all there are.

    Returns:
        The student's [B, C, K], the teacher's [B, C, K], and the teacher's singular
        values [B, K] divided by their norm; these are zeros for a map of zeros.

    Raises:
        ValueError: the channels differ, or the teacher has fewer vectors.
    """
    if student.shape[-1] != teacher.shape[-1]:
        raise wrong(
            "The vectors' cosines are taken over the channels",
            expected="maps with equally many",
            received=f"student {student.shape}, teacher {teacher.shape}",
        )
    teacher = tf.stop_gradient(teacher)
    candidates = min(candidates, student.shape[1] * student.shape[2], student.shape[3])
    if student.shape == teacher.shape:
        # One decomposition, because XLA takes more than a second to compile each.
        maps = tf.concat([student, teacher], axis=0)
        both = singular_vectors(maps, max(number, candidates))
        found, targets = tf.split(both.right, 2)
        _, values = tf.split(both.values, 2)
        found, targets = found[..., :candidates], targets[..., :number]
        values = values[:, :number]
    else:
        _, values, targets = singular_vectors(teacher, number)
        found = singular_vectors(student, candidates).right
    vectors = align(found, targets)
    return vectors, targets, relative(values)


def relative(values: tf.Tensor) -> tf.Tensor:
    """Singular values [B, K] divided by their norm; zeros stay zeros."""
    return tf.math.divide_no_nan(values, norm(values, keepdims=True))


def _rounding(dtype) -> float:
    """The part of the largest eigenvalue below which others are rounding errors."""
    return 16.0 * np.finfo(dtype.as_numpy_dtype).eps


def _sign(vectors: tf.Tensor) -> tf.Tensor:
    """[B, 1, N]: 1, or -1 where the component of largest magnitude is negative."""
    highest = tf.reduce_max(vectors, axis=1, keepdims=True)
    lowest = tf.reduce_min(vectors, axis=1, keepdims=True)
    return tf.where(highest >= -lowest, tf.ones_like(highest), -tf.ones_like(highest))


def _top_eigenvectors(gram: tf.Tensor, number: int) -> tf.Tensor:
    """[B, R, N]: those of the largest eigenvalues of [B, R, R], the largest first.

    Gradient: with dv_i = sum over j of v_j (v_j^T dG v_i) / (l_i - l_j), where the
    terms of equal eigenvalues, up to rounding, are left out. TensorFlow's own gradient
    needs all eigenvectors' and is infinite there.
    """
    # eigh fails on NaN. As zeros they leave it to the label loss to stop the run.
    gram = tf.where(tf.math.is_finite(gram), gram, tf.zeros_like(gram))

    @tf.custom_gradient
    def decompose(gram):
        values, vectors = tf.linalg.eigh(gram)  # rising
        top = tf.reverse(vectors[..., -number:], [-1])

        def gradient(upstream):
            highest = tf.reverse(values[:, -number:], [-1])
            gaps = highest[:, tf.newaxis] - values[..., tf.newaxis]  # [B, R, N]
            floor = _rounding(values.dtype) * values[:, -1:, tf.newaxis]
            known = tf.abs(gaps) > floor
            inverse = tf.where(known, 1.0 / tf.where(known, gaps, 1.0), 0.0)
            inverse *= tf.matmul(vectors, upstream, transpose_a=True)
            slope = tf.matmul(tf.matmul(vectors, inverse), top, transpose_b=True)
            return (slope + tf.linalg.matrix_transpose(slope)) / 2.0

        return top, gradient

    return decompose(gram)
