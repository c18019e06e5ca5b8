"""What was repeated in each block of a grid, in words."""

from collections.abc import Callable, Sequence

from comparison.grid.record import Record

_SEED, _DATA = "initialisation and the methods' draws", "subset, order and augmentation"
_SPLIT, _TEACHER = "the validation split", "the teacher"
# A teacher that was trained for the grid; earlier versions recorded no digest of it.
_ONE = "one"
_PUBLISHED = "published"  # a validation split that the data bring along


def sentences(records: Sequence[Record]) -> list[str]:
    """What the spread over the finished blocks contains, and what it does not.

    Returns:
        Nothing, or one text; nothing before a row has two finished blocks.
    """
    seeds = sorted({record.seed for record in records})
    if not seeds:
        return []
    if len(seeds) == 1:
        return [f"There is one block, seed {seeds[0]}: nothing was repeated."]
    rows = _rows(records)
    if not rows:
        return []
    whats = {_DATA: _data, _SPLIT: _split, _TEACHER: _teacher}
    verdicts = {what: _verdict(rows, value) for what, value in whats.items()}
    groups = {
        kind: [what for what, verdict in verdicts.items() if verdict == kind]
        for kind in ("repeated", "fixed", "mixed")
    }
    repeated = "; ".join([_SEED, *groups["repeated"]])
    text = f"The blocks are the seeds {_list(seeds)}. Repeated in each: {repeated}."
    if groups["fixed"]:
        fixed = [what + _by(what, rows) for what in groups["fixed"]]
        text += f" Not repeated: {'; '.join(fixed)}."
        text += " No spread or interval contains what was not repeated."
    if groups["mixed"]:
        text += f" Not alike in all rows and blocks: {'; '.join(groups['mixed'])}."
    return [text]


def _rows(records: Sequence[Record]) -> list[list[Record]]:
    """The finished cells of each row, of those with two or more."""
    found: dict[tuple, list[Record]] = {}
    for record in records:
        if record.result:
            place = record.dataset, record.teacher, record.student, record.fraction
            found.setdefault((*place, record.label), []).append(record)
    return [own for own in found.values() if len({r.seed for r in own}) > 1]


def _verdict(rows: Sequence[Sequence[Record]], value: Callable) -> str:
    """Whether all rows have it "fixed" or "repeated", or "mixed"; "" if none has it."""
    kinds = set()
    for row in rows:
        values = [found for record in row if (found := value(record)) is not None]
        values = [found for found in values if found != _ONE] or values
        if values:
            count, different = len(values), len(set(values))
            kinds.add({count: "repeated", 1: "fixed"}.get(different, "mixed"))
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else ""


def _data(record: Record) -> int | None:
    return record.data_seed


def _split(record: Record) -> int | str | None:
    """What cut it; None if there is none."""
    if record.split_seed is None and record.best is not None:
        return _PUBLISHED
    return record.split_seed


def _teacher(record: Record):
    """Which one it is; None if there is none, or it learned along."""
    if not record.has_fixed_teacher:
        return None
    file = record.result["settings"].get("teacher_checkpoint")
    return file or record.result["teacher"].get("weights_sha256") or _ONE


def _by(what: str, rows: Sequence[Sequence[Record]]) -> str:
    """What held it, such as " (data seed 0)"."""
    if what == _TEACHER:
        return ""
    name, value = ("data", _data) if what == _DATA else ("validation", _split)
    values = {value(record) for row in rows for record in row} - {None}
    if values == {_PUBLISHED}:
        return f" ({_PUBLISHED})"
    seeds = sorted(values - {_PUBLISHED})
    return f" ({name} seed{'s' * (len(seeds) > 1)} {_list(seeds)})"


def _list(values: Sequence[int]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last
