"""KD-SVD: singular vectors of the maps, and how they change from stage to stage."""

import typing

import tensorflow as tf

from distiller.framework import adjacent_levels, base, hyperparameters
from op_utils import shapes
from op_utils.channel_products import as_rows
from op_utils.connectors import PointwiseConnector
from op_utils.gradient_clipping import combiner
from op_utils.singular_vectors import relative, singular_vectors
from op_utils.vector_relations import aligned_relation_gaps, relation_gaps

Variant = typing.Literal["svd_align", "batch_mean", "teacher_projection"]


def projected_vectors(
    student: tf.Tensor, teacher: tf.Tensor, k: int = 4, epsilon: float = 1e-12
) -> tuple[tf.Tensor, tf.Tensor]:
    """The teacher's right vectors, and the student's map on its left ones.

    With X = [H * W, C] and the teacher's first k singular triples U, s, V: the columns
    of s unit(X_student^T U), over the channels, and of s V, s divided by its norm.

    Args:
        student: [B, H, W, C].
        teacher: [B, H, W, C], taken as constant.
        k: at most min(H W, C).
        epsilon: the least squared length that `unit` divides by.

    Returns:
        The student's and the teacher's [B, C, k].

    Raises:
        ValueError: the shapes differ, or there are fewer triples.
    """
    shapes.check_equal(
        student, teacher, "The teacher's left vectors are over its positions", "maps"
    )
    left, values, right = singular_vectors(tf.stop_gradient(teacher), k)
    values = relative(values)[:, tf.newaxis]
    columns = tf.matmul(as_rows(student), left, transpose_a=True)  # [B, C, k]
    return values * tf.math.l2_normalize(columns, 1, epsilon), values * right


class KDSVD(base.Distiller):
    """Lee et al., Self-supervised Knowledge Distillation Using SVD, ECCV 2018.

    https://arxiv.org/abs/1807.06819. Each map is a matrix [H * W, C]. V are the
    teacher's first k right singular vectors times the singular values, which are
    divided by their norm; for the student the vectors that match these, times the same.
    Between adjacent levels R[c, d, j] = exp(-(V^l[c, j] - V^(l-1)[d, j])^2 / r), r the
    denominator. The term is the sum over levels, images, c, d and j of
    (R_student - R_teacher)^2. Its gradient is clipped, variable by variable, to the
    length of the label loss's gradient.

    "svd_align" is the authors' older TensorFlow code. "batch_mean" divides by the
    batch size, as RepDistiller and mdistiller do; they clip nothing (clip=false).
    "teacher_projection" is the authors' TensorFlow 2 code: the student's map, through
    a connector, is projected on the teacher's left vectors, which needs maps of equal
    size, but not width; the code has k = 4 and the taps stages_pre. It owns the
    connectors, 1x1 convolution and batch norm, trained; the others own nothing.

    Args:
        variant: "svd_align", "batch_mean" or "teacher_projection".
        taps: two or more levels: stages, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the levels, >= 0.
        k: number of the teacher's vectors, >= 1.
        candidates: first vectors of the student that may match, >= 1; None is k + 3.
        denominator: r of the exponent, > 0.
        clip: whether to clip. The bound rises from half the label loss's gradient to
            all of it with the epochs; with "teacher_projection" it is all at once.

    Raises:
        ValueError: a hyperparameter is out of range, there are fewer than two levels, a
            tap does not exist, the channels of a pair differ, or a map has not enough
            singular vectors or, to be projected, not the teacher's size.
    """

    equal_widths = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        variant: Variant = "svd_align",
        taps: tuple[str, ...] = ("stages",),
        weight: float = 1.0,
        k: int = 1,
        candidates: int | None = None,
        denominator: float = 8.0,
        clip: bool = True,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        hyperparameters.check_not_negative(weight=weight)
        candidates = k + 3 if candidates is None else candidates
        hyperparameters.check_positive(
            k=k, candidates=candidates, denominator=denominator
        )
        self.variant = variant
        self.weight, self.denominator, self.clip = weight, denominator, clip
        self.k, self.candidates = k, candidates
        projects = variant == "teacher_projection"
        self.equal_widths = not projects
        equal = {"equal_widths": self.equal_widths, "equal_sizes": projects}
        self.pairs = adjacent_levels.resolve(
            taps, student_taps, teacher_taps, k, **equal
        )
        self.connectors = tuple(
            PointwiseConnector(
                student_taps[s].channels, teacher_taps[t].channels, name=f"to_{t}"
            )
            for s, t in (self.pairs if projects else ())
        )

    def phases(self):
        """One, with clipped gradients."""
        # Authors' TensorFlow 2 code: its connectors are not tracked and stay random.
        # Here: trained, and unclipped, because no label loss reaches them.
        ramp = self.variant != "teacher_projection"
        combine = combiner(ramp=ramp) if self.clip else None
        own = self.trainable_variables
        return (base.Phase("distill", self.loss, own=own, combine=combine),)

    def gaps(self, students, teachers) -> list[tf.Tensor]:
        """A scalar for each two adjacent maps of these, [B, H, W, C] each."""
        if self.variant == "teacher_projection":
            # The moving statistics are those of the start, as in the authors' code.
            maps = zip(self.connectors, students, teachers, strict=True)
            vectors = [
                projected_vectors(connector(s, training=False), t, self.k)
                for connector, s, t in maps
            ]
            students, teachers = zip(*vectors, strict=True)
            return relation_gaps(students, teachers, self.denominator)
        numbers = self.k, self.candidates, self.denominator
        gaps = aligned_relation_gaps(students, teachers, *numbers)
        divisor = students[0].shape[0] if self.variant == "batch_mean" else 1
        return [gap / divisor for gap in gaps]

    def loss(self, student, teacher, batch):
        """The weighted sum over the levels, as "relation"."""
        del batch
        students = [student.taps[name] for name, _ in self.pairs]
        teachers = [teacher.taps[name] for _, name in self.pairs]
        return {"relation": self.weight * tf.add_n(self.gaps(students, teachers))}
