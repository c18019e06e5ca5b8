"""Sizes of the axes of a graph's tensors, and what joins and reshapes them."""

import math
from fractions import Fraction
from typing import NamedTuple

import keras

from nets.narrowing import widths
from nets.narrowing.widths import Size


class Axes(NamedTuple):
    """Of one tensor of a graph: a `Size` for each axis, None for one of any size."""

    sizes: tuple[Size | None, ...]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """In the model."""
        return tuple(None if size is None else size.number for size in self.sizes)

    @property
    def is_fixed(self) -> bool:
        """Whether no axis can change."""
        return all(size is None or size.is_fixed for size in self.sizes)


def of_shape(shape) -> Axes:
    """Axes that stay."""
    return Axes(tuple(map(_size, shape)))


class Call(NamedTuple):
    """One use of a layer or operation in a graph.

    Attributes:
        op: the layer or operation.
        args: its arguments, `Axes` where tensors were.
        kwargs: the same.
        shapes: of its outputs, in the model.
        numbers: of all uses: what of a configuration changes, see `changes`.
    """

    op: keras.Operation
    args: tuple
    kwargs: dict
    shapes: list[tuple]
    numbers: dict

    @property
    def first(self) -> Axes:
        """The first argument."""
        return next(iter((*self.args, *self.kwargs.values())))

    @property
    def tensors(self) -> list[Axes]:
        """All arguments that are tensors."""
        return axes_in((self.args, self.kwargs))

    def changes(self, **sizes) -> None:
        """Says what arguments of the layer's constructor are now.

        Args:
            **sizes: a `Size`, a number, or a tuple of both.
        """
        self.numbers[id(self.op)] = sizes

    def width(self, name: str, number: int | None, multiple: int = 1) -> Size | None:
        """A width that the layer has as an argument; the same one in all its uses."""
        if number is None:
            return None
        found = self.numbers.get(id(self.op), {}).get(name)
        return found or widths.free(number, multiple)


def axes_in(values) -> list[Axes]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(values, Axes):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return [axes for value in values for axes in axes_in(value)]
    return []


def same(call: Call) -> Axes:
    """The output has the axes of the input."""
    return call.first


def _constant(value) -> Axes:
    """Of an argument that is no tensor of the graph."""
    return value if isinstance(value, Axes) else of_shape(getattr(value, "shape", ()))


def merged(call: Call) -> Axes:
    """Sums and products: axes are equal, but for those of one that is repeated."""
    values = [*call.args, *call.kwargs.values()]
    if len(values) == 1 and isinstance(values[0], list | tuple):
        values = values[0]
    tensors = [value.sizes for value in values if isinstance(value, Axes)]
    given = [_constant(value).sizes for value in values if not isinstance(value, Axes)]
    rank = max(map(len, (*tensors, *given)))
    sizes = []
    for back in range(-rank, 0):
        column = [own[back] for own in tensors if -back <= len(own)]
        size = _joined(column)
        for own in given:
            if -back > len(own) or own[back].number == 1:
                continue
            if size is None or size.number == 1:
                size = own[back]
            else:
                call.numbers.setdefault("given", []).append((call.op, size))
        sizes.append(size)
    return Axes(tuple(sizes))


def _joined(column) -> Size | None:
    """One axis of what is added: the one that is wider than one."""
    wide = [size for size in column if size is not None and size.number > 1]
    for other in wide[1:]:
        widths.equate(wide[0], other)
    if not wide and None in column:
        return None
    return (wide or column or [None])[0]


def hold(axes: Axes) -> None:
    """Keeps a tensor's axes as they are."""
    for size in axes.sizes:
        if size is not None:
            widths.hold(size)


def concatenated(call: Call) -> Axes:
    """One axis is the sum of the parts', the others are equal."""
    parts = [_constant(part).sizes for part in call.first]
    axis = call.op.axis % len(parts[0])
    sizes = []
    for position, column in enumerate(zip(*parts, strict=True)):
        if None in column:
            sizes.append(None)
        elif position == axis:
            sizes.append(widths.total(column))
        else:
            for other in column[1:]:
                widths.equate(column[0], other)
            sizes.append(column[0])
    return Axes(tuple(sizes))


def flatten(call: Call) -> Axes:
    """All axes but the batch become one."""
    return reshaped(call.first, call.shapes[0])


def reshape(call: Call) -> Axes:
    """The shape that is asked for follows what changes."""
    axes = reshaped(call.first, call.shapes[0])
    name = "target_shape" if isinstance(call.op, keras.layers.Layer) else "newshape"
    target = getattr(call.op, name)
    sizes = axes.sizes[-len(target) :] if target else ()
    new = tuple(
        -1 if number == -1 else size for number, size in zip(target, sizes, strict=True)
    )
    call.changes(**{name: new})
    return axes


def reshaped(axes: Axes, shape) -> Axes:
    """The axes of the same numbers in another shape.

    From the last one on, axes are taken in the smallest groups of equal products. Of
    one that is split, the last part is the one that changes.
    """
    old, new, found = list(axes.sizes), list(shape), []
    while new:
        before, after = [], [new.pop()]
        while (have := _product(before)) != (want := _product(map(_size, after))):
            if None in (have, want):  # of any size: all that is left
                before, after = [*before, *old[::-1]], [*after, *new[::-1]]
                old, new = [], []
                break
            side, other = (before, old) if have < want else (after, new)
            side.append(other.pop())
        found += _group(before, after)
    return Axes(tuple(reversed(found)))


def _size(number: int | None) -> Size | None:
    return None if number is None else widths.fixed(number)


def _product(sizes) -> int | None:
    """Of the numbers; None if one is unknown."""
    sizes = list(sizes)
    if None in sizes:
        return None
    return math.prod(size.number for size in sizes)


def _group(before, after) -> list[Size | None]:
    """Sizes of the axes `after` that hold what those `before` did, both backwards."""
    changing = [size for size in before if size and not size.is_fixed]
    changing = [size for size in changing if size.number > 1]
    sizes = [_size(number) for number in after]
    if not changing:
        return sizes
    if len(changing) > 1 or None in (*before, *after):
        raise widths.Clash("it mixes axes that change")
    others = _product(size for size in before if size is not changing[0])
    rest = _product(sizes[1:])
    changing[0].needs(rest // math.gcd(rest, others))
    return [changing[0].times(Fraction(others, rest)), *sizes[1:]]


def permuted(call: Call) -> Axes:
    """The axes in another order."""
    sizes = call.first.sizes
    if isinstance(call.op, keras.layers.Permute):
        order = (0, *call.op.dims)
    else:
        order = call.op.axes or tuple(reversed(range(len(sizes))))
    return Axes(tuple(sizes[axis] for axis in order))
