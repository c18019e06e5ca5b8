"""Records grouped into tables: one for each pair of nets and share of the data."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence

from comparison.grid.record import FINISHED, Record
from comparison.report import differences
from comparison.report.differences import Difference, Evidence
from comparison.report.references import ALONE, baseline
from comparison.report.spread import Spread


@dataclasses.dataclass(frozen=True)
class Row:
    """A method with its hyperparameters, over seeds.

    Attributes:
        records: planned cells, by seed.
        difference: of the last accuracy to the reference; None for the reference.
        relative_seconds: those of training over those of the student alone that it is
            compared with, the mean over the seeds that both have.
    """

    records: tuple[Record, ...]
    difference: Difference | None = None
    relative_seconds: float | None = None

    @property
    def label(self) -> str:
        """The method with what is varied of it."""
        return self.records[0].label

    @property
    def method(self) -> str:
        """The method's label in the grid."""
        return self.records[0].method

    @property
    def finished(self) -> tuple[Record, ...]:
        """The cells that have numbers."""
        return tuple(r for r in self.records if r.state == FINISHED)

    @functools.cached_property
    def last(self) -> Spread:
        """Test accuracy at the last epoch, 0 to 1."""
        return self.over_seeds(lambda record: record.last)

    @functools.cached_property
    def best(self) -> Spread:
        """Test accuracy at the epoch that is best on the validation split, 0 to 1."""
        return self.over_seeds(lambda record: record.best)

    @functools.cached_property
    def validation(self) -> Spread:
        """Accuracy on the validation split at its best epoch, 0 to 1."""
        return self.over_seeds(lambda record: record.best_validation)

    @functools.cached_property
    def seconds(self) -> Spread:
        """Of training."""
        return self.over_seeds(lambda record: record.seconds)

    def over_seeds(self, number: Callable[[Record], float | None]) -> Spread:
        """The spread of what the finished cells have of a number."""
        values = [number(record) for record in self.finished]
        return Spread.of([value for value in values if value is not None])


@dataclasses.dataclass(frozen=True)
class Table:
    """What is compared with each other: the same data and nets.

    Attributes:
        fraction: share of the training data.
        rows: the student alone first, then by accuracy, the unfinished last.
        evidence: what the rows' differences rest on.
        reference: label or method of the rows that the others are compared with.
    """

    dataset: str
    teacher: str
    student: str
    fraction: float
    rows: tuple[Row, ...]
    evidence: Evidence
    reference: str = ALONE


@dataclasses.dataclass(frozen=True)
class Pair:
    """All tables of a data set and two nets; the largest fraction first."""

    dataset: str
    teacher: str
    student: str
    tables: tuple[Table, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """All cells."""
        rows = (row for table in self.tables for row in table.rows)
        return tuple(record for row in rows for record in row.records)


@dataclasses.dataclass(frozen=True)
class Trials:
    """What a search found for a method.

    Attributes:
        method: its label.
        planned: rows.
        finished: those of which all seeds are finished.
        best: of these the one with the highest validation accuracy; None without any.
    """

    method: str
    planned: int
    finished: int
    best: Row | None


def trials(table: Table) -> list[Trials]:
    """Of each method of which something is varied."""
    varied = [row for row in table.rows if row.records[0].varied]
    found = []
    for method in dict.fromkeys(row.method for row in varied):
        own = [row for row in varied if row.method == method]
        whole = [row for row in own if len(row.finished) == len(row.records)]
        whole = [row for row in whole if row.validation.mean is not None]
        best = max(whole, key=lambda row: row.validation.mean, default=None)
        found.append(Trials(method, len(own), len(whole), best))
    return found


def pairs(records: Sequence[Record], reference: str = ALONE) -> tuple[Pair, ...]:
    """The grid's pairs in the order in which they first occur.

    What was trained without a teacher belongs to every pair with its student.

    Args:
        records: of the grid.
        reference: label or method of the rows that the others are compared with.
    """
    members: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.teacher:
            members.setdefault((record.dataset, record.teacher, record.student), [])
    for record in records:
        of_nets = (record.dataset, record.student)
        homes = [k for k in members if (k[0], k[2]) == of_nets and k[1]]
        if record.teacher:
            homes = [(record.dataset, record.teacher, record.student)]
        for home in homes or [(record.dataset, "", record.student)]:
            members.setdefault(home, []).append(record)
    return tuple(
        Pair(*key, tuple(_table(key, own, reference) for own in _by_fraction(found)))
        for key, found in members.items()
    )


def _by_fraction(records: Iterable[Record]) -> list[list[Record]]:
    found: dict[float, list[Record]] = {}
    for record in records:
        found.setdefault(record.fraction, []).append(record)
    return [found[fraction] for fraction in sorted(found, reverse=True)]


def _table(
    key: tuple[str, str, str], records: Sequence[Record], reference: str
) -> Table:
    cells: dict[str, list[Record]] = {}
    for record in records:
        cells.setdefault(record.label, []).append(record)
    # In an order of their own, so that sums round alike whatever the records' order.
    rows = [sorted(cells[label], key=lambda r: r.seed) for label in sorted(cells)]
    found, evidence = differences.of_table(rows, reference)
    rows = [
        Row(tuple(own), difference, _relative_seconds(own, records))
        for own, difference in zip(rows, found, strict=True)
    ]
    rows = tuple(sorted(rows, key=_place))
    return Table(*key, records[0].fraction, rows, evidence, reference)


def _place(row: Row) -> tuple:
    mean = row.last.mean
    return row.method != ALONE, math.inf if mean is None else -mean, row.label


def _relative_seconds(own: Sequence[Record], records: Sequence[Record]) -> float | None:
    pairs = ((record, baseline(record, records)) for record in own)
    shares = [
        record.seconds / alone.seconds
        for record, alone in pairs
        if alone is not None and record.seconds and alone.seconds
    ]
    return Spread.of(shares).mean


def percent(fraction: float) -> str:
    """A share of the data, such as "10 %"."""
    return f"{100 * fraction:g} %"
