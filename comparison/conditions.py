"""Whether the cells that are compared were trained under equal conditions."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from comparison.record import Record
from op_utils import provenance
from op_utils.net_options import ONLY_WITH_TEACHER
from op_utils.options import ONLY_WITH_INIT

# What cells differ in by design: their place in the grid, and the method's own.
_PLACE = ("dataset", "data_fraction", "student", "teacher", "seed")
OF_METHOD = ("distiller", "hparam", "task_weight", *ONLY_WITH_INIT)
UNKNOWN = "not recorded"
# Says nothing about who has no teacher, or one that learns along.
OF_TEACHER = "teacher_"


def settings(records: Sequence[Record]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Condition -> its values, as JSON -> the labels that were trained with it.

    Of finished cells. Left out is what differs by design: the place in the grid, what
    the grid varies, and the method's own settings. Who evaluates more epochs has more
    to choose the best from, so that their number is a condition, too.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}
    values_of = [_of(record) for record in records]
    if any(provenance.SOURCES_NAME in values for values in values_of):
        for values in filter(None, values_of):  # The others may be of any sources.
            values.setdefault(provenance.SOURCES_NAME, UNKNOWN)
    for record, values in zip(records, values_of, strict=True):
        for name, value in values.items():
            text = json.dumps(value, sort_keys=True, ensure_ascii=False)
            labels = found.setdefault(name, {}).setdefault(text, {})
            labels[record.label] = None
    return {
        name: {value: tuple(labels) for value, labels in values.items()}
        for name, values in found.items()
    }


def unequal(records: Sequence[Record]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Those of `settings` that have more than one value."""
    found = settings(records).items()
    return {name: values for name, values in found if len(values) > 1}


def _of(record: Record) -> dict[str, Any]:
    if not record.result:
        return {}
    given = record.result["settings"]
    varied = record.varied_names
    left_out = {*_PLACE, *OF_METHOD, *varied}
    found = {name: value for name, value in given.items() if name not in left_out}
    if not record.has_fixed_teacher:
        found = {n: v for n, v in found.items() if not n.startswith(OF_TEACHER)}
    elif given.get("teacher_checkpoint"):  # How it was trained is not known here.
        found = {n: v for n, v in found.items() if n not in ONLY_WITH_TEACHER}
    found["evaluated epochs"] = sum("test_accuracy" in row for row in record.rows)
    if "data_sha256" in record.result:
        found["data (SHA-256)"] = record.result["data_sha256"]
    teacher = record.result.get("teacher", {})
    # What is varied of the recipe is varied of the teacher's training, too.
    is_one = record.has_fixed_teacher and not varied & given.keys()
    if is_one and "weights_sha256" in teacher:
        found["teacher's weights (SHA-256)"] = teacher["weights_sha256"]
    return found | _inputs(record) | _provenance(record)


def _inputs(record: Record) -> dict[str, str]:
    """The code of the user's nets; other files are in the settings by content."""
    found = record.result.get("inputs", {}).items()
    return {name: digest for name, digest in found if name.startswith("--imports=")}


def _provenance(record: Record) -> dict[str, str]:
    """What it was trained under; of one that went on under another, both.

    Not the commit: the sources' digest says whether another one decides numbers.
    """
    entries = list(map(provenance.conditions, provenance.history(record.result)))
    return {
        name: ", then ".join(
            text for text, _ in itertools.groupby(e.get(name, UNKNOWN) for e in entries)
        )
        for name in dict.fromkeys(name for entry in entries for name in entry)
    }
