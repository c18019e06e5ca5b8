"""Residual nets for small images, with post-activation basic blocks."""

import keras
from keras import ops

from nets import base
from nets.layers import LayerMaker, Stage


class BasicBlock(keras.layers.Layer):
    """relu(shortcut(x) + BN(conv3x3(relu(BN(conv3x3(x)))))).

    The shortcut is the identity, or a 1x1 convolution and batch normalisation where
    stride or width change (option B of the paper).

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: of the first convolution and the shortcut.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.pad = make.pad(stride, name="pad")
        self.conv1 = make.conv(filters, 3, stride=stride, name="conv1")
        self.bn1 = make.batch_norm(name="bn1")
        self.conv2 = make.conv(filters, 3, name="conv2")
        self.bn2 = make.batch_norm(name="bn2")
        self.projects = stride != 1 or inputs != filters
        if self.projects:
            self.shortcut_conv = make.conv(
                filters, 1, stride=stride, name="shortcut_conv"
            )
            self.shortcut_bn = make.batch_norm(name="shortcut_bn")

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        inner = (*input_shape[:-1], self.filters)
        self.conv1.build(input_shape)
        self.bn1.build(inner)
        self.conv2.build(inner)
        self.bn2.build(inner)
        if self.projects:
            self.shortcut_conv.build(input_shape)
            self.shortcut_bn.build(inner)

    def call(self, x, training=False):
        """Returns (output, the sum in front of the last ReLU)."""
        residual = self.conv1(self.pad(x))
        residual = ops.relu(self.bn1(residual, training=training))
        residual = self.bn2(self.conv2(residual), training=training)
        if self.projects:
            x = self.shortcut_bn(self.shortcut_conv(x), training=training)
        total = x + residual
        return ops.relu(total), total


@keras.saving.register_keras_serializable(package="nets")
class ResNet(base.Net):
    """He et al., Deep Residual Learning for Image Recognition, CVPR 2016.

    https://arxiv.org/abs/1512.03385, section 4.2, with projections (option B) where
    the width changes, as the distillation literature has it. Three stages of n
    blocks make depth 6n + 2. The stem is one 3x3 convolution, batch normalisation
    and ReLU; stages 2, 3, ... halve the map.

    Taps: `stem`; `stageN` after the last ReLU of the stage, `stageN_pre` the sum in
    front of it; `last_map` is the last stage. As in the published nets the stem has
    no pre-activation tap of its own: `stem_pre` is `stem`. In front of a stage's
    last ReLU is a sum; `batch_norm` of `stageN_pre` is the one that ends the residual
    branch (`bn2` of the last block), which is what OFD's authors read.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); all strides together must divide H and W.
        blocks: number of blocks of each stage.
        widths: channels of each stage.
        stem_width: channels of the stem.
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
        mean=None,
        std=None,
        seed: int | None = None,
        **kwargs,
    ):
        if not blocks or len(blocks) != len(widths):
            raise ValueError(
                "Stages are given by their numbers of blocks and their widths. "
                "Expected as many of the one as of the other, at least one. "
                f"Received: blocks={tuple(blocks)}, widths={tuple(widths)}."
            )
        blocks = tuple(base.checked_count("blocks", count) for count in blocks)
        widths = tuple(base.checked_count("widths", width) for width in widths)
        super().__init__(
            num_classes,
            input_shape,
            stride=2 ** (len(blocks) - 1),
            mean=mean,
            std=std,
            **kwargs,
        )
        self.num_blocks = blocks
        self.widths = widths
        self.stem_width = base.checked_count("stem_width", stem_width)
        make = self._maker(seed)
        self.stem_conv = make.conv(self.stem_width, 3, name="stem_conv")
        self.stem_bn = make.batch_norm(name="stem_bn")
        self.stages = self._make_stages(make)
        self.head = make.dense(widths[-1], self.num_classes, name="head")
        self.build((None, *self.image_shape))

    def _make_stages(self, make: LayerMaker) -> tuple[Stage, ...]:
        stages, inputs = [], self.stem_width
        for index, (count, width) in enumerate(
            zip(self.num_blocks, self.widths, strict=True)
        ):
            blocks = []
            for position in range(count):
                stride = 2 if index > 0 and position == 0 else 1
                name = f"block{position + 1}"
                blocks.append(BasicBlock(make, inputs, width, stride, name))
                inputs = width
            stages.append(Stage(blocks, name=f"stage{index + 1}", dtype=make.dtype))
        return tuple(stages)

    def build(self, input_shape):
        """Builds all sublayers; the constructor calls it."""
        self.stem_conv.build(input_shape)
        shape = (None, None, None, self.stem_width)
        self.stem_bn.build(shape)
        for stage in self.stages:
            stage.build(shape)
            shape = (*shape[:-1], stage.filters)
        self.head.build((None, shape[-1]))

    def maps(self, images, training):
        """All taps but the embedding, by name."""
        x = ops.relu(self.stem_bn(self.stem_conv(images), training=training))
        taps = {"stem": x, "stem_pre": x}
        for stage in self.stages:
            x, pre_activations = stage(x, training=training)
            taps[stage.name] = x
            taps[f"{stage.name}_pre"] = pre_activations[-1]
        return {**taps, "last_map": x, "last_map_pre": pre_activations[-1]}

    def map_specs(self):
        """The specification of every tap that `maps` returns."""
        stem = self._map_spec(self.stem_width, stride=1)
        specs = {"stem": stem, "stem_pre": stem}
        for index, stage in enumerate(self.stages):
            batch_norm = stage.blocks[-1].bn2
            post = self._map_spec(stage.filters, 2**index)
            pre = self._map_spec(stage.filters, 2**index, batch_norm)
            specs |= {stage.name: post, f"{stage.name}_pre": pre}
        return {**specs, "last_map": post, "last_map_pre": pre}

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed."""
        return {
            **super().get_config(),
            "blocks": tuple(self.num_blocks),
            "widths": tuple(self.widths),
            "stem_width": self.stem_width,
        }
