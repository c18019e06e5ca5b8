"""What a grid compares: methods, pairs of nets, fractions, seeds, and what else."""

import collections
import dataclasses
import glob
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import distiller
from common.errors import wrong
from options import flags as option_flags
from options import option, user_code
from options.settings import Options

ALL = "all"
# Options that the other sides of a grid say.
_SIDES = ("seed", "data_fraction", "teacher", "teacher_checkpoint", "student")
_SIDES += ("distiller", "hparam")
FILE = ".flags"


@dataclasses.dataclass(frozen=True)
class Method:
    """A row of the table, before anything is varied.

    Attributes:
        label: what it is called in the report.
        name: canonical name of the method or sum.
        settings: what its flag file sets, option -> value; {} without one.
        file: the flag file.
    """

    label: str
    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    file: str = ""

    @property
    def spec(self) -> distiller.Spec:
        """The method with its file's hyperparameters."""
        return distiller.resolve(self.name, self.settings.get("hparam", ()))


@dataclasses.dataclass(frozen=True)
class Axis:
    """Settings that are varied together, value by value.

    Attributes:
        names: of options or hyperparameters; "METHOD.name" is of one method alone.
        values: as many texts as names, one tuple after the other.
    """

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    def label(self, method: Method) -> str:
        """The names, joined; in a sum with the part whose they are."""
        if len(method.spec.parts) > 1:
            return "/".join(self.names)
        return "/".join(name.rpartition(".")[2] for name in self.names)

    def applies_to(self, method: Method) -> bool:
        """Whether the method has all that is varied."""
        return all(_hparam(n, method) or _is_option(n) for n in self.names)

    def usual(self, method: Method) -> tuple:
        """What each has where nothing else is said."""
        known = method.spec.hyperparameters
        return tuple(
            known[hparam]
            if (hparam := _hparam(name, method))
            else _option(name).default
            for name in self.names
        )

    def changes(self, method: Method) -> Iterator[tuple[str, dict, tuple]]:
        """Of each value its text, the options, and the "name=value" hyperparameters."""
        for value in self.values:
            options, hparams = {}, []
            for name, text in zip(self.names, value, strict=True):
                hparam = _hparam(name, method)
                if hparam:
                    hparams.append(f"{hparam}={text}")
                else:
                    options[name] = option_flags.parse(name, text)
                    option.check_value(_option(name), options[name])
            yield "/".join(value), options, tuple(hparams)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The product of all of these.

    Attributes:
        methods: the rows.
        pairs: (teacher, student), nets or `.keras` files.
        fractions: of the training data.
        seeds: of the blocks, see `block_seeds`.
        axes: what else is varied; a method that lacks it has one cell all the same.
    """

    methods: tuple[Method, ...]
    pairs: tuple[tuple[str, str], ...]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    axes: tuple[Axis, ...] = ()

    def __post_init__(self):
        for name in ("methods", "pairs", "fractions", "seeds"):
            _check_list(name, getattr(self, name))
        _check_names([name for axis in self.axes for name in axis.names])
        for method in self.methods:
            self._check_once(method)
        for axis in self.axes:
            if not any(axis.applies_to(method) for method in self.methods):
                known = {n for m in self.methods for n in m.spec.hyperparameters}
                raise wrong(
                    "No method of the grid has what --vary names",
                    expected="a flag of train_w_distill.py or a hyperparameter, one of "
                    f"{', '.join(sorted(known))}",
                    received=f"--vary={'/'.join(axis.names)}",
                )

    def _check_once(self, method: Method) -> None:
        """Raises ValueError if two axes set one hyperparameter of a method."""
        names = [
            _hparam(name, method) or name
            for axis in self.axes
            if axis.applies_to(method)
            for name in axis.names
        ]
        for name in names:
            if names.count(name) > 1:
                given = " --vary=".join("/".join(axis.names) for axis in self.axes)
                raise wrong(
                    f"Two axes vary {name} of {method.label}",
                    expected="one, or METHOD.NAME in each",
                    received=f"--vary={given}",
                )

    def cells(self) -> Iterator[tuple]:
        """(method, pair, fraction, seed, varied), the seeds outermost.

        So that a grid which is stopped half-way has all methods with one seed and not
        half of the methods with all. `varied` is a tuple of (label, text, options,
        hyperparameters) of each axis that applies.
        """
        places = itertools.product(self.seeds, self.fractions, self.pairs, self.methods)
        for seed, fraction, pair, method in places:
            axes = [axis for axis in self.axes if axis.applies_to(method)]
            values = [
                [(axis.label(method), *change) for change in axis.changes(method)]
                for axis in axes
            ]
            for varied in itertools.product(*values):
                yield method, pair, fraction, seed, varied


def read_methods(entries: Sequence[str]) -> tuple[Method, ...]:
    """Methods by name, sums, flag files (also patterns such as `configs/x/*.flags`).

    "all" are all methods. Of a pattern, files without a --distiller are left out.

    Raises:
        ValueError: a name is unknown, or there is no such file or none with a method.
    """
    methods = []
    for entry in entries:
        if entry == ALL:
            methods += [Method(name, name) for name in distiller.names()]
        elif entry.endswith(FILE):
            methods += _of_files(entry)
        else:
            name = distiller.resolve(entry).name
            methods.append(Method(name, name))
    return tuple(_told_apart(methods))


def read_pairs(entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs from texts, each "TEACHER:STUDENT"; ValueError if one is none."""
    pairs = [tuple(map(os.path.expanduser, e.split(":"))) for e in entries]
    others = [
        e for e, p in zip(entries, pairs, strict=True) if len(p) != 2 or not all(p)
    ]
    if others:
        raise wrong(
            "A pair of nets is not one",
            expected="TEACHER:STUDENT, such as resnet20:resnet8",
            received=f"--pairs={others[0]}",
        )
    return tuple(pairs)


