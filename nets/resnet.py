"""Residual nets with post-activation blocks, for small images and for ImageNet."""

import keras
from keras import ops

from common.errors import wrong
from nets import base
from nets.layers import LayerMaker
from nets.staged import StagedNet, even_plans, make_stages

EXPANSION = 4  # output channels of a bottleneck over its inner ones


class ResidualBlock(keras.layers.Layer):
    """relu(shortcut(x) + branch(x)).

    The shortcut is the identity, or a 1x1 convolution and batch normalisation where
    stride or width change (option B of the paper). A subclass implements the branch
    in `make_branch`, `build_branch`, `branch` and `closing_norm`.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: of one of the branch's 3x3 convolutions and of the shortcut.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.stride = stride
        self.make_branch(make)
        self.projects = stride != 1 or inputs != filters
        if self.projects:
            self.shortcut_conv = make.conv(
                filters, 1, stride=stride, name="shortcut_conv"
            )
            self.shortcut_bn = make.batch_norm(name="shortcut_bn")

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        self.build_branch(input_shape)
        if self.projects:
            self.shortcut_conv.build(input_shape)
            self.shortcut_bn.build((*input_shape[:-1], self.filters))

    def call(self, x, training=False):
        """Returns (output, the sum in front of the last ReLU)."""
        residual = self.branch(x, training)
        if self.projects:
            x = self.shortcut_bn(self.shortcut_conv(x), training=training)
        total = x + residual
        return ops.relu(total), total


class BasicBlock(ResidualBlock):
    """The branch is BN(conv3x3(relu(BN(conv3x3(x))))), the first with the stride."""

    def make_branch(self, make: LayerMaker) -> None:
        """Makes the branch's layers."""
        self.pad = make.pad(self.stride, name="pad")
        self.conv1 = make.conv(self.filters, 3, stride=self.stride, name="conv1")
        self.bn1 = make.batch_norm(name="bn1")
        self.conv2 = make.conv(self.filters, 3, name="conv2")
        self.bn2 = make.batch_norm(name="bn2")

    def build_branch(self, input_shape) -> None:
        """Builds the branch's layers."""
        inner = (*input_shape[:-1], self.filters)
        self.conv1.build(input_shape)
        self.bn1.build(inner)
        self.conv2.build(inner)
        self.bn2.build(inner)

    def branch(self, x, training):
        """Returns what is added to the shortcut."""
        x = ops.relu(self.bn1(self.conv1(self.pad(x)), training=training))
        return self.bn2(self.conv2(x), training=training)

    def closing_norm(self) -> keras.layers.BatchNormalization:
        """The one that ends the branch."""
        return self.bn2


