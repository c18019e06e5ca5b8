"""The rows of a table compared with its reference, by the block model."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from comparison.grid.record import FINISHED, Record
from comparison.report import block_model, references

_DIGITS = 9  # behind the point


@dataclasses.dataclass(frozen=True)
class Difference:
    """A row less its reference, of the accuracy after the last epoch, in points.

    Attributes:
        reference: label of the row it is compared with; None without one.
        points: the least squares estimate; None if it cannot be known.
        se: its standard error; None without an estimate of the spread.
        low, high: 95 % interval, simultaneous over the table.
        p: adjusted for all comparisons of the table.
    """

    reference: str | None
    points: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the comparisons of a table rest on.

    Attributes:
        k: how many there are.
        references: with how many rows.
        blocks: how many finished.
        df: degrees of freedom of s.
        s: standard deviation of a cell, rows and blocks taken out, in points; None if
            it cannot be known, and with it what follows.
        c: half of an interval in standard errors.
        half_width: the smallest difference that whole rows can show, in points.
        blocks_for_one_point: how many would show a difference of one point.
        same: labels of rows whose students are equal, which count as one.
    """

    k: int
    references: int
    blocks: int
    df: int
    s: float | None
    c: float | None
    half_width: float | None
    blocks_for_one_point: int | None
    same: tuple[tuple[str, ...], ...]


def of_table(
    rows: Sequence[Sequence[Record]], reference: str
) -> tuple[list[Difference | None], Evidence]:
    """The difference of each row, None of references, and what all rest on.

    All rows are in one model, also where something of the recipe is varied and each
    value has a reference of its own.

    Args:
        rows: the cells of each.
        reference: a label or method, as `references.resolve` gives it.
    """
    bases = _bases(rows, reference)
    firsts = _firsts(rows, bases)
    ours = [None if base is None else firsts[base] for base in bases]
    values = _values(rows)
    values[[first != row for row, first in enumerate(firsts)]] = np.nan
    model = block_model.compare(values, ours)
    p = model.p()
    found = []
    for row, records in enumerate(rows):
        base, first = bases[row], firsts[row]
        if references.is_reference(records[0], reference):
            found.append(None)
        elif base is None:
            found.append(Difference(None))
        elif first == ours[row]:  # The reference's own students.
            found.append(Difference(rows[base][0].label, 0.0))
        else:
            numbers = model.difference[first], model.se[first], p[first]
            found.append(_difference(rows[base][0].label, *numbers, model.critical))
    return found, _evidence(model, rows, firsts)


def _bases(rows: Sequence[Sequence[Record]], reference: str) -> list[int | None]:
    """Of each row the number of the one it is compared with."""
    cells = [
        next((r for r in records if r.state == FINISHED), records[0])
        for records in rows
    ]
    numbers = {id(cell): row for row, cell in enumerate(cells)}
    known = [cell for cell in cells if references.is_reference(cell, reference)]
    found = []
    for cell in cells:
        is_one = references.is_reference(cell, reference)
        base = None if is_one else references.row_of(cell, known, reference)
        found.append(None if base is None else numbers[id(base)])
    return found


def _firsts(rows: Sequence[Sequence[Record]], bases: Sequence[int | None]) -> list[int]:
    """Of each row the number of the first one with the same students."""
    found = list(range(len(rows)))
    seen: dict[frozenset, list[int]] = {}
    # A reference comes first, so that what equals it is no comparison.
    for row in sorted(found, key=lambda row: bases[row] is not None):
        key = frozenset((r.seed, r.last) for r in rows[row] if r.state == FINISHED)
        for other in seen.setdefault(key, []):
            goes_with = bases[other] == bases[row] or other == bases[row]
            if goes_with and references.are_one(rows[other], rows[row]):
                found[row] = other
                break
        else:
            seen[key].append(row)
    return found


def _values(rows: Sequence[Sequence[Record]]) -> np.ndarray:
    """[R, B] in %, NaN where there is none; a block is a seed."""
    seeds = sorted({record.seed for records in rows for record in records})
    values = np.full((len(rows), len(seeds)), np.nan)
    for row, records in enumerate(rows):
        for record in records:
            if record.state == FINISHED:
                values[row, seeds.index(record.seed)] = 100 * record.last
    return values


def _difference(label: str, points, se, p, c: float | None) -> Difference:
    if not np.isfinite(points):
        return Difference(label)
    if c is None or not np.isfinite(se):
        return Difference(label, _rounded(points))
    numbers = (points, se, points - c * se, points + c * se, p)
    return Difference(label, *map(_rounded, numbers))


def _rounded(number) -> float:
    """Without the last digits, in which matrix products differ between machines."""
    return round(float(number), _DIGITS)


def _evidence(
    model: block_model.Comparison, rows: Sequence[Sequence[Record]], firsts
) -> Evidence:
    groups: dict[int, list[str]] = {}
    for row, first in enumerate(firsts):
        groups.setdefault(first, []).append(rows[row][0].label)
    half = model.half_width
    return Evidence(
        k=sum(model.family),
        references=len(model.family),
        blocks=model.blocks,
        df=model.df,
        s=None if model.s is None else _rounded(model.s),
        c=None if model.critical is None else _rounded(model.critical),
        half_width=None if half is None else _rounded(half),
        blocks_for_one_point=model.blocks_to_show(1.0),
        same=tuple(tuple(sorted(own)) for own in groups.values() if len(own) > 1),
    )