def read_axis(text: str) -> Axis:
    """An axis from "name=v1,v2" or "name/name=v1/w1,v2/w2"."""
    names, equals, values = text.partition("=")
    names = tuple(names.split("/"))
    values = tuple(tuple(value.split("/")) for value in values.split(","))
    is_whole = all(len(v) == len(names) and all(v) for v in values)
    if not equals or not all(names) or not is_whole:
        raise wrong(
            "What is varied cannot be read",
            expected="NAME=V1,V2,... or, of what changes together, "
            "NAME/OTHER=V1/W1,V2/W2,...",
            received=f"--vary={text}",
        )
    _check_list(f"vary={text.partition('=')[0]}", values)
    return Axis(names, values)


def _of_files(pattern: str) -> list[Method]:
    paths = sorted(glob.glob(os.path.expanduser(pattern)))
    found = []
    for path in paths:
        settings = option_flags.of_file(path)
        user_code.load(settings.get("imports", ()))
        if "distiller" in settings:
            spec = distiller.resolve(settings["distiller"], settings.get("hparam", ()))
            found.append(Method(spec.name, spec.name, settings, path))
    if not found:
        raise wrong(
            "There is no flag file of a method",
            expected="a file or pattern whose files have a --distiller",
            received=f"--methods={pattern}",
        )
    return found


def _told_apart(methods: Sequence[Method]) -> list[Method]:
    """The methods, with as much of their files' names as tells them apart."""
    for parts in (1, 2, None):
        count = collections.Counter(method.label for method in methods)
        methods = [
            dataclasses.replace(m, label=f"{m.name} ({_end_of(m.file, parts)})")
            if count[m.label] > 1 and m.file
            else m
            for m in methods
        ]
    return list(methods)


def _end_of(path: str, parts: int | None) -> str:
    """The last so many parts of a path, without the suffix; None: all."""
    found = pathlib.PurePath(path).with_suffix("").parts
    return "/".join(found[-parts:] if parts else found)


def _hparam(name: str, method: Method) -> str:
    """What `--hparam` calls it for this method; "" if it has none of that name."""
    owner, _, own = name.rpartition(".")
    known = method.spec.hyperparameters
    if owner and len(method.spec.parts) == 1:
        is_its = distiller.canonical(owner) == method.name
        return own if is_its and own in known else ""
    return name if name in known else ""


def _is_option(name: str) -> bool:
    return _option(name) is not None


def _option(name: str) -> dataclasses.Field | None:
    fields = (field for field in dataclasses.fields(Options) if field.name == name)
    return next(fields, None)


def _check_names(names: Sequence[str]) -> None:
    """Raises ValueError if an axis names what is no axis, or two name the same."""
    free = [f.name for f in dataclasses.fields(Options) if f.metadata["is_number_free"]]
    for name in names:
        if name in (*_SIDES, *free):
            raise wrong(
                "What is varied is a side of the grid, or changes no number",
                expected="--methods, --pairs, --fractions or --seeds for those, and "
                "other flags or hyperparameters here",
                received=f"--vary={name}",
            )
        if names.count(name) > 1:
            raise wrong(
                "Two axes name the same",
                expected="all values in one --vary",
                received=f"{name} twice",
            )


def _check_list(name: str, values: Sequence) -> None:
    if not values or len(set(map(repr, values))) < len(values):
        raise wrong(
            "A side of the grid is empty or names something twice",
            expected="different values",
            received=f"--{name}={','.join(map(_text, values))}",
        )


def _text(value) -> str:
    if isinstance(value, Method):
        return value.label
    return ":".join(value) if isinstance(value, tuple) else str(value)
