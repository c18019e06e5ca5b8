"""Singular vectors and their relations in NumPy, one image at a time."""

import numpy as np


def triples(image, k):
    """U, s, V of an image [H, W, C] as a matrix [H * W, C], signs fixed."""
    left, values, right = np.linalg.svd(image.reshape(-1, image.shape[-1]))
    left, values, right = left[:, :k], values[:k], right[:k].T
    for j in range(k):
        if right[np.argmax(np.abs(right[:, j])), j] < 0:
            left[:, j], right[:, j] = -left[:, j], -right[:, j]
    return left, values, right


def aligned(student, teacher, k, candidates):
    """The student's and the teacher's vectors of one image, [C, k] each, and s."""
    _, values, targets = triples(teacher, k)
    _, _, found = triples(student, candidates)
    columns = []
    for j in range(k):
        cosines = [found[:, i] @ targets[:, j] for i in range(candidates)]
        best = int(np.argmax(np.abs(cosines)))
        columns.append(found[:, best] * np.sign(cosines[best]))
    return np.stack(columns, 1), targets, values / np.linalg.norm(values)


def gap(students, teachers, r):
    """Of one image: vectors [C_l, k] of two levels, the shallower first."""
    total = 0.0
    for j in range(students[0].shape[1]):
        relations = [
            np.exp(-(np.subtract.outer(after[:, j], before[:, j]) ** 2) / r)
            for before, after in (students, teachers)
        ]
        total += ((relations[0] - relations[1]) ** 2).sum()
    return total


def aligned_gap(students, teachers, k, candidates, r):
    """Of a batch: lists of maps [B, H, W, C], summed over images and levels."""
    total = 0.0
    for image in range(len(students[0])):
        vectors = []
        for s, t in zip(students, teachers, strict=True):
            a, b, values = aligned(s[image], t[image], k, candidates)
            vectors.append((a * values, b * values))
        for before, after in zip(vectors[:-1], vectors[1:], strict=True):
            total += gap((before[0], after[0]), (before[1], after[1]), r)
    return total