class Bottleneck(ResidualBlock):
    """The branch is 1x1, 3x3 and 1x1, each with BN, ReLUs between them.

    The first two convolutions have a quarter of the output's channels.
    """

    def make_branch(self, make: LayerMaker) -> None:
        """Makes the branch's layers."""
        inner = self.filters // EXPANSION
        self.conv1 = make.conv(inner, 1, name="conv1")
        self.bn1 = make.batch_norm(name="bn1")
        # Paper: the first one has the stride. Here: as the published nets have it.
        self.pad = make.pad(self.stride, name="pad")
        self.conv2 = make.conv(inner, 3, stride=self.stride, name="conv2")
        self.bn2 = make.batch_norm(name="bn2")
        self.conv3 = make.conv(self.filters, 1, name="conv3")
        self.bn3 = make.batch_norm(name="bn3")

    def build_branch(self, input_shape) -> None:
        """Builds the branch's layers."""
        inner = (*input_shape[:-1], self.filters // EXPANSION)
        self.conv1.build(input_shape)
        self.bn1.build(inner)
        self.conv2.build(inner)
        self.bn2.build(inner)
        self.conv3.build(inner)
        self.bn3.build((*input_shape[:-1], self.filters))

    def branch(self, x, training):
        """Returns what is added to the shortcut."""
        x = ops.relu(self.bn1(self.conv1(x), training=training))
        x = ops.relu(self.bn2(self.conv2(self.pad(x)), training=training))
        return self.bn3(self.conv3(x), training=training)

    def closing_norm(self) -> keras.layers.BatchNormalization:
        """The one that ends the branch."""
        return self.bn3


@keras.saving.register_keras_serializable(package="nets")
class ResNet(StagedNet):
    """He et al., Deep Residual Learning for Image Recognition, CVPR 2016.

    https://arxiv.org/abs/1512.03385, with projections (option B) where the width
    changes, as the distillation literature has it. Stages 2, 3, ... halve the map.
    The stem for small images (section 4.2) is one 3x3 convolution, batch
    normalisation and ReLU; the large one (table 1) is 7x7 with stride 2, and a 3x3
    max pooling with stride 2 follows. Three stages of n basic blocks behind a small
    stem make depth 6n + 2.

    Taps: `stem`, in front of the pooling; `stageN` after the last ReLU of the stage,
    `stageN_pre` the sum in front of it; `last_map` is the last stage. As in the
    published nets the stem has no pre-activation tap of its own: `stem_pre` is
    `stem`. In front of a stage's last ReLU is a sum; `batch_norm` of `stageN_pre` is
    the one that ends the residual branch of the last block, which is what OFD's
    authors read.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); all strides together must divide H and W.
        blocks: number of blocks of each stage.
        widths: channels of each stage.
        stem_width: channels of the stem.
        bottleneck: whether blocks are `Bottleneck`s; 4 must divide `widths`.
        large_stem: whether the stem is that for large images.
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
        blocks=(3, 3, 3),
        widths=(16, 32, 64),
        stem_width: int = 16,
        bottleneck: bool = False,
        large_stem: bool = False,
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        blocks, widths = base.checked_stages(blocks, widths)
        if bottleneck and any(width % EXPANSION for width in widths):
            raise wrong(
                "A bottleneck is a quarter as wide as its output",
                expected=f"widths that {EXPANSION} divides",
                widths=widths,
            )
        stride = 2 ** (len(blocks) - 1) * (4 if large_stem else 1)
        super().__init__(
            num_classes, input_shape, stride=stride, mean=mean, std=std, **kwargs
        )
        self.num_blocks = blocks
        self.widths = widths
        self.stem_width = base.checked_count("stem_width", stem_width)
        self.bottleneck = bool(bottleneck)
        self.large_stem = bool(large_stem)
        make = self._maker(seed)
        self._make_stem(make)
        block_type = Bottleneck if self.bottleneck else BasicBlock
        plans = even_plans(blocks, widths, (1, *(2,) * (len(blocks) - 1)))
        self.stages = make_stages(make, block_type, self.stem_width, plans)
        self.head = make.dense(widths[-1], self.num_classes, name="head")
        self.build((None, *self.image_shape))

    def _make_stem(self, make: LayerMaker) -> None:
        size = 7 if self.large_stem else 3
        stride = self.stem_stride = self.entry_stride = 2 if self.large_stem else 1
        self.stem_pad = make.pad(stride, name="stem_pad", kernel_size=size)
        self.stem_conv = make.conv(
            self.stem_width, size, stride=stride, name="stem_conv"
        )
        self.stem_bn = make.batch_norm(name="stem_bn")
        if self.large_stem:
            # A border of zeros changes no maximum: it follows a ReLU.
            self.pool_pad = make.pad(stride, name="pool_pad")
            self.pool = keras.layers.MaxPooling2D(
                3, 2, name="pool", dtype=self.dtype_policy
            )

    def stem_shape(self, input_shape):
        """Builds the stem; returns the shape of its output."""
        self.stem_conv.build(input_shape)
        shape = (None, None, None, self.stem_width)
        self.stem_bn.build(shape)
        return shape

    def stem_map(self, images, training):
        """The stem's tap."""
        x = self.stem_conv(self.stem_pad(images))
        return ops.relu(self.stem_bn(x, training=training))

    def enter(self, stem):
        """What the first stage reads."""
        return self.pool(self.pool_pad(stem)) if self.large_stem else stem

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed."""
        return {
            **super().get_config(),
            "blocks": tuple(self.num_blocks),
            "widths": tuple(self.widths),
            "stem_width": self.stem_width,
            "bottleneck": self.bottleneck,
            "large_stem": self.large_stem,
        }
