"""Accuracy over what the training costs, every method with its name beside it."""

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from comparison.report.plots.drawing import Look, drawn, shown
from comparison.report.summary import Row, Table, percent

_SIZE = (10.5, 6)  # inches
_DPI = 72  # of SVG, so that texts are measured as they are drawn
_GREY_TEXT = "#4a5159"
_POINT = 4  # half of a point's width in pixels
_DISTANCES = (6, 16, 28, 42, 58)  # of a name from its point, in pixels
_LEADER = 10  # a name further away has a line to its point
_DIRECTIONS = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7),
    (-0.7, -0.7), (0.9, 0.4), (0.9, -0.4), (-0.9, 0.4), (-0.9, -0.4),
)  # fmt: skip
_TICKS = tuple(
    digit * 10.0**power
    for power in range(-3, 9)
    for digit in (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8)
)
_MANY_TICKS = 9


def over_cost(table: Table, looks: Mapping[str, Look]) -> Figure | None:
    """Mean last accuracy over training seconds; None if no cell has both.

    The seconds are relative to the student alone if all have one to compare with.
    """
    rows = [row for row in drawn(table.rows) if row.seconds.n and row.seconds.mean > 0]
    if not rows:
        return None
    is_relative = all(row.relative_seconds for row in rows)
    figure = Figure(figsize=_SIZE, dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.1, 0.9, 0.82))
    seconds = [
        row.relative_seconds if is_relative else row.seconds.mean for row in rows
    ]
    places = [(x, 100 * row.last.mean) for x, row in zip(seconds, rows, strict=True)]
    for row, (x, y) in zip(rows, places, strict=True):
        look = looks[row.label]
        axes.plot(x, y, look.marker, color=look.colour, markersize=6, zorder=look.order)
    axes.set_xscale("log")
    axes.margins(0.1)
    axes.autoscale_view()
    _ticks(axes)
    title = f"{percent(table.fraction)} of the training data"
    cost = "student alone = 1" if is_relative else "seconds"
    axes.set_title(title, fontsize=10)
    axes.set(xlabel=f"training time, {cost}", ylabel="test accuracy, last epoch, %")
    axes.grid(alpha=0.3)
    _name(axes, rows, places, looks)
    return figure


def _ticks(axes) -> None:
    low, high = axes.get_xlim()
    inside = [tick for tick in _TICKS if low <= tick <= high]
    if len(inside) > _MANY_TICKS:
        whole = {10.0**power * digit for power in range(-3, 9) for digit in (1, 2, 5)}
        inside = [tick for tick in inside if tick in whole]
    axes.set_xticks(inside, [f"{tick:g}" for tick in inside])
    axes.set_xticks([], minor=True)


def _name(axes, rows: Sequence[Row], places, looks: Mapping[str, Look]) -> None:
    """Writes the names where they cover neither points nor each other.

    The named ones choose first. A name that finds no room is left out.
    """
    pixels = [axes.transData.transform(place) for place in places]
    taken = [_box(x, y, _POINT, _POINT) for x, y in pixels]
    bounds = axes.get_window_extent()
    order = sorted(range(len(rows)), key=lambda i: not looks[rows[i].label].is_named)
    for i in order:
        look = looks[rows[i].label]
        text = Text(0, 0, shown(rows[i].label), fontsize=8.5, va="center", ha="center")
        text.set_color(look.colour if look.is_named else _GREY_TEXT)
        text.set_figure(axes.figure)
        size = text.get_window_extent(axes.figure.canvas.get_renderer())
        box, distance = _free(pixels[i], size.width, size.height, taken, bounds)
        if box is None:
            continue
        taken.append(box)
        # After its measure, or the axes would move the text by their own transform.
        center = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        x, y = axes.transData.inverted().transform(center)
        text.set_position((x, y))
        text.set_zorder(5)
        axes.add_artist(text)
        text.set_transform(axes.transData)
        if distance > _LEADER:
            _leader(axes, places[i], box, pixels[i])


def _leader(axes, place, box: Bbox, pixel) -> None:
    nearest = (
        min(max(pixel[0], box.x0), box.x1),
        min(max(pixel[1], box.y0), box.y1),
    )
    end = axes.transData.inverted().transform(nearest)
    axes.plot(*zip(place, end, strict=True), color="#8b949e", linewidth=0.6, zorder=1.5)


def _free(pixel, width, height, taken: Sequence[Bbox], bounds: Bbox):
    """The first place near a point that is free, and its distance; None, 0."""
    for distance, (dx, dy) in itertools.product(_DISTANCES, _DIRECTIONS):
        x = pixel[0] + dx * (distance + width / 2)
        y = pixel[1] + dy * (distance + height / 2)
        box = _box(x, y, width / 2 + 1, height / 2)
        inside = bounds.x0 < box.x0 and box.x1 < bounds.x1
        inside = inside and bounds.y0 < box.y0 and box.y1 < bounds.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return box, distance
    return None, 0


def _box(x: float, y: float, half_width: float, half_height: float) -> Bbox:
    return Bbox(((x - half_width, y - half_height), (x + half_width, y + half_height)))
