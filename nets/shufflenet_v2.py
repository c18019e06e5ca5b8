"""ShuffleNetV2 for small images, of split and shuffled channels."""

import functools

import keras
from keras import ops

from common.errors import wrong
from nets import base
from nets.conv_bn import ConvBN
from nets.grouped import channel_shuffle
from nets.layers import LayerMaker, build_chain
from nets.staged import StagedNet, even_plans, make_stage, make_stages

ORDERS = ("post_activation", "pre_activation")
_STEM_WIDTH = 24
_UNITS = (4, 8, 4)


class SplitUnit(keras.layers.Layer):
    """1x1, depthwise 3x3 and 1x1 for one half of the channels, then the shuffle.

    With stride 1 the other half is passed on; with stride 2 both halves read the
    whole input, and the other one's is depthwise 3x3 and 1x1. Batch normalisation
    follows every convolution, a ReLU each 1x1 one; "pre_activation" moves the last
    ReLU of both halves to the beginning of the next unit.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output, even.
        stride: of the depthwise convolutions.
        order: one of `ORDERS`.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, *, order, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        self.relu_first = order == "pre_activation"
        half = filters // 2
        seen = inputs if stride != 1 else half
        # Paper: half as wide as the output. The other published net: as the input.
        inner = seen if self.relu_first else half
        conv = functools.partial(ConvBN, make, bias=self.relu_first)
        depthwise = {"kernel_size": 3, "stride": stride}
        if stride != 1:
            self.left = (
                conv(inputs, inputs, name="left1", groups=inputs, **depthwise),
                conv(inputs, half, 1, name="left2"),
            )
        self.right = (
            conv(seen, inner, 1, name="right1"),
            conv(inner, inner, name="right2", groups=inner, **depthwise),
            conv(inner, half, 1, name="right3"),
        )

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        if self.stride != 1:
            build_chain(self.left, input_shape)
            build_chain(self.right, input_shape)
        else:
            build_chain(self.right, (*input_shape[:-1], self.filters // 2))

    def call(self, x, training=False):
        """Returns (output, pre-activation); see `ShuffleNetV2`."""
        if self.relu_first:
            x = ops.relu(x)
        if self.stride == 1:
            left, right = ops.split(x, 2, axis=-1)
        else:
            left, right = self._halved(x, training), x
        pointwise1, depthwise, pointwise2 = self.right
        right = ops.relu(pointwise1(right, training=training))
        right = pointwise2(depthwise(right, training=training), training=training)
        pre_activation = ops.concatenate([left, right], axis=-1)
        if self.relu_first:
            output = channel_shuffle(pre_activation, 2)
            return output, output
        output = ops.concatenate([left, ops.relu(right)], axis=-1)
        return channel_shuffle(output, 2), pre_activation

    def _halved(self, x, training):
        depthwise, pointwise = self.left
        x = pointwise(depthwise(x, training=training), training=training)
        return x if self.relu_first else ops.relu(x)

    def closing_norm(self) -> None:
        """None: no batch normalisation has all channels."""
        return None


class ReluConv(keras.layers.Layer):
    """BN(conv1x1(relu(x))), the last convolution of a "pre_activation" net.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: of the convolution.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        self.conv_bn = ConvBN(
            make, inputs, filters, 1, name="conv_bn", stride=stride, bias=True
        )

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        self.conv_bn.build(input_shape)

    def call(self, x, training=False):
        """Returns the output twice: it is its own pre-activation."""
        output = self.conv_bn(ops.relu(x), training=training)
        return output, output

    def closing_norm(self) -> keras.layers.BatchNormalization:
        """The one in front of the net's last ReLU."""
        return self.conv_bn.bn


@keras.saving.register_keras_serializable(package="nets")
class ShuffleNetV2(StagedNet):
    """Ma et al., ShuffleNet V2: Practical Guidelines, ECCV 2018.

    https://arxiv.org/abs/1807.11164, for small images: the stem has no stride, no
    pooling follows it, and each of three stages halves the map. Two published nets
    go by the name:

    - "post_activation" (RepDistiller): the stem is a 1x1 convolution, batch
      normalisation and ReLU, convolutions have no bias; a 1x1 convolution, batch
      normalisation and ReLU close the net.
    - "pre_activation" (PkuDavidGuan, CINIC-10): the ReLUs at the end of the units are
      moved to the beginning of the next one; the stem is a 3x3 convolution and batch
      normalisation; convolutions have a bias; the halving units are as wide inside as
      their input. The closing convolution counts as `stage4`.

    Taps, "post_activation": `stem` after its ReLU; `stageN` after the last shuffle,
    `stageN_pre` before the last ReLU and, as published, before the shuffle: its
    channels are in another order, the half that was passed on is the same; `last_map`
    after the closing ReLU, `last_map_pre` before it. "pre_activation": all maps are
    before their ReLU, so that `stem_pre` is `stem` and `stageN_pre` is `stageN`;
    `last_map_pre` is `stage4`, and `last_map` its ReLU.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); 8 must divide H and W.
        widths: channels of the three stages, even.
        last_width: channels of the last map.
        order: one of `ORDERS`.
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
        widths=(116, 232, 464),
        last_width: int = 1024,
        order: str = ORDERS[0],
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        widths = tuple(base.checked_count("widths", width) for width in widths)
        _check(widths, order)
        super().__init__(
            num_classes, input_shape, stride=8, mean=mean, std=std, **kwargs
        )
        self.widths = widths
        self.last_width = base.checked_count("last_width", last_width)
        self.order = order
        self.relu_first = order == "pre_activation"
        make = self._maker(seed, initial="fan_in")
        self.stem = ConvBN(
            make,
            self.image_shape[-1],
            _STEM_WIDTH,
            3 if self.relu_first else 1,
            name="stem",
            bias=self.relu_first,
        )
        unit = functools.partial(SplitUnit, order=order)
        plans = even_plans(_UNITS, widths, (2, 2, 2))
        stages = make_stages(make, unit, _STEM_WIDTH, plans)
        if self.relu_first:
            closing = [(self.last_width, 1)]
            stages += (make_stage(make, ReluConv, widths[-1], closing, "stage4"),)
        self.stages = stages
        if not self.relu_first:
            self.last = ConvBN(make, widths[-1], self.last_width, 1, name="last")
        self.head = make.dense(self.last_width, self.num_classes, name="head")
        self.build((None, *self.image_shape))

    def stem_map(self, images, training):
        """The stem's tap."""
        x = self.stem(images, training=training)
        return x if self.relu_first else ops.relu(x)

    def finish(self, x, pre_activation, training):
        """(last map, the same before its ReLU) from those of the last stage."""
        if self.relu_first:
            return ops.relu(x), pre_activation
        return super().finish(x, pre_activation, training)

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed."""
        return {
            **super().get_config(),
            "widths": tuple(self.widths),
            "last_width": self.last_width,
            "order": self.order,
        }


def _check(widths, order: str) -> None:
    if len(widths) != len(_UNITS) or any(width % 2 for width in widths):
        raise wrong(
            "Units work on half of their channels",
            expected=f"{len(_UNITS)} even widths",
            widths=widths,
        )
    if order not in ORDERS:
        raise wrong(
            "The order of the layers is unknown",
            expected=f"one of {ORDERS}",
            order=order,
        )
