"""Wide residual nets, with pre-activation basic blocks."""

import keras
from keras import ops

from common.errors import wrong
from nets import base
from nets.layers import PADDINGS, LayerMaker, Stage

SHORTCUTS = ("activated", "raw")
_STEM_WIDTH = 16


def checked_size(depth, width) -> tuple[int, int]:
    """Depth and width as whole numbers; ValueError if there is no such net."""
    depth, width = map(base.checked_count, ("depth", "width"), (depth, width))
    if depth < 10 or depth % 6 != 4:
        raise wrong(
            "A wide residual net has three stages of equally many blocks",
            expected="a depth of 6n + 4 (10, 16, 22, 28, 34, 40, ...)",
            depth=depth,
        )
    return depth, width


class PreActivationBlock(keras.layers.Layer):
    """shortcut + conv3x3(relu(BN(conv3x3(a)))) with a = relu(BN(x)).

    The shortcut is x, or a bare 1x1 convolution where the width changes.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        stride: of the first convolution and the shortcut.
        shortcut: what the 1x1 convolution reads: "activated" a, "raw" x.
        name: the layer's name.
    """

    def __init__(self, make: LayerMaker, inputs, filters, stride, shortcut, name):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        self.shortcut = shortcut
        self.bn1 = make.batch_norm(name="bn1")
        self.pad = make.pad(stride, name="pad")
        self.conv1 = make.conv(filters, 3, stride=stride, name="conv1")
        self.bn2 = make.batch_norm(name="bn2")
        self.conv2 = make.conv(filters, 3, name="conv2")
        self.projects = stride != 1 or inputs != filters
        if self.projects:
            self.shortcut_conv = make.conv(
                filters, 1, stride=stride, name="shortcut_conv"
            )

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        inner = (*input_shape[:-1], self.filters)
        self.bn1.build(input_shape)
        self.conv1.build(input_shape)
        self.bn2.build(inner)
        self.conv2.build(inner)
        if self.projects:
            self.shortcut_conv.build(input_shape)

    def call(self, x, training=False):
        """Returns (output, the first batch normalisation in front of its ReLU)."""
        pre_activation = self.bn1(x, training=training)
        activated = ops.relu(pre_activation)
        residual = self.conv1(self.pad(activated))
        residual = ops.relu(self.bn2(residual, training=training))
        residual = self.conv2(residual)
        if self.projects:
            x = self.shortcut_conv(activated if self.shortcut == "activated" else x)
        return x + residual, pre_activation


@keras.saving.register_keras_serializable(package="nets")
class WResNet(base.Net):
    """Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016.

    https://arxiv.org/abs/1605.07146, WRN-depth-width without dropout. The stem is a
    bare 3x3 convolution with 16 channels; three stages of (depth - 4) / 6 blocks with
    16, 32 and 64 times `width` channels; the last two halve the map; then batch
    normalisation, ReLU and pooling.

    Taps: `stem` and `stageN` are raw sums without a ReLU; `stageN_pre` is the output
    of the batch normalisation that follows (the next stage's first, or the final
    one) before its ReLU; `last_map` is after the final ReLU, `last_map_pre` before
    it. As in the published nets the stem has no pre-activation tap of its own:
    `stem_pre` is `stem`.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C); 4 must divide H and W.
        depth: number of layers, 6n + 4 with n >= 1.
        width: factor of the channels, at least 1.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1]; None means 1.
        shortcut: input of the 1x1 shortcuts: "activated" (published nets, after batch
            normalisation and ReLU) or "raw" (the sseung0703 repository).
        padding: of the strided 3x3 convolutions: "symmetric" (published) or "same"
            (the sseung0703 repository).
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
        depth: int = 16,
        width: int = 1,
        mean=None,
        std=None,
        shortcut: str = "activated",
        padding: str = PADDINGS[0],
        seed: int | None = None,
        **kwargs,
    ):
        depth, width = checked_size(depth, width)
        if shortcut not in SHORTCUTS:
            raise wrong(
                "The shortcut's input is unknown",
                expected=f"one of {SHORTCUTS}",
                shortcut=shortcut,
            )
        super().__init__(
            num_classes, input_shape, stride=4, mean=mean, std=std, **kwargs
        )
        self.depth = depth
        self.width = width
        self.shortcut = shortcut
        self.padding = padding
        make = self._maker(seed, padding=padding)
        self.stem = make.conv(_STEM_WIDTH, 3, name="stem")
        self.stages = self._make_stages(make)
        self.last_bn = make.batch_norm(name="last_bn")
        self.head = make.dense(
            64 * width, self.num_classes, name="head", zero_bias=True
        )
        self.build((None, *self.image_shape))

    def _make_stages(self, make: LayerMaker) -> tuple[Stage, ...]:
        stages, inputs = [], _STEM_WIDTH
        for index in range(3):
            filters = 16 * 2**index * self.width
            blocks = []
            for position in range((self.depth - 4) // 6):
                stride = 2 if index > 0 and position == 0 else 1
                name = f"block{position + 1}"
                block = PreActivationBlock(
                    make, inputs, filters, stride, self.shortcut, name
                )
                blocks.append(block)
                inputs = filters
            stages.append(Stage(blocks, name=f"stage{index + 1}", dtype=make.dtype))
        return tuple(stages)

    def build(self, input_shape):
        """Builds all sublayers; the constructor calls it."""
        self.stem.build(input_shape)
        shape = (None, None, None, _STEM_WIDTH)
        for stage in self.stages:
            stage.build(shape)
            shape = (*shape[:-1], stage.filters)
        self.last_bn.build(shape)
        self.head.build((None, shape[-1]))

    def maps(self, images, training):
        """All taps but the embedding, by name."""
        x = self.stem(images)
        taps = {"stem": x, "stem_pre": x}
        sums, openings = [], []
        for stage in self.stages:
            x, pre_activations = stage(x, training=training)
            sums.append(x)
            openings.append(pre_activations[0])
        # What closes a stage is the batch normalisation that opens the next one.
        closings = [*openings[1:], self.last_bn(x, training=training)]
        for stage, total, closing in zip(self.stages, sums, closings, strict=True):
            taps |= {stage.name: total, f"{stage.name}_pre": closing}
        return {**taps, "last_map": ops.relu(closing), "last_map_pre": closing}

    def map_specs(self):
        """The specification of every tap that `maps` returns."""
        stem = self._map_spec(_STEM_WIDTH, stride=1)
        specs = {"stem": stem, "stem_pre": stem}
        closings = [*(stage.blocks[0].bn1 for stage in self.stages[1:]), self.last_bn]
        for index, (stage, batch_norm) in enumerate(
            zip(self.stages, closings, strict=True)
        ):
            post = self._map_spec(stage.filters, 2**index)
            pre = self._map_spec(stage.filters, 2**index, batch_norm)
            specs |= {stage.name: post, f"{stage.name}_pre": pre}
        return {**specs, "last_map": post, "last_map_pre": pre}

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed."""
        return {
            **super().get_config(),
            "depth": self.depth,
            "width": self.width,
            "shortcut": self.shortcut,
            "padding": self.padding,
        }
