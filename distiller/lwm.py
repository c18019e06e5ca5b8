"""LwM: the student sees its reasons for the label where the teacher sees them."""

import typing

import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import image_weights
from op_utils.input_gradients import of_label, with_gradients
from op_utils.norms import unit
from op_utils.pooling import pool_to_smaller

Variant = typing.Literal["feature", "gradient"]


def class_activation(maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """relu(sum_c w_c F_c) with w_c = mean over the positions of dz / dF_c (Grad-CAM).

    Args:
        maps: [B, H, W, C], F.
        gradients: [B, H, W, C], dz / dF of a logit z for each image.

    Returns:
        [B, H, W], at least 0.
    """
    weights = tf.reduce_mean(gradients, axis=[1, 2])  # [B, C]
    return tf.nn.relu(tf.einsum("bhwc,bc->bhw", maps, weights))


def attention_loss(
    student: tf.Tensor, teacher: tf.Tensor, weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean over batch and positions of |unit(M_s) - unit(M_t)|, unit over each image.

    The larger maps are average-pooled to the smaller ones' size first.

    Args:
        student: [B, Hs, Ws] attention.
        teacher: [B, Ht, Wt] attention, taken as constant.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar without unit, from 0 to 2 / sqrt(H W).
    """
    teacher = tf.stop_gradient(teacher)
    student, teacher = pool_to_smaller(student[..., None], teacher[..., None])
    size = student.shape[1] * student.shape[2]
    gap = unit(tf.reshape(student, [-1, size])) - unit(tf.reshape(teacher, [-1, size]))
    # Paper: the sum over the positions. Here: the mean, as in KD-Zoo, whose weight it
    # is, because one weight then serves maps of all sizes.
    return image_weights.mean(tf.abs(gap), weight)


class LwM(base.Distiller):
    """Dhar et al., Learning without Memorizing, CVPR 2019.

    https://arxiv.org/abs/1811.08051, the attention distillation loss. Per pair of taps,
    with F the map and z the label's logit, w_c is the mean over the positions of
    dz / dF_c and M = relu(sum_c w_c F_c); the term is the mean of |unit(M_s) -
    unit(M_t)|. The student learns through w, too. Owns no variables. The paper's
    distillation of predictions is a method of its own: LwM+Soft_logits.

    Costs, counting only the layers after the shallowest tap: the teacher's pass twice
    (forward, and back to the tap); the student's step about twice (forward, back to
    the tap, and backwards through both).

    Args:
        variant: "feature" for the paper's M; "gradient" for KD-Zoo's
            relu(sum_c w_c dz / dF_c), without the map itself. That is the same at all
            positions, and the term 0, where only pooling and a dense layer follow.
        taps: the maps: stage2, last_stage, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the pairs, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist or is no map.
    """

    needs_labels = True
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        variant: Variant = "feature",
        taps: tuple[str, ...] = ("stage2",),
        weight: float = 0.4,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        hyperparameters.check_not_negative(weight=weight)
        self.variant = variant
        self.weight = weight
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)

    def teacher_forward(self, teacher, student, batch):
        """The default output, with taps such as "stage2_gradient"."""
        del student
        taps = tuple(dict.fromkeys(name for _, name in self.pairs))
        images, direction = batch["image"], of_label(batch["label"])
        return with_gradients(teacher, images, direction, taps, training=False)

    def student_forward(self, student, teacher, batch, teacher_output):
        """The default output, with taps such as "stage2_gradient"."""
        del teacher, teacher_output
        taps = tuple(dict.fromkeys(name for name, _ in self.pairs))
        images, direction = batch["image"], of_label(batch["label"])
        return with_gradients(student, images, direction, taps, training=True)

    def attention(self, output, tap: str) -> tf.Tensor:
        """M of the variant at a tap, [B, H, W]."""
        gradients = output.taps[f"{tap}_gradient"]
        maps = output.taps[tap] if self.variant == "feature" else gradients
        return class_activation(maps, gradients)

    def loss(self, student, teacher, batch):
        """The weighted sum over the pairs, as "attention"."""
        weight = batch.get("sample_weight")
        terms = [
            attention_loss(
                self.attention(student, s), self.attention(teacher, t), weight
            )
            for s, t in self.pairs
        ]
        return {"attention": self.weight * tf.add_n(terms)}
