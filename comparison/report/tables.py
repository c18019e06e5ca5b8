"""The report's tables as texts."""

import statistics
from collections.abc import Sequence

from comparison.grid.record import FAILED, FINISHED, Record
from comparison.report import summary
from comparison.report.parts import TextTable
from comparison.report.spread import Spread
from comparison.report.summary import Pair, Row, Table, percent

MISSING = "—"

COST_NOTE = (
    "Epochs are those of all phases; passes are forward passes that were run for each "
    "training image, the mean over epochs and seeds; seconds are of training alone, "
    "without evaluation, and depend on the machine and on what else it did, also "
    "relative to those of the student alone; the last column is all that the method "
    "was given. What a row took from the teacher cache, the teacher did not compute "
    "again. What filled the cache is not in the seconds, so that they compare only "
    "with those of rows that took as much from it."
)


def teacher(pair: Pair) -> str | None:
    """The fixed teacher's accuracy in words; None if no result has one."""
    entries = [
        record.result.get("teacher")
        for record in pair.records
        if record.has_fixed_teacher  # One that learns along is another each time.
    ]
    found = _all((100 * entry["top1"] for entry in entries if entry), ".2f")
    return None if found == MISSING else f"The teacher's test accuracy is {found} %."


def costs(table: Table) -> TextTable:
    """What a method takes; apart, because seconds differ from machine to machine."""
    header = (
        "Method", "Epochs", "Student passes", "Teacher passes", "Seconds",
        "Relative", "Parameters", "Non-trainable", "Multiply-accumulates",
        "Hyperparameters",
    )  # fmt: skip
    rows = tuple(map(_cost_row, table.rows))
    return TextTable(header, rows, words=(0, len(header) - 1))


def _cost_row(row: Row) -> tuple[str, ...]:
    own, mean = row.finished, row.seconds.mean
    students = [(r.result or {}).get("student") or {} for r in own]
    return (
        row.label,
        _all(r.epochs for r in own),
        _passes(own, "student"),
        _teacher_passes(own),
        MISSING if mean is None else f"{mean:.1f}" if mean < 100 else f"{mean:.0f}",
        MISSING if row.relative_seconds is None else f"{row.relative_seconds:.2f}",
        _all((net.get("parameters") for net in students), ",d"),
        _all((net.get("non_trainable_parameters") for net in students), ",d"),
        _all((net.get("multiply_accumulates") for net in students), ",d"),
        _all(map(hyperparameters, own), ""),
    )


def _passes(records: Sequence[Record], role: str) -> str:
    """The mean over the cells, such as "0.83"."""
    found = [(record.forward_passes or {}).get(role) for record in records]
    found = [count for count in found if count is not None]
    if not found:
        return MISSING
    mean = statistics.fmean(found)
    if 0 < mean < 0.005:
        return "less than 0.01"
    return f"{mean:.2f}".rstrip("0").rstrip(".")


def _teacher_passes(records: Sequence[Record]) -> str:
    """Those that were run, and whether others were not because of the cache."""
    own = _passes(records, "teacher")
    if own == MISSING or not any(record.reads_cache for record in records):
        return own
    if own == "0":
        return "none: all from the cache"
    return f"{own} an image, the rest from the cache"


def across(pair: Pair) -> TextTable:
    """Last accuracies of a pair: a row a method, a column a fraction."""
    labels = dict.fromkeys(row.label for table in pair.tables for row in table.rows)
    cells = [{row.label: row.last for row in table.rows} for table in pair.tables]
    header = ("Method", *(percent(table.fraction) for table in pair.tables))
    rows = ((n, *(mean_std(own.get(n, Spread(0))) for own in cells)) for n in labels)
    return TextTable(header, tuple(rows))


def best_trials(pair: Pair) -> TextTable:
    """Of each method that has several rows, the one with the best validation mean."""
    rows = []
    for table in pair.tables:
        for own in summary.trials(table):
            best = own.best
            found = (best.label, mean_std(best.validation)) if best else (MISSING,) * 2
            count = f"{own.finished} of {own.planned}"
            rows.append((own.method, percent(table.fraction), count, *found))
    header = ("Method", "Training data", "Trials", "Best trial", "Validation")
    return TextTable(header, tuple(rows), words=(0, 3))


def failed(records: Sequence[Record]) -> TextTable:
    """The cells that failed, and why."""
    rows = ((name(r), r.reason or MISSING) for r in records if r.state == FAILED)
    return TextTable(("Failed cell", "Reason"), tuple(rows), words=(0, 1))


def unfinished(records: Sequence[Record]) -> TextTable:
    """The cells that did not end; those that differ in the seed only share a row."""
    seeds: dict[str, list[int]] = {}
    for record in records:
        if record.state not in (FAILED, FINISHED):
            seeds.setdefault(_place(record), []).append(record.seed)
    rows = ((n, ", ".join(map(str, sorted(own)))) for n, own in seeds.items())
    return TextTable(("Missing cells", "Seeds"), tuple(rows), words=(0, 1))


def name(record: Record) -> str:
    """A cell in words."""
    return f"{_place(record)}, seed {record.seed}"


def _place(record: Record) -> str:
    nets = pair_name(record.dataset, record.teacher, record.student)
    return f"{nets}, {percent(record.fraction)}, {record.label}"


def pair_name(dataset: str, teacher: str, student: str) -> str:
    """Such as "cifar10: resnet56 to resnet8"."""
    return f"{dataset}: {teacher} to {student}" if teacher else f"{dataset}: {student}"


def seeds(row: Row) -> str:
    """Finished of planned."""
    return f"{len(row.finished)} of {len(row.records)}"


def mean_std(found: Spread) -> str:
    """Shares as %, such as "64.05 ± 0.31"."""
    if found.mean is None:
        return MISSING
    std = MISSING if found.std is None else f"{100 * found.std:.2f}"
    return f"{100 * found.mean:.2f} ± {std}"


def hyperparameters(record: Record) -> str | None:
    """All of the method's, and the weight of the labels' loss."""
    if record.hyperparameters is None:
        return None
    weight = record.result["settings"].get("task_weight")
    last = () if weight is None else (f"task_weight={weight:g}",)
    return ", ".join((*record.hyperparameters, *last)) or None


def _all(values, form: str = "g") -> str:
    """The values that there are, once each."""
    texts = [format(value, form) for value in values if value is not None]
    return " or ".join(dict.fromkeys(texts)) or MISSING
