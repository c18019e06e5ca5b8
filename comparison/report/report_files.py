"""The report of a grid: Markdown, one HTML page, CSV and JSON."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from common import files
from comparison.grid.record import Record
from comparison.report import (
    data_files,
    markdown,
    page,
    published_table,
    sections,
    summary,
)
from comparison.report.references import ALONE

MARKDOWN, PAGE = "report.md", markdown.PAGE
CELLS, NUMBERS = "cells.csv", "report.json"


def write(
    records: Sequence[Record],
    folder: os.PathLike,
    *,
    title: str,
    command: str = "",
    published: bool = False,
    searched: bool = False,
    reference: str = ALONE,
) -> None:
    """Writes the report, at any time while a grid runs; each file is whole or old.

    Equal records give equal bytes. Only the tables of costs, and what is measured in
    seconds, differ between two equal grids.

    Args:
        records: of all cells, in the grid's order, finished or not.
        folder: where to; made if it is not there.
        title: of the report.
        command: with which it was made, to be shown.
        published: show published numbers of the same data and nets, too.
        searched: the rows of a method are trials; show the best of them.
        reference: label or method of the rows that the others are compared with, as
            `references.resolve` gives it.

    Raises:
        OSError: it cannot be written.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = sections.parts(
        records,
        title=title,
        command=command,
        published=published,
        searched=searched,
        reference=reference,
    )
    pairs = summary.pairs(records) if published else ()
    facts = dict.fromkeys(
        fact for pair in pairs for fact in published_table.facts(pair)
    )
    facts = list(map(dataclasses.asdict, facts))
    numbers = data_files.report_json(
        records, title, command, facts, searched, reference
    )
    files.write_json(folder / NUMBERS, numbers)
    _write(folder / CELLS, data_files.cells_csv(records))
    _write(folder / MARKDOWN, markdown.render(found))
    _write(folder / PAGE, page.render(found))


def _write(path: pathlib.Path, text: str) -> None:
    # What is no character, such as half of one in a reason, is shown by its number.
    data = text.encode("utf-8", errors="backslashreplace")
    files.write_atomically(path, lambda temporary: temporary.write_bytes(data))
