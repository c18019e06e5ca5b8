"""The plan that most nets share: a stem, stages of blocks, often one last layer."""

import math

from keras import ops

from nets import base
from nets.conv_bn import ConvBN
from nets.layers import LayerMaker, Stage, build_chain
from nets.taps import TapSpec


def even_plans(blocks, widths, strides) -> list[list[tuple[int, int]]]:
    """Plans of stages whose blocks are equally wide; the first has the stride.

    Args:
        blocks: number of blocks of each stage.
        widths: channels of each stage.
        strides: of each stage.

    Returns:
        For each stage for each block (channels, stride).
    """
    return [
        [(width, stride), *[(width, 1)] * (count - 1)]
        for count, width, stride in zip(blocks, widths, strides, strict=True)
    ]


def make_stage(make: LayerMaker, block_type, inputs: int, plan, name: str) -> Stage:
    """A stage of blocks `block1`, `block2`, ...

    Args:
        make: the net's layer maker.
        block_type: called with (make, inputs, channels, stride, ..., name=name).
        inputs: channels of the first block's input.
        plan: for each block (channels, stride, ...).
        name: the stage's name.
    """
    blocks = []
    for position, (width, *rest) in enumerate(plan, start=1):
        block_name = f"block{position}"
        blocks.append(block_type(make, inputs, width, *rest, name=block_name))
        inputs = width
    return Stage(blocks, name=name, dtype=make.dtype)


def make_stages(make: LayerMaker, block_type, inputs: int, plans) -> tuple[Stage, ...]:
    """Stages `stage1`, `stage2`, ...; arguments as those of `make_stage`."""
    stages = []
    for index, plan in enumerate(plans, start=1):
        stages.append(make_stage(make, block_type, inputs, plan, f"stage{index}"))
        inputs = stages[-1].filters
    return tuple(stages)


class StagedNet(base.Net):
    """Taps of a net whose maps follow one another: stem, stage1, stage2, ...

    A subclass sets `stages`, a tuple of `layers.Stage`, and `head`, and sets or
    overrides what else differs. Its blocks have attributes `filters` and `stride` and
    a method `closing_norm()`: the batch normalisation in front of the ReLU that ends
    the block, or None.

    Attributes:
        stem: layer with `filters` that makes the stem before its ReLU.
        stem_width: channels of the stem's tap.
        stem_stride: of the stem's tap.
        entry_stride: of what lies between the stem's tap and the first stage.
        stages: the stages; each is named as its tap.
        last: `ConvBN` behind the last stage, followed by a ReLU, or None.
    """

    stem_stride = 1
    entry_stride = 1
    last: ConvBN | None = None

    # What a subclass may override.

    def stem_shape(self, input_shape) -> tuple:
        """Builds the stem; returns the shape of its output."""
        return build_chain([self.stem], input_shape)

    def stem_map(self, images, training):
        """The stem's tap."""
        return ops.relu(self.stem(images, training=training))

    def enter(self, stem):
        """What the first stage reads."""
        return stem

    def finish(self, x, pre_activation, training):
        """(last map, the same before its ReLU) from those of the last stage."""
        if self.last is None:
            return x, pre_activation
        pre_activation = self.last(x, training=training)
        return ops.relu(pre_activation), pre_activation

    # What they have in common.

    def build(self, input_shape):
        """Builds all sublayers; the constructor calls it."""
        shape = build_chain(self.stages, self.stem_shape(input_shape))
        if self.last is not None:
            shape = build_chain([self.last], shape)
        self.head.build((None, shape[-1]))

    def maps(self, images, training):
        """All taps but the embedding, by name."""
        x = self.stem_map(images, training)
        taps = {"stem": x, "stem_pre": x}
        x = self.enter(x)
        for stage in self.stages:
            x, pre_activations = stage(x, training=training)
            taps |= {stage.name: x, f"{stage.name}_pre": pre_activations[-1]}
        last, pre_activation = self.finish(x, pre_activations[-1], training)
        return {**taps, "last_map": last, "last_map_pre": pre_activation}

    def map_specs(self) -> dict[str, TapSpec]:
        """The specification of every tap that `maps` returns."""
        stride = self.stem_stride
        stem = self._map_spec(self.stem_width, stride)
        specs = {"stem": stem, "stem_pre": stem}
        stride *= self.entry_stride
        for stage in self.stages:
            stride *= math.prod(block.stride for block in stage.blocks)
            post = self._map_spec(stage.filters, stride)
            norm = stage.blocks[-1].closing_norm()
            pre = self._map_spec(stage.filters, stride, norm)
            specs |= {stage.name: post, f"{stage.name}_pre": pre}
        if self.last is not None:
            post = self._map_spec(self.last.filters, stride)
            pre = self._map_spec(self.last.filters, stride, self.last.bn)
        return {**specs, "last_map": post, "last_map_pre": pre}
