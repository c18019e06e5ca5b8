"""ShuffleNet for small images, of grouped convolutions."""

import keras
from keras import ops

from nets.conv_bn import ConvBN
from nets.grouped import channel_shuffle
from nets.layers import LayerMaker, build_chain
from nets.staged import StagedNet, make_stages

_GROUPS = 3
_STEM_WIDTH = 24
_STAGES = ((240, 4), (480, 8), (960, 4))  # (channels, units): table 1 of the paper


class ShuffleUnit(keras.layers.Layer):
    """Grouped 1x1, channel shuffle, depthwise 3x3, grouped 1x1; all normalised.

    With stride 1 the input is added; with stride 2 its 3x3 averages are appended.
    A ReLU follows.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output, appended ones included.
        stride: of the depthwise convolution.
        groups: of the first convolution and of the shuffle.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, groups, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        self.groups = groups
        own = filters - inputs if stride != 1 else filters
        inner = own // 4
        self.reduce = ConvBN(make, inputs, inner, 1, "reduce", groups=groups)
        self.depthwise = ConvBN(
            make, inner, inner, 3, "depthwise", stride=stride, groups=inner
        )
        self.expand = ConvBN(make, inner, own, 1, "expand", groups=_GROUPS)
        if stride != 1:
            # The zeros of the border count in the average, as PyTorch's do.
            self.pool_pad = make.pad(stride, name="pool_pad")
            self.pool = keras.layers.AveragePooling2D(
                3, stride, name="pool", dtype=make.dtype
            )

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        build_chain([self.reduce, self.depthwise, self.expand], input_shape)

    def call(self, x, training=False):
        """Returns (output, the same before its ReLU)."""
        inner = ops.relu(self.reduce(x, training=training))
        inner = channel_shuffle(inner, self.groups)
        # Paper: no ReLU behind the depthwise one. Here: as the published net has it.
        inner = ops.relu(self.depthwise(inner, training=training))
        own = self.expand(inner, training=training)
        if self.stride == 1:
            total = x + own
        else:
            total = ops.concatenate([own, self.pool(self.pool_pad(x))], axis=-1)
        return ops.relu(total), total

    def closing_norm(self) -> keras.layers.BatchNormalization | None:
        """The one that ends the residual branch, if it has all channels."""
        return self.expand.bn if self.stride == 1 else None


@keras.saving.register_keras_serializable(package="nets")
class ShuffleNetV1(StagedNet):
    """Zhang et al., ShuffleNet: An Extremely Efficient CNN, CVPR 2018.

    https://arxiv.org/abs/1707.01083 with three groups, as the distillation literature
    has it for small images: the stem is a 1x1 convolution to 24 channels without a
    stride, batch normalisation and ReLU, without pooling; each of three stages halves
    the map. The first convolution of the first unit is not grouped.

    Taps: `stem`; `stageN` after the last ReLU of the stage, `stageN_pre` the sum in
    front of it; `last_map` is the last stage. As in the published net the stem has no
    pre-activation tap of its own: `stem_pre` is `stem`. `batch_norm` of `stageN_pre`
    ends the residual branch, as in `ResNet`.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); 8 must divide H and W.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1]; None means 1.
        seed: of the initial weights; None draws fresh ones.
        **kwargs: `name`, `dtype` and `trainable` of `keras.Model`.

    Raises:
        ValueError: an argument is out of range or they contradict each other.
    """

    stem_width = _STEM_WIDTH

    def __init__(
        self,
        num_classes: int,
        input_shape=(32, 32, 3),
        *,
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(
            num_classes, input_shape, stride=8, mean=mean, std=std, **kwargs
        )
        make = self._maker(seed, initial="fan_in")
        self.stem = ConvBN(make, self.image_shape[-1], _STEM_WIDTH, 1, name="stem")
        self.stages = make_stages(make, ShuffleUnit, _STEM_WIDTH, _plans())
        self.head = make.dense(self.stages[-1].filters, self.num_classes, name="head")
        self.build((None, *self.image_shape))


def _plans():
    """For each stage for each unit (channels, stride, groups)."""
    for width, count in _STAGES:
        first_groups = 1 if width == _STAGES[0][0] else _GROUPS
        yield [(width, 2, first_groups), *[(width, 1, _GROUPS)] * (count - 1)]
