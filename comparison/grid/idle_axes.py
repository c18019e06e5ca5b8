"""What a grid varies without any effect on a method's runs."""

import dataclasses
from collections.abc import Sequence

from common.errors import wrong


def left_out(cells: Sequence) -> list:
    """The cells in their order, without what is varied to no effect.

    Otherwise one run would be several rows of a table, and count as several tests.

    Args:
        cells: `cells.Cell`s of a grid; their folders tell which runs are one.

    Raises:
        ValueError: two methods, or two values of what has an effect, give one run.
    """
    _check_methods_differ(cells)
    groups: dict[tuple, list] = {}
    for cell in cells:
        record = cell.record
        place = record.method, record.teacher, record.student
        groups.setdefault((*place, record.fraction, record.seed), []).append(cell)
    return [cell for own in groups.values() for cell in _of_method(own)]


def _of_method(cells: Sequence) -> Sequence:
    for name, _ in cells[0].record.varied:
        if _is_idle(name, cells):
            cells = _without(name, cells)
    _check_differ(cells)
    return cells


def _is_idle(name: str, cells: Sequence) -> bool:
    """Whether all values of what is called `name` give the same run."""
    folders: dict[tuple, set] = {}
    for cell in cells:
        folders.setdefault(_rest(name, cell), set()).add(cell.record.folder)
    several = len(cells) > len(folders)
    return several and all(len(own) == 1 for own in folders.values())


def _without(name: str, cells: Sequence) -> list:
    found = {}
    for cell in cells:
        record = dataclasses.replace(cell.record, varied=_rest(name, cell))
        found.setdefault(record, dataclasses.replace(cell, record=record))
    return list(found.values())


def _rest(name: str, cell) -> tuple:
    """What else is varied of the cell."""
    return tuple(pair for pair in cell.record.varied if pair[0] != name)


def _check_methods_differ(cells: Sequence) -> None:
    first = {}
    for cell in cells:
        other = first.setdefault(cell.record.folder, cell.record).method
        if other != cell.record.method:
            raise wrong(
                "Two methods of the grid are one run",
                expected="methods that differ",
                received=f"{other} and {cell.record.method}",
            )


def _check_differ(cells: Sequence) -> None:
    first = {}
    for cell in cells:
        other = first.setdefault(cell.record.folder, cell).record
        if other != cell.record:
            raise wrong(
                "Two values that are varied give one run",
                expected="values that differ",
                received=f"{other.label} and {cell.record.label}",
            )
