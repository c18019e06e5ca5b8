"""Whether the cells that are compared were trained under equal conditions."""

import functools
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from comparison.grid.record import Record
from options.conditions import INIT_PHASE, TRAINED_FIRST
from options.settings import used_only_if
from training.run import cache_difference, provenance

# What cells differ in by design: their place in the grid, and the method's own.
_PLACE = ("dataset", "data_fraction", "student", "teacher", "seed")
OF_METHOD = ("distiller", "hparam", "task_weight", *used_only_if(INIT_PHASE))
UNKNOWN = "not recorded"
# Seeds that a block decides, see `block_seeds`.
_OF_BLOCK = ("data_seed", "validation_seed", "teacher_data_seed")
# Where one of these is varied, the updates differ by design.
_DECIDES_UPDATES = ("epochs", "batch_size", "validation", "merge_valid")
UPDATES = "updates in total"
# Says nothing about who has no teacher, or one that learns along.
OF_TEACHER = "teacher_"
_GAP = "kept outputs differ from the teacher's"


def settings(records: Sequence[Record]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Condition -> its values, as JSON -> the labels that were trained with it.

    Of finished cells. Left out is what differs by design: the place in the grid, what
    the grid varies, and the method's own settings. Who evaluates more epochs has more
    to choose the best from, and who has an initialising phase may train longer, so that
    those numbers are conditions, too. Seeds of the data are equal in each block.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}
    own = [(record, _of(record)) for record in records]
    if any(provenance.SOURCES_NAME in values for _, values in own):
        for _, values in own:
            if values:  # The others may be of any sources.
                values.setdefault(provenance.SOURCES_NAME, UNKNOWN)
    are_continued = any(record.epochs_before for record in records)
    places = _places(own)
    for record, values in own:
        if values and are_continued:
            values["epochs trained before"] = record.epochs_before
        for name, value in values.items():
            text = json.dumps(value, sort_keys=True, ensure_ascii=False)
            place = places[name](record) if name in places else name
            labels = found.setdefault(place, {}).setdefault(text, {})
            labels[record.label] = None
    if found.get(_GAP, {}).keys() == {"false"}:
        del found[_GAP]  # the usual case, which says nothing
    return {
        name: {value: tuple(labels) for value, labels in values.items()}
        for name, values in found.items()
    }


def unequal(records: Sequence[Record]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Those of `settings` that have more than one value."""
    found = settings(records).items()
    return {name: values for name, values in found if len(values) > 1}


def _places(own: Sequence[tuple[Record, dict]]) -> dict[str, Callable[[Record], str]]:
    """What is to be equal among some of the records only -> its name for a record."""
    found = {}
    for name in _OF_BLOCK:
        if len({values[name] for _, values in own if name in values}) > 1:
            found[name] = functools.partial(_in_block, name)
    if len({record.fraction for record, values in own if UPDATES in values}) > 1:
        found[UPDATES] = _updates_with
    return found


def _in_block(name: str, record: Record) -> str:
    return f"{name} with seed {record.seed}"


def _updates_with(record: Record) -> str:
    return f"{UPDATES} on {100 * record.fraction:g} %"


def _seeds(record: Record) -> dict[str, int]:
    """The data's seeds that counted; none where a row is what the grid varies of it."""
    if record.varied_names & {*_OF_BLOCK}:
        return {}
    values = record.data_seed, record.split_seed, record.teacher_data_seed
    pairs = zip(_OF_BLOCK, values, strict=True)
    return {name: value for name, value in pairs if value is not None}


def _of(record: Record) -> dict[str, Any]:
    if not record.result:
        return {}
    given = record.result["settings"]
    varied = record.varied_names
    left_out = {*_PLACE, *OF_METHOD, *varied, *_OF_BLOCK}
    found = {name: value for name, value in given.items() if name not in left_out}
    if not record.has_fixed_teacher:
        found = {n: v for n, v in found.items() if not n.startswith(OF_TEACHER)}
    elif given.get("teacher_checkpoint"):  # How it was trained is not known here.
        found = {n: v for n, v in found.items() if n not in used_only_if(TRAINED_FIRST)}
    found |= _seeds(record)
    if record.rows and not varied & {*_DECIDES_UPDATES}:
        found[UPDATES] = int(record.rows[-1]["step"])
    found["evaluated epochs"] = sum("test_accuracy" in row for row in record.rows)
    if "data_sha256" in record.result:
        found["data (SHA-256)"] = record.result["data_sha256"]
    teacher = record.result.get("teacher", {})
    # What is varied of the recipe is varied of the teacher's training, too.
    is_one = record.has_fixed_teacher and not varied & given.keys()
    if is_one and "weights_sha256" in teacher:
        found["teacher's weights (SHA-256)"] = teacher["weights_sha256"]
    if record.has_fixed_teacher:
        # How large it is differs with the batches that were compared.
        found[_GAP] = cache_difference.is_gap(record.result.get(cache_difference.KEY))
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
