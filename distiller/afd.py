"""AFD: the student's channels follow those that the teacher's features attend to."""

import keras
import tensorflow as tf

from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import image_weights, shapes
from op_utils.channel_products import as_rows
from op_utils.norms import norm
from op_utils.pooling import pool_to_smaller


def attended_gap(
    student: tf.Tensor,
    teacher: tf.Tensor,
    attention: tf.Tensor,
    epsilon: float = 1e-6,
    weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mean over the batch of sum_c attention_c mean over positions of (u_s - u_t)^2.

    u is a channel's map over (its length + epsilon).

    Args:
        student: [B, H, W, C].
        teacher: [B, H, W, C], taken as constant.
        attention: [B, C], at least 0, each row with sum 1.
        epsilon: > 0, in the unit of the maps.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar without unit, from 0 to 4 / (H W).

    Raises:
        ValueError: the maps differ in shape.
    """
    shapes.check_equal(
        student, teacher, "Features are compared channel by channel", "maps"
    )

    def scaled(maps):
        maps = as_rows(maps)  # [B, H * W, C]
        return maps / (norm(maps, 1, keepdims=True) + epsilon)

    gap = tf.square(scaled(student) - scaled(tf.stop_gradient(teacher)))
    gap = attention * tf.reduce_mean(gap, axis=1)  # [B, C]
    return image_weights.mean(tf.reduce_sum(gap, axis=1), weight)


def channel_attention(scores: tf.Tensor) -> tf.Tensor:
    """sigmoid(scores) over its sum along the channels.

    Args:
        scores: [B, C].

    Returns:
        [B, C], each row with sum 1.
    """
    # As exp(log sigmoid): the sum of sigmoids may be 0 in float32.
    return tf.nn.softmax(tf.math.log_sigmoid(scores), axis=1)


class AFD(base.Distiller):
    """Wang et al., Pay Attention to Features, Transfer Learn Faster CNNs, ICLR 2020.

    https://openreview.net/forum?id=ryxyCeHtPB. Channels of length 1 are compared,
    weighted by an attention that depends on the teacher's map: sigmoid(K2 relu(K1 m)),
    divided by its sum, with m the means of the channels. Owns per pair of taps the two
    1x1 convolutions K1 and K2 with biases, trained. The larger map of a pair is
    average-pooled to the smaller one's size first.

    Args:
        taps: the levels: stages, stage2, student:teacher, ... (`tap_pairs`), with
            equal numbers of channels.
        weight: of the mean over the levels, >= 0; the default is KD-Zoo's.
        attention_factor: outputs of K1 over the channels, > 0.
        epsilon: added to the lengths of the channels, > 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, the channels
            differ, or `attention_factor` leaves K1 no output.
    """

    # Paper: an attention of another form. Here: squeeze and excitation, as in AberHu's
    # Knowledge-Distillation-Zoo, because its author found the paper's unstable.
    equal_widths = True
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stages",),
        weight: float = 500.0,
        attention_factor: float = 1.0,
        epsilon: float = 1e-6,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(epsilon=epsilon)
        self.weight = weight
        self.epsilon = epsilon
        self.pairs = tap_pairs.resolve(
            taps, student_taps, teacher_taps, maps=True, equal_widths=True
        )
        scaled = hyperparameters.scaled_width
        widths = [teacher_taps[t].channels for _, t in self.pairs]
        self.attentions = tuple(
            _attention(width, scaled(width, attention_factor=attention_factor))
            for width in widths
        )

    def loss(self, student, teacher, batch):
        """The weighted mean over the levels, as "features"."""
        weight = batch.get("sample_weight")
        gaps = []
        for (s, t), layers in zip(self.pairs, self.attentions, strict=True):
            source, target = pool_to_smaller(
                student.taps[s], tf.stop_gradient(teacher.taps[t])
            )
            scores = tf.reduce_mean(target, axis=[1, 2], keepdims=True)
            for layer in layers:
                scores = layer(scores)
            attention = channel_attention(tf.reshape(scores, [-1, scores.shape[-1]]))
            gaps.append(attended_gap(source, target, attention, self.epsilon, weight))
        return {"features": self.weight * tf.add_n(gaps) / len(gaps)}


def _attention(channels: int, middle: int) -> tuple[keras.layers.Layer, ...]:
    """K1 with its ReLU, and K2."""
    layers = tuple(
        keras.layers.Conv2D(
            width,
            1,
            activation=activation,
            # As in KD-Zoo: He et al.'s, over the outputs.
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            dtype="float32",
            name=f"attention_{i}",
        )
        for i, (width, activation) in enumerate(((middle, "relu"), (channels, None)))
    )
    for layer, width in zip(layers, (channels, middle), strict=True):
        layer.build((None, 1, 1, width))
    return layers
