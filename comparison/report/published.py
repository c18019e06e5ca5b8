"""Published numbers, by this project's names of data, nets and methods."""

import dataclasses
import functools
import json
import pathlib
import re

from distiller import registry
from nets.registry import canonical_name

_FILE = pathlib.Path(__file__).with_suffix(".json")
_IMAGENET = "imagenet"
# Folded names that are not the beginning of ours.
_DATASETS = {"imagenet2012": _IMAGENET, "tinyimagenet200": "tinyimagenet"}
# Other spellings of families of nets.
_FAMILIES = (
    (r"^sh\.net ?v2", "shufflenetV2"),
    (r"^shufflenet-?v([12])$", r"ShuffleV\1"),
    (r"^(resnet\d+) \(x4 widths\)$", r"\1x4"),
)


@dataclasses.dataclass(frozen=True)
class Fact:
    """One published number.

    Attributes:
        source: where it stands.
        dataset, teacher, student, method: as written there; no teacher means that the
            net was trained alone.
        accuracy: top-1 on the test images in %; None where the source leaves it open.
        note: table, and what is odd about it.
    """

    source: str
    dataset: str
    teacher: str | None
    student: str
    method: str
    accuracy: float | None
    note: str


@functools.cache
def facts() -> tuple[Fact, ...]:
    """All, in the order of the file."""
    table = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Fact(**dict(zip(table["columns"], row, strict=True))) for row in table["rows"]
    )


def dataset_key(name: str) -> str:
    """One spelling of a data set's name.

    >>> dataset_key("CIFAR-10"), dataset_key("folder:/data/cinic-10")
    ('cifar10', 'cinic10')
    """
    folded = re.sub(r"[\W_]", "", pathlib.PurePath(name.split(":")[-1]).name.lower())
    return _DATASETS.get(folded, folded)


def net_key(name: str, dataset: str) -> str:
    """The project's name of a published net; the name itself if there is none.

    Args:
        name: as published, or as this project names it.
        dataset: its `dataset_key`: nets for ImageNet have their own layouts.
    """
    spelled = name
    for pattern, ours in _FAMILIES:
        spelled = re.sub(pattern, ours, spelled, flags=re.IGNORECASE)
    tries = [f"{spelled}-ImageNet", spelled] if dataset == _IMAGENET else [spelled]
    for candidate in tries:
        try:
            return canonical_name(candidate)
        except ValueError:
            continue
    return name


def method_key(name: str) -> str:
    """The project's name of a published method; the name itself if there is none."""
    try:
        return registry.canonical(name)
    except ValueError:
        return name


def of_pair(dataset: str, teacher: str, student: str) -> tuple[Fact, ...]:
    """What is published of a pair on a data set: with both nets, or of one alone.

    Args:
        dataset: as this project names it.
        teacher: as this project names it.
        student: as this project names it.

    Returns:
        Nothing if no number is of both nets: those alone would not be of the pair.
    """
    key = dataset_key(dataset)
    pair = (net_key(teacher, key), net_key(student, key))
    found = []
    for fact in facts():
        if dataset_key(fact.dataset) != key:
            continue
        ours = (fact.teacher and net_key(fact.teacher, key), net_key(fact.student, key))
        if ours == pair or (ours[0] is None and ours[1] in pair):
            found.append(fact)
    return tuple(found) if any(fact.teacher for fact in found) else ()
