"""FSP: the student learns how the teacher's features flow from level to level."""

from collections.abc import Sequence

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils.channel_products import as_rows, channel_products
from op_utils.pooling import pool_to_smaller
from op_utils.squared_error import squared_gap


def flow(lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """G[b, m, n] = mean over positions of upper[.., m] lower[.., n].

    The larger map is average-pooled to the smaller one's size before that.

    Args:
        lower: [B, H, W, N], the map of one level.
        upper: [B, H', W', M], that of the next deeper one of the same net.

    Returns:
        [B, M, N] in the squared unit of the maps, whatever their size.
    """
    # Paper: maximum pooling. Here: the average, as in the published code that the
    # reference values are of (RepDistiller).
    lower, upper = (as_rows(maps) for maps in pool_to_smaller(lower, upper))
    return channel_products(upper, lower) / lower.shape[1]


def flow_gaps(
    students: Sequence[tf.Tensor],
    teachers: Sequence[tf.Tensor],
    weight: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Mean of (G_s - G_t)^2 for each two adjacent levels; they are summed.

    Args:
        students: maps [B, H, W, C], one for each level, the shallowest first.
        teachers: as many, with the student's channels; taken as constants.
        weight: [B], of each image; None is 1.

    Returns:
        One scalar less than levels, at least 0, in the maps' unit to the fourth.
    """
    # Paper: the sum of squares over the entries. Here: their mean, as in RepDistiller,
    # because one weight then serves all widths.
    gaps = []
    for level in range(len(students) - 1):
        student, teacher = (maps[level : level + 2] for maps in (students, teachers))
        gaps.append(squared_gap(flow(*student), flow(*teacher), weight))
    return gaps


class FSP(base.Distiller):
    """Yim et al., A Gift from Knowledge Distillation, CVPR 2017.

    https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html.
    Phase "flow" trains the student on the flow of the solution procedure alone: the
    matrices G of adjacent levels. Phase "distill" is plain training with the labels.
    Owns no variables.

    Args:
        taps: at least two levels, the shallowest first: stem, stages,
            student:teacher, ... (`tap_pairs`), with equal numbers of channels.
        weight: of the sum over the pairs of levels, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, there is
            one level only, or the channels differ.
    """

    equal_widths = True
    has_init_phase = True
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stem", "stages"),
        weight: float = 1.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        self.weight = weight
        self.pairs = tap_pairs.resolve(
            taps, student_taps, teacher_taps, maps=True, equal_widths=True
        )
        if len(self.pairs) < 2:
            raise wrong(
                "Features flow from one level to the next",
                expected="at least two levels, such as taps=stem,stages",
                received=f"taps={','.join(taps)}",
            )

    def phases(self):
        """The flow, then the labels."""
        return (
            base.Phase("flow", self.flow_loss, length="init", task_weight=0.0),
            base.Phase("distill", self.loss),
        )

    def flow_loss(self, student, teacher, batch):
        """The weighted sum over adjacent levels, as "flow"."""
        weight = batch.get("sample_weight")
        students = [student.taps[name] for name, _ in self.pairs]
        teachers = [teacher.taps[name] for _, name in self.pairs]
        return {"flow": self.weight * tf.add_n(flow_gaps(students, teachers, weight))}

    def loss(self, student, teacher, batch):
        """No term: the last phase is plain training."""
        del student, teacher, batch
        return {}
