"""Published numbers of a pair beside those of a grid."""

import collections
from collections.abc import Sequence

from comparison.report import published
from comparison.report.parts import Heading, Paragraph, Part, TextTable
from comparison.report.published import Fact
from comparison.report.summary import Pair, percent
from comparison.report.tables import MISSING, mean_std


def facts(pair: Pair) -> tuple[Fact, ...]:
    """What is published of a pair on its data set."""
    if not pair.teacher:
        return ()
    teacher = _net(pair, "teacher", pair.teacher)
    return published.of_pair(pair.dataset, teacher, _net(pair, "student", pair.student))


def section(pair: Pair) -> list[Part]:
    """The section."""
    heading, found = Heading(3, "Published"), facts(pair)
    if not found:
        none = "No published number is known of these two nets on this data set."
        return [heading, Paragraph(none)]
    return [heading, _table(pair, found), Paragraph(_note(pair))]


def _note(pair: Pair) -> str:
    return (
        "Published test accuracies in %, each with its source's recipe, seeds and "
        "choice of the epoch. Beside them this grid's last "
        f"epoch with {percent(pair.tables[0].fraction)} of the training data."
    )


def _table(pair: Pair, found: Sequence[Fact]) -> TextTable:
    key = published.dataset_key(pair.dataset)
    student = published.net_key(_net(pair, "student", pair.student), key)
    header = ("Method", "Published as", "Published", "Here", "Source", "Note")
    rows = []
    for fact in found:
        method = published.method_key(fact.method)
        is_teacher = (
            not fact.teacher and published.net_key(fact.student, key) != student
        )
        nets = " to ".join(filter(None, (fact.teacher, fact.student)))
        number = MISSING if fact.accuracy is None else f"{fact.accuracy:.2f}"
        rows.append(
            (
                "teacher alone" if is_teacher else method,
                f"{fact.method}, {nets}",
                number,
                MISSING if is_teacher else _here(pair, method),
                fact.source,
                fact.note or MISSING,
            )
        )
    return TextTable(header, tuple(rows), words=(0, 1, 4, 5))


def _here(pair: Pair, method: str) -> str:
    """The grid's number, unless it has several settings of the method."""
    rows = pair.tables[0].rows
    names = (published.method_key(row.records[0].method_name) for row in rows)
    own = [row for row, name in zip(rows, names, strict=True) if name == method]
    if len(own) > 1:
        return f"{len(own)} settings"
    return mean_std(own[0].last) if own else MISSING


def _net(pair: Pair, role: str, name: str) -> str:
    """A net's name by the results, because the grid may name a file."""
    of_role = ((record.result or {}).get(role) for record in pair.records)
    names = collections.Counter(entry["net"] for entry in of_role if entry)
    return names.most_common(1)[0][0] if names else name
