"""What the plots share: colours of the methods, and an image in bytes."""

import dataclasses
import io

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from comparison.report.summary import ALONE, Pair, Row

# So many methods have a colour of their own; more are hard to tell apart.
# Mostly Okabe and Ito's, for all kinds of sight.
_COLOURS = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #7b3294 #56b4e9 #8c510a".split()
_MARKERS = "osD^vPX*"
OTHERS = "#b9c0c7"
_LONGEST = 44


@dataclasses.dataclass(frozen=True)
class Look:
    """How a method is drawn.

    Attributes:
        colour: of line and points.
        marker: a second sign beside the colour.
        is_named: whether it stands in the legend.
    """

    colour: str
    marker: str = "o"
    is_named: bool = True

    @property
    def order(self) -> int:
        """Named ones lie above the others."""
        return 3 if self.is_named else 2


def looks(pair: Pair) -> dict[str, Look]:
    """Label -> look: the student alone black, the best coloured, the others grey.

    A method has one look in all plots of a pair. The best are those that are furthest
    above the mean of their table, over all tables: on the validation split, because
    what is chosen by the test images looks better than it is.
    """
    choice = "validation" if by_validation(pair) else "last"
    gains: dict[str, list[float]] = {}
    for table in pair.tables:
        means = [getattr(row, choice).mean for row in drawn(table.rows)]
        for row in drawn(table.rows):
            if row.method != ALONE:
                gain = getattr(row, choice).mean - sum(means) / len(means)
                gains.setdefault(row.label, []).append(gain)
    best = sorted(gains, key=lambda name: (-sum(gains[name]) / len(gains[name]), name))
    rows = [row for table in pair.tables for row in table.rows]
    found = {row.label: Look("black") for row in rows if row.method == ALONE}
    for label, colour, marker in zip(best, _COLOURS, _MARKERS, strict=False):
        found[label] = Look(colour, marker)
    others = {r.label: Look(OTHERS, is_named=False) for r in rows if r.label in gains}
    return {**found, **{n: look for n, look in others.items() if n not in found}}


def by_validation(pair: Pair) -> bool:
    """Whether all that is drawn has a number on a validation split to choose by."""
    rows = (row for table in pair.tables for row in drawn(table.rows))
    return all(row.validation.n == row.last.n for row in rows)


def drawn(rows: tuple[Row, ...]) -> list[Row]:
    """Those that have a number; the others are in the tables only."""
    return [row for row in rows if row.last.n]


def shown(label: str) -> str:
    """A label as matplotlib shows it, of limited length."""
    text = " ".join(label.split())
    if len(text) > _LONGEST:
        # Both ends stay: hyperparameters, at the end, tell the cells apart.
        half = _LONGEST // 2
        text = f"{text[:half]}…{text[-half:]}"
    return literal(text)


def literal(text: str) -> str:
    """A text in which "$" begins no formula."""
    return text.replace("$", r"\$")


def legend(figure: Figure, handles: dict[str, object], greys: int) -> None:
    """A legend outside of the axes, in the order of the handles.

    Args:
        figure: with a constrained layout.
        handles: label -> line.
        greys: how many methods have no name in it.
    """
    texts = [shown(label) for label in handles]
    lines = list(handles.values())
    if greys:
        texts.append(f"{greys} other{'s' * (greys > 1)}")
        lines.append(Line2D([], [], color=OTHERS))
    if lines:
        figure.legend(
            lines, texts, loc="outside right upper", frameon=False, fontsize=9
        )


def svg(figure: Figure) -> bytes:
    """The figure as SVG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "comparison", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
