"""VID: maximises a bound on the information that the student has of the teacher."""

import math

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils import image_weights
from op_utils.connectors import pointwise
from op_utils.pooling import pool_to_smaller


def gaussian_nll(
    mean: tf.Tensor,
    target: tf.Tensor,
    variance: tf.Tensor,
    weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mean over entries of ((target - mean)^2 / v + log v) / 2, without log(2 pi).

    Args:
        mean: [B, H, W, C].
        target: [B, H, W, C], taken as constant.
        variance: [C], v > 0 of each channel, in the squared unit of `target`.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar in nats; may be negative.

    Raises:
        ValueError: `mean` and `target` differ in shape.
    """
    if mean.shape != target.shape:
        raise wrong(
            "The likelihood is taken entry by entry",
            expected="maps of equal shape",
            received=f"mean {mean.shape}, target {target.shape}",
        )
    gap = tf.square(tf.stop_gradient(target) - mean) / variance
    return 0.5 * image_weights.mean(gap + tf.math.log(variance), weight)


class VID(base.Distiller):
    """Ahn et al., Variational Information Distillation, CVPR 2019.

    https://arxiv.org/abs/1904.05835. Per pair of taps a Gaussian q(t | s) of the
    teacher's map t given the student's s, with mean mu(s) = K2 relu(K1 relu(K0 s)), 1x1
    convolutions without bias, and for each channel c the variance v_c =
    log(1 + exp(log_scale_c)) + eps. The term is -log q(t | s). The larger of s and t is
    average-pooled to the smaller one's size first. Owns the convolutions and log_scale,
    all trained.

    Args:
        taps: the levels: stages, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the levels, >= 0.
        initial_variance: of each channel, above `eps`, in the map's squared unit.
        eps: the least variance, > 0.
        mid_channels: outputs of K0 and K1, > 0; None takes the teacher's channels.

    Raises:
        ValueError: a hyperparameter is out of range or a tap does not exist.
    """

    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        taps: tuple[str, ...] = ("stages",),
        weight: float = 1.0,
        initial_variance: float = 5.0,
        eps: float = 1e-5,
        mid_channels: int | None = None,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(eps=eps, initial_variance=initial_variance)
        if initial_variance <= eps:
            raise wrong(
                "eps is the least variance",
                expected="initial_variance > eps",
                initial_variance=initial_variance,
                eps=eps,
            )
        if mid_channels is not None:
            hyperparameters.check_positive(mid_channels=mid_channels)
        self.weight = weight
        self.eps = eps
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)
        # log(exp(v) - 1), which softplus undoes; written so that no v overflows.
        above = initial_variance - eps
        log_scale = above + math.log(-math.expm1(-above))
        self.regressors = tuple(
            _regressor(student_taps[s].channels, mid_channels, teacher_taps[t].channels)
            for s, t in self.pairs
        )
        self.log_scales = tuple(
            tf.Variable(tf.fill([teacher_taps[t].channels], log_scale), name="scale")
            for _, t in self.pairs
        )

    def variance(self, level: int) -> tf.Tensor:
        """[C] of the teacher's channels at a level, at least `eps`."""
        return tf.math.softplus(self.log_scales[level]) + self.eps

    def loss(self, student, teacher, batch):
        """The weighted sum over the levels, as "nll"."""
        weight = batch.get("sample_weight")
        terms = []
        for level, (s, t) in enumerate(self.pairs):
            mean, target = pool_to_smaller(student.taps[s], teacher.taps[t])
            for convolution in self.regressors[level]:
                mean = convolution(mean)
            terms.append(gaussian_nll(mean, target, self.variance(level), weight))
        return {"nll": self.weight * tf.add_n(terms)}


def _regressor(inputs: int, middle: int | None, outputs: int) -> tuple:
    """K0, K1 and K2."""
    middle = middle or outputs
    widths = (inputs, middle, middle, outputs)
    layers = tuple(
        pointwise(
            width,
            name=f"regressor_{i}",
            use_bias=False,
            activation="relu" if i < 2 else None,
        )
        for i, width in enumerate(widths[1:])
    )
    for layer, width in zip(layers, widths[:-1], strict=True):
        layer.build((None, None, None, width))
    return layers
