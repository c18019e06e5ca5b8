"""KD-EID: the relations of KD-SVD, from an eigendecomposition."""

import tensorflow as tf

from distiller.framework import adjacent_levels, base, hyperparameters
from op_utils.gradient_clipping import combiner
from op_utils.vector_relations import aligned_relation_gaps


class KDEID(base.Distiller):
    """Lee and Song, KD-EID, a part of KD_methods_with_TF, 2019 (published as code).

    https://github.com/sseung0703/KD_methods_with_TF. Its term is that of KD-SVD, Lee
    et al., https://arxiv.org/abs/1807.06819: between adjacent levels R[c, d, j] =
    exp(-(V^l[c, j] - V^(l-1)[d, j])^2 / r), with the teacher's first k right singular
    vectors, or those of the student that match them, times the teacher's singular
    values; then the sum over levels, images, c, d and j of (R_student - R_teacher)^2.
    What is its own is the way there, by the eigenvectors of the smaller Gram matrix.
    Its gradient is clipped, variable by variable, to q times the length of the label
    loss's gradient, q = 1 / (1 + exp(-epoch)). Owns no variables.

    Here KD_SVD goes that way, too, so the two agree. And the gradient is the true
    derivative: the published one is up to twice as long, and 0 for maps with
    2/3 < H W / C < 3/2.

    Args:
        taps: two or more levels: stages, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the levels, >= 0.
        k: number of the teacher's vectors, >= 1.
        candidates: first vectors of the student that may match, >= 1; None is k + 3.
        denominator: r of the exponent, > 0.
        clip: whether to clip. The sum over the images is made for it.

    Raises:
        ValueError: a hyperparameter is out of range, there are fewer than two levels, a
            tap does not exist, the channels of a pair differ, or a map of the teacher
            has fewer than k singular vectors.
    """

    equal_widths = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stages",),
        weight: float = 1.0,
        k: int = 1,
        candidates: int | None = None,
        denominator: float = 8.0,
        clip: bool = True,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        candidates = k + 3 if candidates is None else candidates
        hyperparameters.check_positive(
            k=k, candidates=candidates, denominator=denominator
        )
        self.weight = weight
        self.k, self.candidates = k, candidates
        self.denominator = denominator
        self.clip = clip
        self.pairs = adjacent_levels.resolve(taps, student_taps, teacher_taps, k)

    def phases(self):
        """One, with clipped gradients."""
        combine = combiner(ramp=True) if self.clip else None
        return (base.Phase("distill", self.loss, combine=combine),)

    def gaps(self, student, teacher) -> list[tf.Tensor]:
        """A scalar for each two adjacent levels, from the outputs of both nets."""
        return aligned_relation_gaps(
            [student.taps[name] for name, _ in self.pairs],
            [teacher.taps[name] for _, name in self.pairs],
            self.k,
            self.candidates,
            self.denominator,
        )

    def loss(self, student, teacher, batch):
        """The weighted sum over the levels, as "relation"."""
        del batch
        return {"relation": self.weight * tf.add_n(self.gaps(student, teacher))}
