"""Plots of a pair: accuracy over the share of the data, and learning curves."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparison.report.plots.drawing import Look, drawn, legend
from comparison.report.spread import Spread
from comparison.report.summary import ALONE, Pair, Row, percent

_WIDTH = 10.5  # inches; the page is as wide
_START = 25  # %; what is lower before that would flatten all that follows
_DODGE = 1.012  # between the error bars of two methods at one fraction


def over_fraction(pair: Pair, looks: Mapping[str, Look]) -> Figure | None:
    """Mean last accuracy over the fraction with standard deviations.

    None if there are not two fractions with numbers.
    """
    points: dict[str, list[tuple[float, Spread]]] = {}
    for table in reversed(pair.tables):
        for row in drawn(table.rows):
            points.setdefault(row.label, []).append((table.fraction, row.last))
    fractions = sorted({f for values in points.values() for f, _ in values})
    if len(fractions) < 2:
        return None
    figure = Figure(figsize=(_WIDTH, 5), layout="constrained")
    axes = figure.subplots()
    alone, handles = _alone(pair), {}
    for label, look in _in_order(looks, points):
        shift = _DODGE ** (len(handles) - 4) if look.is_named else 1
        style = "--" if label in alone else "-"
        handle = _draw_points(axes, points[label], look, shift, style)
        if look.is_named:
            handles[label] = handle
    axes.set_xscale("log")
    axes.set_xticks(fractions, [percent(fraction) for fraction in fractions])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="share of the training data", ylabel="test accuracy, last epoch, %")
    axes.grid(alpha=0.3)
    legend(figure, handles, len(points) - len(handles))
    return figure


def _draw_points(axes: Axes, points, look: Look, shift: float, style: str):
    """One method; only the named ones have error bars, or there would be too many."""
    stds = [math.nan if v.std is None else 100 * v.std for _, v in points]
    return axes.errorbar(
        [fraction * shift for fraction, _ in points],
        [100 * value.mean for _, value in points],
        stds if look.is_named else None,
        color=look.colour,
        marker=look.marker,
        markersize=5 if look.is_named else 3,
        linestyle=style,
        capsize=2,
        elinewidth=0.8,
        zorder=look.order,
    )


def learning_curves(pair: Pair, looks: Mapping[str, Look]) -> Figure | None:
    """Test accuracy over the training done, mean over seeds, one panel a fraction.

    None if no finished cell was evaluated on the way.
    """
    curves = {
        table.fraction: {
            row.label: line for row in drawn(table.rows) if (line := mean_curve(row))
        }
        for table in pair.tables
    }
    curves = {fraction: lines for fraction, lines in curves.items() if lines}
    if not curves:
        return None
    columns = min(2, len(curves))
    lines = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(_WIDTH, 4.2 * lines + 0.4), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flat
    handles: dict[str, object] = {}
    for axes, (fraction, found) in zip(panels, curves.items(), strict=False):
        handles |= _draw_curves(axes, found, looks, _alone(pair))
        axes.set_title(f"{percent(fraction)} of the training data", fontsize=10)
    for axes in list(panels)[len(curves) :]:
        axes.remove()
    for axes in figure.axes:
        axes.set(xlabel="training done, %", ylabel="test accuracy, %")
    names = {label for found in curves.values() for label in found}
    ordered = {n: handles[n] for n, _ in _in_order(looks, names) if n in handles}
    legend(figure, ordered, len(names) - len(ordered))
    return figure


def mean_curve(row: Row) -> list[tuple[float, float]]:
    """(training done, test accuracy) in % where all finished seeds were evaluated."""
    cells = [curve(record.rows) for record in row.finished]
    cells = [cell for cell in cells if cell]
    if not cells:
        return []
    common = set.intersection(*map(set, cells))
    return [
        (100 * done, 100 * Spread.of([cell[done] for cell in cells]).mean)
        for done in sorted(common)
    ]


def curve(rows: Sequence[Mapping[str, str]]) -> dict[float, float]:
    """Training done -> test accuracy, shares of 1, of a run's table of epochs."""
    return {
        int(row["step"]) / int(rows[-1]["step"]): float(row["test_accuracy"])
        for row in rows
        if "test_accuracy" in row
    }


def _draw_curves(
    axes: Axes,
    found: Mapping[str, Sequence[tuple[float, float]]],
    looks: Mapping[str, Look],
    alone: set[str],
) -> dict[str, object]:
    handles = {}
    for label, look in _in_order(looks, found):
        (line,) = axes.plot(
            *zip(*found[label], strict=True),
            color=look.colour,
            linestyle="--" if label in alone else "-",
            linewidth=1.6 if look.is_named else 0.8,
            marker=look.marker if len(found[label]) < 8 else "",
            markersize=4,
            zorder=look.order,
        )
        if look.is_named:
            handles[label] = line
    points = [point for line in found.values() for point in line]
    late = [y for x, y in points if x >= _START] or [y for _, y in points]
    low, high = min(late), max(late)
    axes.set_ylim(low - 0.05 * (high - low) - 0.5, high + 0.05 * (high - low) + 0.5)
    axes.grid(alpha=0.3)
    return handles


def _alone(pair: Pair) -> set[str]:
    rows = (row for table in pair.tables for row in table.rows)
    return {row.label for row in rows if row.method == ALONE}


def _in_order(looks: Mapping[str, Look], labels) -> list[tuple[str, Look]]:
    """The student alone, then the best; the grey ones at the end."""
    return [(label, look) for label, look in looks.items() if label in labels]
