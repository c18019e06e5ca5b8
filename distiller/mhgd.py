"""MHGD: graphs between a batch's images, drawn by attention, pass to the student."""

import tensorflow as tf

from distiller.framework import adjacent_levels, base, hyperparameters
from op_utils.gradient_clipping import combiner
from op_utils.graph_attention import Relation, estimation_loss
from op_utils.singular_vectors import aligned_vectors, singular_vectors


def graph_divergence(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Sum over heads and rows of KL(p || q), p of the student and q of the teacher.

    p and q are softmax(tanh(A)) over the columns.

    Args:
        student: [heads, B, B] attention.
        teacher: [heads, B, B], taken as constant.

    Returns:
        Scalar in nats, at least 0; 0 where the graphs agree.
    """
    log_p = tf.nn.log_softmax(tf.tanh(student))
    log_q = tf.nn.log_softmax(tf.tanh(tf.stop_gradient(teacher)))
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q))


class MHGD(base.Distiller):
    """Lee and Song, Graph-based Knowledge Distillation by Multi-head Attention, 2019.

    https://arxiv.org/abs/1907.02226, BMVC 2019. An image's vector at a level is the
    first right singular vector of the map [H * W, C]; the student's is the one of its
    first that matches the teacher's best. For each two adjacent levels, heads draw
    graphs between the images: A = <sender(vector), receiver(vector of the level
    before)>.

    Phase "attention" trains the heads on the teacher alone, the student untouched: an
    estimator has to find the level's vectors from those before and softmax(A), rows of
    which are dropped at random; the term is one minus the cosine. Phase "distill" is
    KL(student || teacher) of softmax(tanh(A)), summed over heads and images, with
    frozen heads. Its gradient is clipped, variable by variable, to q times the length
    of the label loss's gradient, q = 1 / (1 + exp(-epoch)). Owns heads and estimators.

    Args:
        taps: two or more levels: stages, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the divergence, summed over the pairs of levels, >= 0.
        heads: number of graphs for each two levels, >= 1.
        candidates: first vectors of the student that may match, >= 1.
        clip: whether to clip. The sums are made for it.

    Raises:
        ValueError: a hyperparameter is out of range, there are fewer than two levels, a
            tap does not exist, or the channels of a pair differ.
    """

    equal_widths = True
    has_init_phase = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stages",),
        weight: float = 1.0,
        heads: int = 8,
        candidates: int = 4,
        clip: bool = True,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(heads=heads, candidates=candidates)
        self.weight = weight
        self.heads, self.candidates = heads, candidates
        self.clip = clip
        self.pairs = adjacent_levels.resolve(taps, student_taps, teacher_taps)
        widths = [teacher_taps[t].channels for _, t in self.pairs]
        self.relations = tuple(
            Relation(before, after, heads)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )

    def phases(self):
        """The heads, then distil."""
        combine = combiner(ramp=True) if self.clip else None
        # Authors' code: adds 5e-4 times the variables' squares to the first phase's
        # term. Here: the trainer's weight decay w instead, whose gradient w times the
        # variable is half of that for the same w.
        return (
            base.Phase(
                "attention",
                self.estimation,
                own=self.trainable_variables,
                length="init",
                task_weight=0.0,
                trains_student=False,
            ),
            base.Phase("distill", self.loss, combine=combine),
        )

    def draw(self, batch):
        """Which rows of which heads stay: those with more noise than the mean head."""
        shape = len(self.relations), self.heads, batch["image"].shape[0], 1
        noise = tf.random.stateless_normal(shape, batch["seed"])
        # Authors' code: above the mean. Here: or equal to it, for a head alone.
        stays = noise >= tf.reduce_mean(noise, axis=1, keepdims=True)
        return {"head_mask": tf.cast(stays, tf.float32)}

    def estimation_losses(self, teachers, masks) -> list[tf.Tensor]:
        """One scalar for two adjacent maps [B, H, W, C] and a mask [heads, B, 1]."""
        vectors = [singular_vectors(tf.stop_gradient(x), 1).right for x in teachers]
        return [
            estimation_loss(relation.estimate(before, after, mask), after)
            for (relation, before, after), mask in zip(
                self._adjacent(vectors), masks, strict=True
            )
        ]

    def divergences(self, students, teachers) -> list[tf.Tensor]:
        """One scalar for each two adjacent levels of maps, [B, H, W, C] each."""
        aligned = [
            aligned_vectors(s, t, 1, self.candidates)[:2]
            for s, t in zip(students, teachers, strict=True)
        ]
        graphs = [
            [relation.frozen_attention(*levels) for relation, *levels in side]
            for side in map(self._adjacent, zip(*aligned, strict=True))
        ]
        return [graph_divergence(s, t) for s, t in zip(*graphs, strict=True)]

    def _adjacent(self, vectors):
        """(relation, [B, C'] of the level before, [B, C]) from [B, C, 1] of each."""
        levels = [v[..., 0] for v in vectors]
        return zip(self.relations, levels[:-1], levels[1:], strict=True)

    def estimation(self, student, teacher, batch):
        """The first phase's sum over the pairs of levels, as "estimation"."""
        del student
        teachers = [teacher.taps[name] for _, name in self.pairs]
        masks = tf.unstack(batch["head_mask"])
        return {"estimation": tf.add_n(self.estimation_losses(teachers, masks))}

    def loss(self, student, teacher, batch):
        """The weighted sum over the pairs of levels, as "graph"."""
        del batch
        students = [student.taps[name] for name, _ in self.pairs]
        teachers = [teacher.taps[name] for _, name in self.pairs]
        return {"graph": self.weight * tf.add_n(self.divergences(students, teachers))}
