"""OFD: what the teacher passes through its ReLU, and no more, is distilled."""

import typing

import numpy as np
import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from nets.taps import TapSpec
from op_utils.connectors import PointwiseConnector
from op_utils.level_weights import halved_from_deepest
from op_utils.margins import batch_negative, expected_negative
from op_utils.pooling import adaptive_average_pool

Variant = typing.Literal["paper", "batch_margin"]
# Publication -> default weight: the authors' code's, and KD-Zoo's.
_WEIGHTS = {"paper": 0.001, "batch_margin": 0.5}


def partial_squares(
    student: tf.Tensor, teacher: tf.Tensor, margin: tf.Tensor
) -> tf.Tensor:
    """(s - t)^2 with t = max(teacher, margin), but 0 where s <= t <= 0.

    Args:
        student: pre-activations [B, H, W, C], after the connector.
        teacher: pre-activations [B, H, W, C], taken as constants.
        margin: [C], at most 0.

    Returns:
        [B, H, W, C], at least 0, in the squared unit of the maps.
    """
    target = tf.stop_gradient(tf.maximum(teacher, margin))
    gap = student - target
    # Where the teacher is silent, it does not matter how silent the student is.
    return tf.square(tf.where(target > 0, gap, tf.nn.relu(gap)))


class OFD(base.Distiller):
    """Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019.

    https://arxiv.org/abs/1904.01866. Compares the maps in front of the ReLUs by the
    partial L2 distance to max(t, margin). Owns per pair of taps one connector (1x1
    convolution, batch norm) from the student's channels to the teacher's. The teacher's
    map is average-pooled to the student's size; a smaller one is enlarged.

    Args:
        variant: "paper" takes the margins from gamma and beta of the teacher's batch
            norms, sums over positions and channels, and halves the weight from each
            level to the next shallower; "batch_margin" takes the mean negative entry
            of the batch, and means (AberHu/Knowledge-Distillation-Zoo).
        taps: the levels, the shallowest first: stages_pre, stage2_pre,
            student:teacher, ... (`tap_pairs`).
        weight: of all levels, >= 0; None takes 0.001, and 0.5 for "batch_margin".
        epsilon: added to the number of negative entries by "batch_margin", > 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or the
            teacher has no batch norm at a tap of "paper".
    """

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        variant: Variant = "paper",
        taps: tuple[str, ...] = ("stages_pre",),
        weight: float | None = None,
        epsilon: float = 1e-6,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        weight = _WEIGHTS[variant] if weight is None else weight
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(epsilon=epsilon)
        self.variant = variant
        self.needs_trained_teacher = variant == "paper"  # for the margins
        self.weight = weight
        self.epsilon = epsilon
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)
        # Constants and no variables: a resumed run reads the same frozen teacher again.
        norms = [t for _, t in self.pairs] if variant == "paper" else []
        self.margins = tuple(_margin(t, teacher_taps[t]) for t in norms)
        self.connectors = tuple(
            PointwiseConnector(
                student_taps[s].channels, teacher_taps[t].channels, name=f"to_{t}"
            )
            for s, t in self.pairs
        )

    def loss(self, student, teacher, batch):
        """The weighted sum over the levels, as "partial_l2"."""
        del batch
        # Paper: the teacher's batch norms take the batch's statistics. Here: the
        # moving ones, because all methods of a sum share the teacher's forward.
        return {"partial_l2": self.weight * tf.add_n(self.levels(student, teacher))}

    def levels(self, student, teacher) -> list[tf.Tensor]:
        """The loss of each level without `weight`; they are summed."""
        squares = []
        for level, (s, t) in enumerate(self.pairs):
            source, target = student.taps[s], teacher.taps[t]
            size = source.shape[1:3]
            target = adaptive_average_pool(target, *size, enlarge=True)
            if self.variant == "paper":
                margin = self.margins[level]
            else:
                margin = batch_negative(target, self.epsilon)
            mapped = self.connectors[level](source)
            squares.append(partial_squares(mapped, target, margin))
        if self.variant == "batch_margin":
            return [tf.reduce_mean(x) / len(squares) for x in squares]
        sums = [tf.reduce_sum(x, axis=[1, 2, 3]) for x in squares]
        return halved_from_deepest([tf.reduce_mean(x) for x in sums])


def _margin(name: str, spec: TapSpec) -> np.ndarray:
    """[C], from the batch norm at one of the teacher's taps."""
    norm = spec.batch_norm
    if norm is None:
        raise wrong(
            "The margins come from the batch norm in front of the teacher's ReLU, and "
            "there is none",
            expected="teacher taps with a batch norm, such as stages_pre; choose "
            "others with taps=student:teacher, or take the margins from the batch with "
            "variant=batch_margin",
            received=f"teacher tap {name!r}",
        )
    gamma = norm.gamma if norm.scale else np.ones(spec.channels)
    beta = norm.beta if norm.center else np.zeros(spec.channels)
    return expected_negative(gamma, beta)
