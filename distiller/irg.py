"""IRG: graphs of a batch's images, and how they change from map to map."""

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import pairwise
from op_utils.pooling import average_channels, pool_to_smaller
from op_utils.squared_error import squared_gap


def edge_gap(
    student: tf.Tensor, teacher: tf.Tensor, epsilon: float = 1e-12
) -> tf.Tensor:
    """Mean over i, j of (D_ij of the student - D_ij of the teacher)^2.

    D = E / max E, where E_ij = max(|x_i - x_j|^2, epsilon), and 0 for i = j.

    Args:
        student: [B, ...] activations, B >= 2.
        teacher: [B, ...] activations of any shape, taken as constants.
        epsilon: the least squared distance, > 0.

    Returns:
        Scalar without unit, from 0 to 1; 0 where activations agree up to scale.

    Raises:
        ValueError: the batches differ in size or have one image alone.
    """
    pairwise.check_batches(student, teacher, least=2)
    return squared_gap(_edges(student, epsilon), _edges(teacher, epsilon))


def transformation_gap(
    students: tuple[tf.Tensor, tf.Tensor],
    teachers: tuple[tf.Tensor, tf.Tensor],
    epsilon: float = 1e-12,
) -> tf.Tensor:
    """Mean over i of (R_i of the student - R_i of the teacher)^2.

    R = T / max T, where T_i = max(|x_i - y_i|^2, epsilon) of two maps x and y of the
    same net. Before that the larger one is averaged to the smaller one's height, width
    and channels.

    Args:
        students: two maps [B, H, W, C] of the student, each with sizes of its own.
        teachers: two maps of the teacher, taken as constants.
        epsilon: the least squared distance, > 0.

    Returns:
        Scalar without unit, from 0 to 1.

    Raises:
        ValueError: the batches differ in size.
    """
    pairwise.check_batches(students[0], teachers[0])
    return squared_gap(
        _transformations(*students, epsilon), _transformations(*teachers, epsilon)
    )


def _edges(x, epsilon):
    squared = pairwise.squared_distances(x, floor=epsilon)  # [B, B]
    return squared / tf.reduce_max(squared)


def _transformations(first, second, epsilon):
    first, second = pool_to_smaller(first, second)
    # Published code (AberHu/Knowledge-Distillation-Zoo): the later map has as many
    # channels as the earlier one, or twice as many, whose pairs are averaged. Here:
    # any two widths, because nets are not alike; in these two cases it is the same.
    channels = min(first.shape[-1], second.shape[-1])
    gap = average_channels(first, channels) - average_channels(second, channels)
    squared = tf.maximum(tf.reduce_sum(tf.square(gap), [1, 2, 3]), epsilon)  # [B]
    return squared / tf.reduce_max(squared)


class IRG(base.Distiller):
    """Liu et al., Knowledge Distillation via Instance Relationship Graph, CVPR 2019.

    https://openaccess.thecvf.com/content_CVPR_2019/html/Liu_Knowledge_Distillation_via_Instance_Relationship_Graph_CVPR_2019_paper.html.
    The images of a batch are a graph's vertices, given by their logits (mean square of
    the difference); its edges are their squared distances in two maps and in the
    embedding (`edge_gap`, mean of the three); the transformation is the squared
    distance of each image's two maps (`transformation_gap`). Owns no variables. The
    default weights are those of AberHu/Knowledge-Distillation-Zoo.

    Args:
        taps: the two maps, the earlier one first: stage1,stage2, student:teacher, ...
            (`tap_pairs`); None takes the two deepest stages.
        vertex_weight: of the logits' term, >= 0.
        edge_weight: of the edges' term, >= 0.
        transformation_weight: of the transformation's term, >= 0.
        epsilon: the least squared distance, > 0, in the squared unit of the maps.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or there
            are not two maps.
    """

    least_batch_size = 2

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] | None = None,
        vertex_weight: float = 0.1,
        edge_weight: float = 5.0,
        transformation_weight: float = 5.0,
        epsilon: float = 1e-12,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(
            vertex_weight=vertex_weight,
            edge_weight=edge_weight,
            transformation_weight=transformation_weight,
        )
        hyperparameters.check_positive(epsilon=epsilon)
        self.vertex_weight = vertex_weight
        self.edge_weight = edge_weight
        self.transformation_weight = transformation_weight
        self.epsilon = epsilon
        stages = tap_pairs.resolve(
            taps or ("stages",), student_taps, teacher_taps, maps=True
        )
        self.pairs = stages if taps else stages[-2:]
        if len(self.pairs) != 2:
            raise wrong(
                "A transformation leads from one map to another",
                expected="two taps of each net",
                received=f"taps={','.join(taps or ('none',))}, that is "
                f"{', '.join(map(':'.join, self.pairs))}",
            )
        tap_pairs.resolve(("embedding",), student_taps, teacher_taps)

    def loss(self, student, teacher, batch):
        """The weighted parts, as "vertex", "edge" and "transformation"."""
        del batch
        maps = [(student.taps[s], teacher.taps[t]) for s, t in self.pairs]
        embeddings = student.taps["embedding"], teacher.taps["embedding"]
        edges = [edge_gap(s, t, self.epsilon) for s, t in (*maps, embeddings)]
        students, teachers = zip(*maps, strict=True)
        transformation = transformation_gap(students, teachers, self.epsilon)
        return {
            "vertex": self.vertex_weight * squared_gap(student.logits, teacher.logits),
            "edge": self.edge_weight * tf.add_n(edges) / len(edges),
            "transformation": self.transformation_weight * transformation,
        }
