"""VGG nets for small images: plain 3x3 convolutions with batch normalisation."""

import keras
from keras import ops

from nets import base
from nets.conv_bn import ConvBN
from nets.layers import LayerMaker
from nets.staged import StagedNet, even_plans, make_stage, make_stages


class PlainBlock(keras.layers.Layer):
    """relu(BN(conv3x3(x))), of a halved x where the stride is 2.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: 2 takes the maxima of 2x2 windows of the input first.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        if stride != 1:
            self.pool = keras.layers.MaxPooling2D(stride, name="pool", dtype=make.dtype)
        self.conv_bn = ConvBN(make, inputs, filters, 3, name="conv_bn", bias=True)

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        self.conv_bn.build(input_shape)

    def call(self, x, training=False):
        """Returns (output, the same before its ReLU)."""
        if self.stride != 1:
            x = self.pool(x)
        pre_activation = self.conv_bn(x, training=training)
        return ops.relu(pre_activation), pre_activation

    def closing_norm(self) -> keras.layers.BatchNormalization:
        """The one in front of the ReLU."""
        return self.conv_bn.bn


@keras.saving.register_keras_serializable(package="nets")
class VGG(StagedNet):
    """Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015.

    https://arxiv.org/abs/1409.1556, as the distillation literature has it for small
    images: batch normalisation behind every convolution (which keeps its bias), one
    dense layer behind global average pooling. The first group of convolutions is the
    stem, the others are the stages. Max pooling halves the map in front of every
    stage but the last; as in the published nets in front of the last, too, if the
    images are 64 high (Tiny ImageNet).

    Taps: `stem` and `stageN` are the groups' outputs after the ReLU and in front of
    the pooling, `stageN_pre` is in front of the ReLU; `last_map` is the last stage.
    As in the published nets the stem has no pre-activation tap of its own: `stem_pre`
    is `stem`.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); all strides together must divide H and W.
        blocks: number of convolutions of the stem and of each stage.
        widths: channels of the stem and of each stage; at least two.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1]; None means 1.
        seed: of the initial weights; None draws fresh ones.
        **kwargs: `name`, `dtype` and `trainable` of `keras.Model`.

    Raises:
        ValueError: an argument is out of range or they contradict each other.
    """

    def __init__(
        self,
        num_classes: int,
        input_shape=(32, 32, 3),
        *,
        blocks=(1, 1, 1, 1, 1),
        widths=(64, 128, 256, 512, 512),
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        blocks, widths = base.checked_stages(blocks, widths)
        base.checked_count("len(widths)", len(widths), minimum=2)
        last_stride = 2 if tuple(input_shape)[:1] == (64,) else 1
        strides = (1, *(2,) * (len(widths) - 2), last_stride)
        super().__init__(
            num_classes,
            input_shape,
            stride=2 ** strides.count(2),
            mean=mean,
            std=std,
            **kwargs,
        )
        self.num_blocks = blocks
        self.widths = widths
        make = self._maker(seed)
        stem_plan, *plans = even_plans(blocks, widths, strides)
        self.stem_width = widths[0]
        inputs = self.image_shape[-1]
        self.stem = make_stage(make, PlainBlock, inputs, stem_plan, name="stem")
        self.stages = make_stages(make, PlainBlock, self.stem_width, plans)
        self.head = make.dense(
            widths[-1], self.num_classes, name="head", zero_bias=True, std=0.01
        )
        self.build((None, *self.image_shape))

    def stem_map(self, images, training):
        """The stem's tap."""
        x, _ = self.stem(images, training=training)
        return x

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed."""
        return {
            **super().get_config(),
            "blocks": tuple(self.num_blocks),
            "widths": tuple(self.widths),
        }
