"""The report's table of accuracies and differences, and what they rest on."""

from comparison.report.differences import Difference, Evidence
from comparison.report.parts import TextTable
from comparison.report.references import ALONE
from comparison.report.summary import Row, Table
from comparison.report.tables import MISSING, mean_std, seeds


def accuracy(table: Table) -> TextTable:
    """Accuracies and the differences to the reference."""
    to = "student alone" if table.reference == ALONE else table.reference
    header = (
        "Method", "Seeds", "Last epoch", "Best on validation", f"To {to}", "SE",
        "95 % interval", "p",
    )  # fmt: skip
    return TextTable(header, tuple(map(_row, table.rows)))


def _row(row: Row) -> tuple[str, ...]:
    start = (row.label, seeds(row), mean_std(row.last), mean_std(row.best))
    found = row.difference
    if found is None:
        return *start, "reference", "", "", ""
    se = MISSING if found.se is None else f"{found.se:.2f}"
    return *start, points(found.points), se, interval(found), probability(found.p)


def note(reference: str) -> str:
    """What the columns are."""
    to = "the student alone" if reference == ALONE else "the reference"
    return (
        "Test accuracy in %, mean ± sample standard deviation over the finished seeds "
        "(of the planned ones): after the last epoch, and at the epoch that was best "
        "on the validation split; test accuracy never chooses an epoch. The "
        f'difference to {to} ("{reference}") is that of the last epoch in points, by '
        "least squares with one effect for each row and one for each block, which is "
        "a seed that all rows share. Its standard error (SE) is of the spread s of "
        "the whole table, or of a row's own where that is larger. The intervals are "
        "simultaneous: with a probability of 95 % all of a table hold together; p is "
        "adjusted likewise (Dunnett), so that below 0.05 a difference is more than "
        f"chance, whichever row one looks at. {MISSING} is a number that is missing."
    )


def evidence(table: Table) -> str:
    """The sentences under a table."""
    found = table.evidence
    parts = [_spread(found, table.reference)]
    for labels in found.same:
        parts.append(
            f"The students of {_listed(labels)} are equal: they count as one row."
        )
    return " ".join(parts)


def _spread(found: Evidence, reference: str) -> str:
    if not found.k:
        of = "the student alone" if reference == ALONE else f'"{reference}"'
        return f"No finished cells of {of} and another row can be compared."
    if found.df < 1:
        return (
            f"{_count(found.blocks, 'block')}, too few cells to know their spread: no "
            "interval, no p."
        )
    if found.c is None:
        return "The cells show no spread at all, which is not believed: no interval."
    families = f" with {found.references} references" if found.references > 1 else ""
    text = (
        f"Spread of a cell, row and block taken out: s = {found.s:.2f} points, with "
        f"{_count(found.df, 'degree')} of freedom. For "
        f"{_count(found.k, 'difference')}{families} an interval is c = {found.c:.2f} "
        f"standard errors to each side. The smallest difference that "
        f"{_count(found.blocks, 'block')} can show, c s sqrt(2 / {found.blocks}), is "
        f"{found.half_width:.2f} points"
    )
    more = found.blocks_for_one_point
    return f"{text}; {more} blocks would show 1 point." if more else f"{text}."


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def _listed(labels: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))


def points(value: float | None) -> str:
    """A difference with its sign."""
    # Adding 0 takes the sign off a rounded -0.
    return MISSING if value is None else f"{round(value, 2) + 0.0:+.2f}"


def interval(found: Difference) -> str:
    """Such as "-0.12 to +1.30"."""
    if found.low is None:
        return MISSING
    return f"{points(found.low)} to {points(found.high)}"


def probability(p: float | None) -> str:
    """Three digits."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
