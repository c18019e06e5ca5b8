"""MobileNet, of depthwise separable convolutions."""

import keras
from keras import ops

from nets.conv_bn import ConvBN
from nets.layers import LayerMaker, build_chain
from nets.staged import StagedNet, make_stages

_STEM_WIDTH = 32

# (channels, stride) of the blocks of each stage: table 1 of the paper.
_STAGES = (
    ((64, 1), (128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), *((512, 1),) * 5),
    ((1024, 2), (1024, 1)),
)


class SeparableBlock(keras.layers.Layer):
    """relu(BN(conv1x1(relu(BN(depthwise3x3(x)))))).

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: of the depthwise convolution.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        self.depthwise = ConvBN(
            make, inputs, inputs, 3, "depthwise", stride=stride, groups=inputs
        )
        self.pointwise = ConvBN(make, inputs, filters, 1, "pointwise")

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        build_chain([self.depthwise, self.pointwise], input_shape)

    def call(self, x, training=False):
        """Returns (output, the same before its ReLU)."""
        x = ops.relu(self.depthwise(x, training=training))
        pre_activation = self.pointwise(x, training=training)
        return ops.relu(pre_activation), pre_activation

    def closing_norm(self) -> keras.layers.BatchNormalization:
        """The one in front of the last ReLU."""
        return self.pointwise.bn


@keras.saving.register_keras_serializable(package="nets")
class MobileNetV1(StagedNet):
    """Howard et al., MobileNets: Efficient CNNs for Mobile Vision, 2017.

    https://arxiv.org/abs/1704.04861, full width. The stem is a 3x3 convolution with
    stride 2, batch normalisation and ReLU; each of four stages ends where the next
    block halves the map.

    Taps: `stem`; `stageN` after the last ReLU of the stage, `stageN_pre` before it;
    `last_map` is the last stage. The published net shows no stem; here it is like
    that of the other nets: `stem_pre` is `stem`.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); 32 must divide H and W.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1]; None means 1.
        seed: of the initial weights; None draws fresh ones.
        **kwargs: `name`, `dtype` and `trainable` of `keras.Model`.

    Raises:
        ValueError: an argument is out of range or they contradict each other.
    """

    stem_width = _STEM_WIDTH
    stem_stride = 2

    def __init__(
        self,
        num_classes: int,
        input_shape=(224, 224, 3),
        *,
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(
            num_classes, input_shape, stride=32, mean=mean, std=std, **kwargs
        )
        make = self._maker(seed, initial="fan_in")
        self.stem = ConvBN(
            make, self.image_shape[-1], _STEM_WIDTH, 3, name="stem", stride=2
        )
        self.stages = make_stages(make, SeparableBlock, _STEM_WIDTH, _STAGES)
        self.head = make.dense(self.stages[-1].filters, self.num_classes, name="head")
        self.build((None, *self.image_shape))
