"""A report's numbers for programs: cells.csv and report.json."""

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from comparison.grid.record import Record
from comparison.report import conditions, summary
from comparison.report.references import ALONE

FORMAT = 2
# A spreadsheet takes what begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# Without cells there are columns all the same.
_NOBODY = Record("", "", "", "", (), 1.0, 0, pathlib.Path())


def cells_csv(records: Sequence[Record]) -> str:
    """One row a cell; what is missing is empty.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    rows = [
        {name: _harmless(value) for name, value in _cell(record).items()}
        for record in records
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_cell(_NOBODY)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)  # None becomes empty, and a float what reads back equal.
    return text.getvalue()


def _harmless(value):
    """A text that is shown as it is, in one row; what is no text stays."""
    if not isinstance(value, str):
        return value
    text = f"'{value}" if value.startswith(_FORMULA) else value
    return text.replace("\r", "\n")  # csv does not quote a text for it.


def _cell(record: Record) -> dict[str, Any]:
    result = record.result or {}
    student, teacher = result.get("student") or {}, result.get("teacher") or {}
    passes = record.forward_passes or {}
    varied = ";".join(f"{name}={value}" for name, value in record.varied)
    return {
        "dataset": record.dataset,
        "teacher": record.teacher,
        "student": record.student,
        "method": record.method,
        "varied": varied,
        "fraction": record.fraction,
        "seed": record.seed,
        "folder": record.folder.name,
        "state": record.state,
        "reason": record.reason,
        "last": record.last,
        "best": record.best,
        "best_validation": record.best_validation,
        "best_epoch": (result.get("best_on_validation") or {}).get("epoch"),
        "top5": student.get("top5"),
        "loss": student.get("loss"),
        "epochs": record.epochs,
        "seconds": record.seconds,
        "forward_passes_student": passes.get("student"),
        "forward_passes_teacher": passes.get("teacher"),
        "parameters": student.get("parameters"),
        "non_trainable_parameters": student.get("non_trainable_parameters"),
        "multiply_accumulates": student.get("multiply_accumulates"),
        "teacher_last": teacher.get("top1"),
        "hyperparameters": _joined(record.hyperparameters),
        "task_weight": result.get("settings", {}).get("task_weight"),
    }


def _joined(texts: Sequence[str] | None) -> str | None:
    return None if texts is None else ";".join(texts)


def report_json(
    records: Sequence[Record],
    title: str,
    command: str,
    published: Sequence[Mapping],
    searched: bool = False,
    reference: str = ALONE,
) -> dict[str, Any]:
    """Everything: the cells with their results and curves, and the tables.

    Args:
        records: of the grid.
        title: of the report.
        command: with which it was made.
        published: facts about the grid's pairs.
        searched: whether what is varied are trials of a search.
        reference: label or method of the rows that the others are compared with.
    """
    pairs = summary.pairs(records, reference)
    return {
        "format": FORMAT,
        "title": title,
        "command": command,
        "cells": [
            {
                **_cell(record),
                "varied": dict(record.varied),
                "hyperparameters": record.hyperparameters,
                "result": record.result,
                "curves": _curves(record.rows),
            }
            for record in records
        ],
        "tables": [_table(table, searched) for pair in pairs for table in pair.tables],
        "unequal": [
            {"dataset": p.dataset, "teacher": p.teacher, "student": p.student}
            | {"conditions": conditions.unequal(p.records)}
            for p in pairs
        ],
        "published": list(published),
    }


def _curves(rows: Sequence[Mapping[str, str]]) -> dict[str, list]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_number(row.get(name)) for row in rows] for name in names}


def _number(text: str | None):
    """A number where it is one that JSON has; otherwise the text."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return text
    if not math.isfinite(value):
        return text
    return int(text) if text.isdecimal() else value


def _table(table: summary.Table, searched: bool) -> dict[str, Any]:
    trials = {"best_trials": _trials(table)} if searched else {}
    return trials | {
        "dataset": table.dataset,
        "teacher": table.teacher,
        "student": table.student,
        "fraction": table.fraction,
        "reference": table.reference,
        **dataclasses.asdict(table.evidence),
        "rows": [
            {
                "label": row.label,
                "planned": len(row.records),
                "finished": len(row.finished),
                "last": dataclasses.asdict(row.last),
                "best": dataclasses.asdict(row.best),
                "validation": dataclasses.asdict(row.validation),
                "difference": row.difference and dataclasses.asdict(row.difference),
                "seconds": dataclasses.asdict(row.seconds),
                "relative_seconds": row.relative_seconds,
            }
            for row in table.rows
        ],
    }


def _trials(table: summary.Table) -> list[dict[str, Any]]:
    return [
        {
            "method": found.method,
            "planned": found.planned,
            "finished": found.finished,
            "label": found.best and found.best.label,
        }
        for found in summary.trials(table)
    ]
