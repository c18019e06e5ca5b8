"""A method's accuracy over two hyperparameters."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from comparison.report.plots.drawing import shown
from comparison.report.summary import Row, Table, percent


def heat_maps(table: Table) -> list[tuple[str, Figure]]:
    """(method, its map) for each of which exactly two things vary, and have numbers.

    The trials of a search vary, too, but fill no grid.
    """
    methods = dict.fromkeys(row.method for row in table.rows)
    found = []
    for method in methods:
        rows = [row for row in table.rows if row.method == method]
        names = varying(rows)
        is_grid = 2 * len(rows) > math.prod(map(len, names.values()))
        if len(names) == 2 and is_grid and any(row.last.n for row in rows):
            found.append((method, _heat_map(table, rows, names)))
    return found


def varying(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What has two values or more in the rows of a method -> its values, in order."""
    values: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in row.records[0].varied:
            values.setdefault(name, {})[value] = None
    return {
        n: sorted(found, key=_order) for n, found in values.items() if len(found) > 1
    }


def _order(value: str) -> tuple:
    """Numbers by size, before other texts."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _heat_map(table: Table, rows: Sequence[Row], names: dict[str, list[str]]) -> Figure:
    (down, ys), (along, xs) = names.items()
    grid = np.full((len(ys), len(xs)), np.nan)
    for row in rows:
        varied = dict(row.records[0].varied)
        if row.last.n and down in varied and along in varied:
            grid[ys.index(varied[down]), xs.index(varied[along])] = 100 * row.last.mean
    size = (min(10.5, 2.6 + 0.95 * len(xs)), 1.4 + 0.5 * len(ys))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid, cmap="cividis", aspect="auto")
    axes.set_xticks(range(len(xs)), [shown(x) for x in xs])
    axes.set_yticks(range(len(ys)), [shown(y) for y in ys])
    axes.set(xlabel=shown(along), ylabel=shown(down))
    title = f"{shown(rows[0].method)}, {percent(table.fraction)} of the data"
    axes.set_title(title, fontsize=10)
    middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
    for (y, x), value in np.ndenumerate(grid):
        if np.isnan(value):
            box = Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="///", lw=0)
            axes.add_patch(box)
            continue
        colour = "white" if value < middle else "black"
        axes.text(x, y, f"{value:.2f}", color=colour, ha="center", va="center")
    figure.colorbar(image, label="test accuracy, %")
    return figure
