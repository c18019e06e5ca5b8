"""The report's sections, for Markdown and HTML alike."""

from collections.abc import Iterator, Sequence

from comparison.grid.record import FAILED, FINISHED, Record
from comparison.report import (
    accuracy_table,
    conditions,
    published_table,
    replication,
    summary,
    tables,
)
from comparison.report.parts import Code, Heading, Paragraph, Part, Plot, TextTable
from comparison.report.plots import accuracy, cost, drawing, heat_map
from comparison.report.summary import Pair, percent

# A condition's labels are listed up to here.
_MANY = 8


def parts(
    records: Sequence[Record],
    *,
    title: str,
    command: str,
    published: bool,
    searched: bool,
    reference: str,
) -> list[Part]:
    """All sections in their order."""
    pairs = summary.pairs(records, reference)
    found: list[Part] = [Heading(1, title), Paragraph(_overview(records))]
    if command:
        found.append(Code(command))
    found += map(Paragraph, replication.sentences(records))
    found += _unequal(pairs)
    for pair in pairs:
        found += _pair(pair, published, searched)
    return [*found, *_conditions(pairs), *_missing(records)]


def _overview(records: Sequence[Record]) -> str:
    finished = sum(record.state == FINISHED for record in records)
    failed = sum(record.state == FAILED for record in records)
    missing = len(records) - finished - failed
    text = f"{len(records)} cells: {finished} finished, {failed} failed, "
    text += f"{missing} not finished"
    return f'{text}; see "Missing".' if failed or missing else f"{text}."


def _pair(pair: Pair, published: bool, searched: bool) -> Iterator[Part]:
    yield Heading(2, tables.pair_name(pair.dataset, pair.teacher, pair.student))
    if teacher := tables.teacher(pair):
        yield Paragraph(teacher)
    if searched and (best := tables.best_trials(pair)).rows:
        yield Heading(3, "Search")
        yield best
        yield Paragraph(
            "Accuracy in % on the validation split at its best epoch, mean ± sample "
            "standard deviation over seeds: it alone chooses. The test accuracy of a "
            "chosen trial, below, is no fair result; train it again with other seeds."
        )
    for table in pair.tables:
        yield Heading(3, f"{percent(table.fraction)} of the training data")
        yield accuracy_table.accuracy(table)
        yield Paragraph(accuracy_table.evidence(table))
    yield Paragraph(accuracy_table.note(pair.tables[0].reference))
    if len(pair.tables) > 1:
        yield Heading(3, "Across fractions")
        yield tables.across(pair)
        yield Paragraph(
            "Test accuracy in % after the last epoch, mean ± sample standard deviation "
            "over the finished seeds, by the share of the training data."
        )
    yield from _plots(pair)
    if published:
        yield from published_table.section(pair)
    for table in pair.tables:
        yield Heading(3, f"Costs with {percent(table.fraction)} of the training data")
        yield tables.costs(table)
    yield Paragraph(tables.COST_NOTE)


def _plots(pair: Pair) -> list[Part]:
    looks = drawing.looks(pair)
    greys = sum(not look.is_named for look in looks.values())
    split = "on the validation split" if drawing.by_validation(pair) else "in the test"
    grey = f" Grey: all but the eight best {split}." if greys else ""
    found = [
        (
            accuracy.over_fraction(pair, looks),
            f"Accuracy over the training data.{grey}",
        ),
        (
            accuracy.learning_curves(pair, looks),
            "Learning curves, mean over the finished seeds; lower accuracies of the "
            f"first quarter are cut off.{grey}",
        ),
    ]
    for table in pair.tables:
        share = f"{percent(table.fraction)} of the training data"
        text = f"Accuracy over training time, {share}. A name without room is left out."
        if any(record.reads_cache for row in table.rows for record in row.records):
            text += " Some took the teacher's outputs from its cache: see the costs."
        found.append((cost.over_cost(table, looks), text))
        for method, figure in heat_map.heat_maps(table):
            text = (
                f"{method}: accuracy over its two settings, {share}; hatched: missing."
            )
            found.append((figure, text))
    drawn = [Plot(drawing.svg(figure), text) for figure, text in found if figure]
    return [Heading(3, "Plots"), *drawn] if drawn else []


def _unequal(pairs: Sequence[Pair]) -> list[Part]:
    rows = [
        (
            tables.pair_name(pair.dataset, pair.teacher, pair.student),
            name,
            value,
            _few(own),
        )
        for pair in pairs
        for name, values in conditions.unequal(pair.records).items()
        for value, own in values.items()
    ]
    if not rows:
        return []
    return [
        Heading(2, "Unequal conditions"),
        Paragraph(
            "These cells were not trained under equal conditions, although the grid "
            "does not vary them: their differences may come from that."
        ),
        TextTable(
            ("Pair", "Condition", "Value", "Cells of"), tuple(rows), (0, 1, 2, 3)
        ),
    ]


def _few(labels: Sequence[str]) -> str:
    more = len(labels) - _MANY
    return ", ".join(labels[:_MANY]) + (f" and {more} more" if more > 0 else "")


def _conditions(pairs: Sequence[Pair]) -> list[Part]:
    """What all finished cells have in common."""
    records = [record for pair in pairs for record in pair.records]
    varied = set().union(*(record.varied_names for record in records))
    rows = [
        (name, next(iter(values)))
        for name, values in conditions.settings(records).items()
        if len(values) == 1 and name not in varied
    ]
    if not rows:
        return []
    heading = Heading(2, "Conditions of all finished cells")
    return [heading, TextTable(("Condition", "Value"), tuple(rows), words=(0, 1))]


def _missing(records: Sequence[Record]) -> list[Part]:
    failed, missing = tables.failed(records), tables.unfinished(records)
    count = sum(record.state not in (FAILED, FINISHED) for record in records)
    text = f"{len(failed.rows)} failed, {count} not finished."
    if not records:
        text = "The grid has no cells."
    elif not failed.rows and not count:
        text = "Nothing: all cells are finished."
    found = [table for table in (failed, missing) if table.rows]
    return [Heading(2, "Missing"), Paragraph(text), *found]
