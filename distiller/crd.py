"""CRD: student and teacher tell an image's pair of embeddings from all other pairs."""

import math
import typing

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils.class_sampling import ClassSampler
from op_utils.contrastive import (
    bank_similarities,
    batch_similarities,
    mean_critic,
    noise_contrastive_loss,
)
from op_utils.embeddings import linear, vectors
from op_utils.memory_bank import memory_bank, update_rows
from op_utils.norms import unit

Sampling = typing.Literal["exact", "relaxed", "in_batch"]


class CRD(base.Distiller):
    """Tian et al., Contrastive Representation Distillation, ICLR 2020.

    https://arxiv.org/abs/1910.10699, section 3. v_s and v_t are the unit vectors of
    linear heads on both embeddings, and banks M_s and M_t hold those of all N images,
    averaged over time. For an anchor v_s the candidates are rows of M_t, for v_t rows
    of M_s; the two terms are `noise_contrastive_loss`es. After the loss, the batch's
    rows become M <- unit(momentum M + (1 - momentum) v). Owns the heads, trained, both
    banks [N, feature_dim] (2 x 26 MB for 50,000 images) and for each kind of anchor
    the normaliser Z = N mean(exp(similarity / temperature)) of the first batch.

    Args:
        sampling: "exact": the positive is the image itself; "relaxed": any image of its
            class. The negatives are images of other classes, without replacement, but
            with it where there are fewer than `num_negatives`. "in_batch" has no banks:
            the positive is the image's own other embedding, the negatives are those of
            the batch's images with another label, K of them, and both sides of a
            product are trained.
        taps: one pair of taps (`tap_pairs`); maps are averaged over their positions.
        weight: of the sum over both kinds of anchors, >= 0.
        feature_dim: d, outputs of the heads, > 0.
        num_negatives: K, negatives of an anchor, > 0; without meaning for "in_batch".
        temperature: tau, > 0, so large that exp(1 / tau) N is a float32.
        momentum: of the banks, at least 0 and below 1.
        eps: of the logarithms, > 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or all
            images belong to one class.
    """

    needs_labels = True
    needs_index = True  # but "in_batch"

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        sampling: Sampling = "exact",
        taps: tuple[str, ...] = ("embedding",),
        weight: float = 0.8,
        feature_dim: int = 128,
        num_negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        eps: float = 1e-7,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Sampling), sampling=sampling)
        hyperparameters.check_not_negative(weight=weight, momentum=momentum)
        hyperparameters.check_positive(
            feature_dim=feature_dim,
            num_negatives=num_negatives,
            temperature=temperature,
            eps=eps,
        )
        _check_sizes(momentum, temperature, data.num_examples)
        self.sampling, self.num_negatives = sampling, num_negatives
        self.needs_index = sampling != "in_batch"
        self.weight, self.temperature = weight, temperature
        self.momentum, self.eps = momentum, eps
        self.pair = s, t = tap_pairs.resolve_one(taps, student_taps, teacher_taps)
        self.student_head = linear(student_taps[s].channels, feature_dim, name="head_s")
        self.teacher_head = linear(teacher_taps[t].channels, feature_dim, name="head_t")
        # -1: not set yet.
        self.student_normaliser = tf.Variable(-1.0, trainable=False, name="z_student")
        self.teacher_normaliser = tf.Variable(-1.0, trainable=False, name="z_teacher")
        if sampling != "in_batch":
            self.sampler = ClassSampler(data.labels, data.num_classes)
            size = data.num_examples, feature_dim
            self.student_bank = memory_bank(*size, "student_bank")
            self.teacher_bank = memory_bank(*size, "teacher_bank")

    def draw(self, batch):
        """`contrast_indices`, int32 [B, 1 + K]: the positive and the negatives."""
        if self.sampling == "in_batch":
            return {}
        index, seed = tf.cast(batch["index"], tf.int32), batch["seed"]
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        positive = index
        if self.sampling == "relaxed":
            positive = self.sampler.same_class(index, seeds[0])
        negatives = self.sampler.other_classes(index, self.num_negatives, seeds[1])
        contrast = tf.concat([positive[:, tf.newaxis], negatives], axis=1)
        return {"contrast_indices": contrast}

    def loss(self, student, teacher, batch):
        """Both kinds of anchors, as "student_anchor" and "teacher_anchor"."""
        s, t = self.pair
        v_s = unit(self.student_head(vectors(student.taps[s])))
        v_t = unit(self.teacher_head(vectors(tf.stop_gradient(teacher.taps[t]))))
        is_candidate = None
        if self.sampling == "in_batch":
            of_student, of_teacher, is_candidate = batch_similarities(
                v_s, v_t, batch["label"]
            )
        else:
            contrast = batch["contrast_indices"]
            of_student = bank_similarities(v_s, self.teacher_bank, contrast)
            of_teacher = bank_similarities(v_t, self.student_bank, contrast)
            # After the reads above: the loss sees the old banks.
            update_rows(self.student_bank, batch["index"], v_s, self.momentum)
            update_rows(self.teacher_bank, batch["index"], v_t, self.momentum)
        first = self._term(of_student, self.student_normaliser, is_candidate)
        second = self._term(of_teacher, self.teacher_normaliser, is_candidate)
        return {"student_anchor": first, "teacher_anchor": second}

    def _term(self, similarities, normaliser, is_candidate):
        """The weighted loss of one kind of anchors; sets their Z if it is not set."""
        num_examples = self.data.num_examples
        estimate = mean_critic(similarities, self.temperature, is_candidate)
        z = tf.where(normaliser < 0, num_examples * estimate, normaliser)
        normaliser.assign(z)
        return self.weight * noise_contrastive_loss(
            similarities, z, num_examples, self.temperature, self.eps, is_candidate
        )


def _check_sizes(momentum, temperature, num_examples):
    if momentum >= 1:
        raise wrong(
            "A bank that keeps its rows for ever learns nothing",
            expected="momentum below 1",
            momentum=momentum,
        )
    if 1 / temperature + math.log(num_examples) > 88:
        raise wrong(
            "The normaliser, up to exp(1 / temperature) times the number of examples, "
            "may overflow",
            expected="1 / temperature + log(number of examples) <= 88",
            received=f"temperature={temperature}, {num_examples} examples",
        )
