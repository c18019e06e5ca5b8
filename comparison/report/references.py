"""Which row of a table another is compared with, and which rows are one."""

from collections.abc import Iterable, Sequence

import distiller
from common.errors import wrong
from comparison.grid.record import FINISHED, Record
from comparison.report.conditions import OF_METHOD, OF_TEACHER

ALONE = "none"  # the method of the student alone


def resolve(name: str, records: Sequence[Record]) -> str:
    """A reference as the grid's rows spell it: the label of a row, or its method.

    Args:
        name: as a user wrote it, perhaps an alias such as "KD".
        records: of the grid; they need not be finished.

    Raises:
        ValueError: no row is called so, or several that no other row goes with.
    """
    labels = list(dict.fromkeys(record.label for record in records))
    methods = {record.method for record in records}
    for found in (name, _canonical(name)):
        if found in labels:
            return found
        if found in methods:
            _check_compares(found, records, name)
            return found
    raise wrong(
        "What to compare with is no row", choices=labels, received=f"--reference={name}"
    )


def _canonical(label: str) -> str:
    """The label with its method's canonical name."""
    method, space, varied = label.partition(" ")
    try:
        return distiller.resolve(method).name + space + varied
    except ValueError:
        return label


def _check_compares(method: str, records: Sequence[Record], name: str) -> None:
    """Raises ValueError if of a method's rows none is what another one goes with."""
    own = [record for record in records if record.method == method]
    if any(counterpart(r, own) for r in records if r.method != method):
        return
    labels = dict.fromkeys(record.label for record in own)
    raise wrong(
        f"{method} has several rows", choices=labels, received=f"--reference={name}"
    )


def is_reference(record: Record, name: str) -> bool:
    """Whether rows may be compared with the record's."""
    return name in (record.label, record.method)


def row_of(own: Record, references: Iterable[Record], name: str) -> Record | None:
    """The reference that a row is compared with.

    Args:
        own: a cell of the row, a finished one if there is any.
        references: such a cell of each row that `is_reference`.
        name: as `resolve` gave it. A label with what is varied means that very row.
    """
    references = list(references)
    exact = [record for record in references if record.label == name and record.varied]
    return exact[0] if exact else counterpart(own, references)


def counterpart(own: Record, others: Iterable[Record]) -> Record | None:
    """Of other rows' cells the one that differs in the method alone.

    It varies nothing that the cell does not, and has the settings of the recipe that
    the cell varies; among several it is the one that shares most with it.
    """
    found = [
        other
        for other in others
        if set(other.varied) <= set(own.varied) and _shares_recipe(other, own)
    ]
    return max(found, key=lambda other: len(other.varied), default=None)


def baseline(record: Record, records: Iterable[Record]) -> Record | None:
    """The student alone whose costs a cell's are compared with.

    It is the `counterpart` with the same data, student and seed.
    """
    place = (record.dataset, record.student, record.fraction, record.seed)
    alone = [
        other
        for other in records
        if other.method == ALONE
        and (other.dataset, other.student, other.fraction, other.seed) == place
    ]
    return counterpart(record, alone)


def _shares_recipe(other: Record, own: Record) -> bool:
    """Whether both were trained with the same values of what the record varies."""
    if not (other.result and own.result):
        return True
    mine, theirs = own.result["settings"], other.result["settings"]
    return all(
        mine[name] == theirs[name]
        for name in own.varied_names & mine.keys() & theirs.keys()
        if name not in OF_METHOD and not name.startswith(OF_TEACHER)
    )


def are_one(row: Sequence[Record], other: Sequence[Record]) -> bool:
    """Whether two rows have the same students: one run twice is no second comparison.

    They have finished cells with the same seeds, and their students' digests are equal;
    where one has none, as of earlier versions, all of their metrics.
    """
    mine, theirs = (
        {record.seed: record for record in records if record.state == FINISHED}
        for records in (row, other)
    )
    return (
        bool(mine)
        and mine.keys() == theirs.keys()
        and all(_same_student(mine[seed], theirs[seed]) for seed in mine)
    )


def _same_student(record: Record, other: Record) -> bool:
    if record.last != other.last:
        return False
    students = [dict(r.result["student"]) for r in (record, other)]
    digests = [student.pop("weights_sha256", None) for student in students]
    if None not in digests:
        return digests[0] == digests[1]
    best = [r.result["best_on_validation"] for r in (record, other)]
    curves = [[row.get("test_accuracy") for row in r.rows] for r in (record, other)]
    return all(a == b for a, b in (students, best, curves))
