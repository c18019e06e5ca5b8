"""Sizes of a graph's axes as sums of widths that are not chosen yet.

A convolution of 64 filters makes an axis of one width; a concatenation adds widths; a
residual sum says that two axes are one. All that is said holds of the numbers that a
model has, so that what is left free can be scaled and the graph still fits together.
"""

import dataclasses
import math
from collections.abc import Iterable
from fractions import Fraction

STEP = 8


class Clash(ValueError):
    """Two axes that must be equal cannot be made so."""


def scaled(number: int, factor: float, multiple: int = 1) -> int:
    """A width times a factor.

    The nearest multiple of 8, of two the larger; the next one where that is less than
    90 % of what was asked for, as the MobileNets round; at least 8. Never more than it
    was, and as it was for the factor 1.

    Args:
        number: the width, which `multiple` divides.
        factor: greater than 0, at most 1.
        multiple: must divide the result, too.
    """
    if factor == 1:
        return number
    step, asked = math.lcm(STEP, multiple), number * factor
    if step >= number:
        step = multiple
    nearest = math.floor(asked / step + 0.5) * step
    if nearest < 0.9 * asked:
        nearest += step
    least = math.ceil(min(STEP, number) / multiple) * multiple
    return min(number, max(nearest, least))


class Unknown:
    """A width that is free until it is bound to others.

    Attributes:
        number: what it is in the model.
        multiple: must divide what it becomes.
        bound: the `Size` that it is, or None.
    """

    def __init__(self, number: int, multiple: int = 1):
        self.number, self.multiple, self.bound = number, multiple, None


@dataclasses.dataclass(frozen=True)
class Size:
    """Of one axis: a number that stays, and widths that do not, with their factors."""

    fixed: Fraction = Fraction(0)
    terms: tuple[tuple[Fraction, Unknown], ...] = ()

    @property
    def number(self) -> int:
        """What it is in the model."""
        return int(self.fixed + sum(k * unknown.number for k, unknown in self.terms))

    @property
    def is_fixed(self) -> bool:
        """Whether nothing in it is free."""
        return not self.resolved().terms

    def times(self, factor) -> "Size":
        """So many times as much."""
        factor = Fraction(factor)
        terms = tuple((factor * k, unknown) for k, unknown in self.terms)
        return Size(factor * self.fixed, terms)

    def resolved(self) -> "Size":
        """The same in free widths alone."""
        parts = [Size(self.fixed)]
        for k, unknown in self.terms:
            if unknown.bound is None:
                parts.append(Size(terms=((k, unknown),)))
            else:
                parts.append(unknown.bound.resolved().times(k))
        return total(parts)

    def needs(self, multiple: int) -> None:
        """Says that `multiple` must divide it, which is done term by term."""
        for _, unknown in self.resolved().terms:
            unknown.multiple = math.lcm(unknown.multiple, multiple)

    def chosen(self, factor: float) -> int:
        """What it becomes; `Clash` if that is no whole number."""
        size = self.resolved()
        value = size.fixed + sum(
            k * scaled(unknown.number, factor, unknown.multiple)
            for k, unknown in size.terms
        )
        if value.denominator != 1:
            raise Clash(f"{size.number} would become {float(value):g}")
        return int(value)


def fixed(number: int) -> Size:
    """A number that stays."""
    return Size(Fraction(number))


def free(number: int, multiple: int = 1) -> Size:
    """A new width."""
    return Size(terms=((Fraction(1), Unknown(number, multiple)),))


def total(sizes: Iterable[Size]) -> Size:
    """Their sum; the terms stay in their order."""
    sizes = list(sizes)
    terms = tuple(term for size in sizes for term in size.terms)
    return Size(sum((size.fixed for size in sizes), Fraction(0)), terms)


def hold(size: Size) -> None:
    """Keeps an axis as it is."""
    for _, unknown in size.resolved().terms:
        unknown.bound = fixed(unknown.number)


def equate(one: Size, other: Size) -> None:
    """Says that two axes are equal; `Clash` if they cannot be."""
    one, other = one.resolved(), other.resolved()
    if one.number != other.number:
        raise Clash(f"{one.number} is not {other.number}")
    if one == other:
        return
    if _bind(one, other) or _bind(other, one):
        return
    if not one.terms or not other.terms:
        hold(one)
        hold(other)
        return
    pairs = list(zip(_by_number(one), _by_number(other), strict=False))
    same = one.fixed == other.fixed and len(one.terms) == len(other.terms)
    if not same or any(a[:2] != b[:2] for a, b in pairs):
        raise Clash(f"{one.number} is a sum of other widths on the one than the other")
    for (*_, mine), (*_, its) in pairs:
        equate(Size(terms=((Fraction(1), mine),)), Size(terms=((Fraction(1), its),)))


def _bind(one: Size, other: Size) -> bool:
    """Makes a size of one free width the other, if it is one."""
    if one.fixed or len(one.terms) != 1:
        return False
    ((factor, unknown),) = one.terms
    if any(unknown is its for _, its in other.terms):
        return False
    if factor != 1:
        other.needs(factor.numerator)
    other.needs(unknown.multiple)
    unknown.bound = other.times(1 / factor)
    return True


def _by_number(size: Size) -> list:
    return sorted(
        ((k * unknown.number, k, unknown) for k, unknown in size.terms),
        key=lambda term: term[:2],
    )
