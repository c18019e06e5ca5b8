"""MobileNetV2 for small images, of inverted residuals."""

import math
import numbers

import keras
from keras import ops

from common.errors import wrong
from nets.conv_bn import ConvBN
from nets.layers import LayerMaker, build_chain
from nets.staged import StagedNet, make_stages

_STEM_WIDTH, _LAST_WIDTH = 32, 1280

# (expansion, channels, blocks, stride) of the groups of each stage: table 2 of the
# paper. There the second group halves the map, which small images are spared.
_STAGES = (
    ((1, 16, 1, 1), (6, 24, 2, 1)),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)


class InvertedResidual(keras.layers.Layer):
    """BN(conv1x1(relu(BN(depthwise3x3(relu(BN(conv1x1(x)))))))), plus x if it fits.

    The first convolution widens the map; no ReLU follows the last.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: of the depthwise convolution.
        expansion: inner channels over those of the input.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, expansion, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        inner = inputs * expansion
        # Paper: nothing to widen at expansion 1. Here: as the published net has it.
        self.expand = ConvBN(make, inputs, inner, 1, "expand")
        self.depthwise = ConvBN(
            make, inner, inner, 3, "depthwise", stride=stride, groups=inner
        )
        self.project = ConvBN(make, inner, filters, 1, "project")
        self.adds = stride == 1 and inputs == filters

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        build_chain([self.expand, self.depthwise, self.project], input_shape)

    def call(self, x, training=False):
        """Returns the output twice: it is its own pre-activation."""
        inner = ops.relu(self.expand(x, training=training))
        inner = ops.relu(self.depthwise(inner, training=training))
        output = self.project(inner, training=training)
        if self.adds:
            output = x + output
        return output, output

    def closing_norm(self) -> None:
        """There is no ReLU, and so no batch normalisation in front of it."""
        return None


@keras.saving.register_keras_serializable(package="nets")
class MobileNetV2(StagedNet):
    """Sandler et al., MobileNetV2: Inverted Residuals, CVPR 2018.

    https://arxiv.org/abs/1801.04381, as the distillation literature has it for small
    images: stem with stride 2, second group without a stride, ReLU for ReLU6, no
    dropout, and channels that are cut off, not rounded to multiples of 8. A 1x1
    convolution to 1280 channels, which stays that wide in narrow nets, batch
    normalisation and ReLU close the net.

    Taps: `stem` after its ReLU; `stageN`, the linear output of the last block of one
    size; no ReLU follows, and `stageN_pre` is `stageN`, as `stem_pre` is `stem`;
    `last_map` after the closing ReLU, `last_map_pre` before it.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); 16 must divide H and W.
        width: factor of the channels, at least 1/16. The published net has 0.5.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1]; None means 1.
        seed: of the initial weights; None draws fresh ones.
        **kwargs: `name`, `dtype` and `trainable` of `keras.Model`.

    Raises:
        ValueError: an argument is out of range or they contradict each other.
    """

    stem_stride = 2

    def __init__(
        self,
        num_classes: int,
        input_shape=(32, 32, 3),
        *,
        width: float = 0.5,
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        _check_width(width)
        super().__init__(
            num_classes, input_shape, stride=16, mean=mean, std=std, **kwargs
        )
        self.width = float(width)
        self.stem_width = int(_STEM_WIDTH * self.width)
        make = self._maker(seed)
        self.stem = ConvBN(
            make, self.image_shape[-1], self.stem_width, 3, name="stem", stride=2
        )
        self.stages = make_stages(
            make, InvertedResidual, self.stem_width, self._plans()
        )
        last_width = int(_LAST_WIDTH * max(1.0, self.width))
        self.last = ConvBN(make, self.stages[-1].filters, last_width, 1, name="last")
        self.head = make.dense(
            last_width, self.num_classes, name="head", zero_bias=True, std=0.01
        )
        self.build((None, *self.image_shape))

    def _plans(self):
        """For each stage for each block (channels, stride, expansion)."""
        for groups in _STAGES:
            yield [
                (int(channels * self.width), step, expansion)
                for expansion, channels, count, stride in groups
                for step in (stride, *(1,) * (count - 1))
            ]

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed."""
        return {**super().get_config(), "width": self.width}


def _check_width(width) -> None:
    is_number = isinstance(width, numbers.Real) and not isinstance(width, bool)
    if not is_number or not 1 / 16 <= width < math.inf:
        raise wrong(
            "The width is not usable",
            expected="a finite factor of the channels, at least 1/16",
            received=f"{width=}",
        )
