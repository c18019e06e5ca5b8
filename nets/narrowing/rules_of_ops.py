"""What operations of keras.ops do to the sizes of axes, by their names.

`x + y` and `keras.ops.mean(x)` are such operations in a model's graph.
"""

from fractions import Fraction

from nets.narrowing import widths
from nets.narrowing.axes import (
    Axes,
    Call,
    axes_in,
    concatenated,
    merged,
    of_shape,
    permuted,
    reshape,
    same,
)
from nets.narrowing.rules import same_channels


def _reduced(call: Call) -> Axes:
    """Means and the like over some axes."""
    sizes, axis = call.first.sizes, call.op.axis
    rank = len(sizes)
    axis = range(rank) if axis is None else axis
    gone = {i % rank for i in ((axis,) if isinstance(axis, int) else axis)}
    one = widths.fixed(1)
    if call.op.keepdims:
        return Axes(tuple(one if i in gone else s for i, s in enumerate(sizes)))
    return Axes(tuple(s for i, s in enumerate(sizes) if i not in gone))


def _swapped(call: Call) -> Axes:
    sizes = list(call.first.sizes)
    one, other = call.op.axis1, call.op.axis2
    sizes[one], sizes[other] = sizes[other], sizes[one]
    return Axes(tuple(sizes))


def _of_ones(call: Call) -> Axes:
    """Axes of one are added or taken away; the others stay in their order."""
    rest = [size for size in call.first.sizes if size is None or size.number != 1]
    (shape,) = call.shapes
    return Axes(tuple(widths.fixed(1) if n == 1 else rest.pop(0) for n in shape))


def _padded(call: Call) -> Axes:
    sizes, (shape,) = call.first.sizes, call.shapes
    for size, number in zip(sizes, shape, strict=True):
        if size is not None and size.number != number and not size.is_fixed:
            raise widths.Clash("it pads the channels with a given number")
    pairs = zip(sizes, of_shape(shape).sizes, strict=True)
    return Axes(tuple(s if s and n and s.number == n.number else n for s, n in pairs))


def _product(call: Call) -> Axes:
    """[..., n, k] times [..., k, m]."""
    one, other = (axes.sizes for axes in axes_in(call.args))
    if min(len(one), len(other)) < 2:
        raise widths.Clash("it multiplies vectors")
    widths.equate(one[-1], other[-2])
    longest = max(one, other, key=len)
    return Axes((*longest[:-2], one[-2], other[-1]))


def _split(call: Call) -> list[Axes]:
    sizes, parts = call.first.sizes, call.op.indices_or_sections
    axis = call.op.axis % len(sizes)
    if sizes[axis] is not None and sizes[axis].is_fixed:
        lengths = [widths.fixed(shape[axis]) for shape in call.shapes]
    elif isinstance(parts, int):
        sizes[axis].needs(parts)
        lengths = [sizes[axis].times(Fraction(1, parts))] * parts
    else:
        raise widths.Clash("it cuts the channels at given numbers")
    return [Axes((*sizes[:axis], n, *sizes[axis + 1 :])) for n in lengths]


def _item(call: Call) -> Axes:
    """x[:, 0], x[..., None]: of an axis that changes all is taken."""
    sizes, key = list(call.args[0].sizes), [*call.args, *call.kwargs.values()][1]
    key = list(key) if isinstance(key, list | tuple) else [key]
    if Ellipsis not in key:
        key.append(Ellipsis)
    taken = len(key) - 1 - sum(part is None for part in key)
    at = key.index(Ellipsis)
    key[at : at + 1] = [slice(None)] * (len(sizes) - taken)
    found, shape = [], iter(call.shapes[0])
    for part in key:
        if part is None:
            next(shape)
            found.append(widths.fixed(1))
            continue
        size = sizes.pop(0)
        whole = part == slice(None)
        if not whole and size is not None and not size.is_fixed:
            raise widths.Clash("it takes a part of the channels")
        if isinstance(part, int):
            continue
        number = next(shape)
        if not whole:
            size = None if number is None else widths.fixed(number)
        found.append(size)
    return Axes(tuple(found))


_SAME = """
    Absolute Cast Celu Clip Copy Elu Erf Exp Expm1 Gelu HardSigmoid HardSilu HardTanh
    LeakyRelu Log Log1p LogSigmoid LogSoftmax Negative Normalize Reciprocal Relu Relu6
    Rsqrt SaturateCast Selu Sigmoid Sign Silu Softmax Softplus Softsign Sqrt Square
    Squareplus StopGradient Tanh TanhShrink SoftShrink HardShrink Threshold Identity
"""
_MERGES = "Add Divide Maximum Minimum Multiply Power Subtract TrueDivide Where"
_REDUCES = "Max Mean Min Std Sum Var Amax Amin Prod"

OPS = {
    **dict.fromkeys(_SAME.split(), same),
    **dict.fromkeys(_MERGES.split(), merged),
    **dict.fromkeys(_REDUCES.split(), _reduced),
    "AveragePool": same_channels,
    "Concatenate": concatenated,
    "ExpandDims": _of_ones,
    "GetItem": _item,
    "Matmul": _product,
    "MaxPool": same_channels,
    "Pad": _padded,
    "Reshape": reshape,
    "Resize": same_channels,
    "Split": _split,
    "Squeeze": _of_ones,
    "Swapaxes": _swapped,
    "Transpose": permuted,
}
