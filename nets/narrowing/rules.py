"""What Keras' layers do to the sizes of axes, see `widths`."""

import keras
import numpy as np

from nets.narrowing import axes as width_axes
from nets.narrowing import widths
from nets.narrowing.axes import Axes, Call, of_shape
from nets.narrowing.widths import Size

layers = keras.layers


def _channel_axis(op, rank: int) -> int:
    return 1 if getattr(op, "data_format", "") == "channels_first" else rank - 1


def _statistics(call: Call) -> Axes:
    """Numbers that were given, or measured, for each channel of what is fixed."""
    given = getattr(call.op, "scale", 0.0), getattr(call.op, "offset", 0.0)
    is_plain = not any(map(np.ndim, given))
    if isinstance(call.op, layers.Normalization) or not is_plain:
        if not call.first.is_fixed:
            raise widths.Clash("it holds numbers for each channel")
    return call.first


def same_channels(call: Call) -> Axes:
    """Height and width as they come out, the channels as they went in."""
    (shape,), axes = call.shapes, call.first
    channels = axes.sizes[_channel_axis(call.op, len(axes.sizes))]
    sizes = list(of_shape(shape).sizes)
    sizes[1 if len(shape) == 2 else _channel_axis(call.op, len(shape))] = channels
    return Axes(tuple(sizes))


def _with_channels(call: Call, channels: Size) -> Axes:
    (shape,) = call.shapes
    sizes = list(of_shape(shape).sizes)
    sizes[_channel_axis(call.op, len(shape))] = channels
    return Axes(tuple(sizes))


def _read(call: Call) -> Size:
    """The channels that a layer with weights reads: those of all its uses."""
    axes = call.first.sizes
    channels = axes[_channel_axis(call.op, len(axes))]
    before = call.numbers.setdefault((id(call.op), "read"), channels)
    widths.equate(before, channels)
    return channels


def _conv(call: Call) -> Axes:
    read, op = _read(call), call.op
    groups = getattr(op, "groups", 1)
    if groups > 1 and groups == read.number:  # a depthwise one
        filters = read.times(op.filters // groups)
        call.changes(filters=filters, groups=read)
        return _with_channels(call, filters)
    read.needs(groups)
    filters = call.width("filters", op.filters, groups)
    call.changes(filters=filters)
    return _with_channels(call, filters)


def _depthwise(call: Call) -> Axes:
    return _with_channels(call, _read(call).times(call.op.depth_multiplier))


def _dense(call: Call) -> Axes:
    _read(call)
    units = call.width("units", call.op.units)
    call.changes(units=units)
    return Axes((*call.first.sizes[:-1], units))


def _attention(call: Call) -> Axes:
    """Heads stay, for methods compare them; what is wide in each is scaled."""
    config = call.op.get_config()
    query, sizes = call.first.sizes, {}
    for name in ("key_dim", "value_dim", "output_shape"):
        number = config[name]
        if isinstance(number, tuple | list):
            if len(number) > 1:
                raise widths.Clash("it has several axes")
            (number,) = number
        sizes[name] = call.width(name, number)
    for position, axes in enumerate(call.tensors[:3]):
        before = call.numbers.setdefault((id(call.op), position), axes.sizes[-1])
        widths.equate(before, axes.sizes[-1])
    call.changes(**{name: size for name, size in sizes.items() if size is not None})
    return Axes((*query[:-1], sizes["output_shape"] or query[-1]))


def _embedding(call: Call) -> Axes:
    width = call.width("output_dim", call.op.output_dim)
    call.changes(output_dim=width)
    return Axes((*call.first.sizes, width))


def _normalise(call: Call) -> Axes:
    """With weights for some axes, which are the same in all uses."""
    sizes = call.first.sizes
    before = call.numbers.setdefault((id(call.op), "read"), sizes)
    for one, other in zip(before, sizes, strict=True):
        is_known = one is not None and other is not None
        if is_known and one.number == other.number:  # maps of two sizes are no matter
            widths.equate(one, other)
    return call.first


def _groups(call: Call) -> Axes:
    """Group normalisation; as many groups as channels stay as many."""
    channels = _read(call)
    if call.op.groups == channels.number:
        call.changes(groups=-1)
    elif call.op.groups != -1:
        channels.needs(call.op.groups)
    return call.first


def _layer_scale(call: Call) -> Axes:
    call.changes(projection_dim=_read(call))
    return call.first


_SAME = "Activation ReLU LeakyReLU PReLU ELU Softmax Identity Dropout AlphaDropout"
_SAME += " GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D"
_SAME += " SpatialDropout3D ActivityRegularization UnitNormalization"
_READS = "BatchNormalization LayerNormalization RMSNormalization"
_PLACES = [
    f"{kind}{n}D"
    for n in (1, 2, 3)
    for kind in (
        "AdaptiveAveragePooling AdaptiveMaxPooling AveragePooling MaxPooling Cropping "
        "GlobalAveragePooling GlobalMaxPooling UpSampling ZeroPadding"
    ).split()
]
_CONVS = "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose"
_CONVS += " SeparableConv1D SeparableConv2D"
_MERGES = "Add Average Maximum Minimum Multiply Subtract"


def _named(names, rule) -> dict:
    names = names.split() if isinstance(names, str) else names
    return {getattr(layers, name): rule for name in names if hasattr(layers, name)}


LAYERS = {
    **_named(_SAME, width_axes.same),
    **_named(_READS, _normalise),
    **_named(_PLACES, same_channels),
    **_named(_CONVS, _conv),
    **_named(_MERGES, width_axes.merged),
    layers.Concatenate: width_axes.concatenated,
    layers.Dense: _dense,
    layers.DepthwiseConv1D: _depthwise,
    layers.DepthwiseConv2D: _depthwise,
    layers.Embedding: _embedding,
    layers.Flatten: width_axes.flatten,
    layers.GroupNormalization: _groups,
    layers.MultiHeadAttention: _attention,
    layers.Normalization: _statistics,
    layers.Permute: width_axes.permuted,
    layers.Rescaling: _statistics,
    layers.Reshape: width_axes.reshape,
}

# Layers of keras.applications, which are no public names.
INSIDE_APPLICATIONS = {
    "StochasticDepth": width_axes.same,
    "LayerScale": _layer_scale,
    "CustomScaleLayer": width_axes.merged,
}
