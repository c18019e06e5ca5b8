"""Hyperparameters: read off a method's constructor, set by `--hparam` strings."""

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

from common.errors import wrong


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """One keyword-only argument of a method's constructor.

    Attributes:
        name: as on the command line.
        annotation: its type: int, float, str, bool, a Literal of strings, a tuple of
            one of these (`tuple[str, ...]`), or one of all these or None.
        default: the paper's value.
        description: its entry in the class docstring.
    """

    name: str
    annotation: Any
    default: Any
    description: str

    def __str__(self):
        return f"{self.name}={as_text(self.default)}"


def of(method: type) -> dict[str, Hyperparameter]:
    """The hyperparameters of a method's class, by name, in the written order."""
    described = _described_arguments(inspect.getdoc(method) or "")
    hints = typing.get_type_hints(method.__init__)  # type: ignore[misc]  # its own
    return {
        name: Hyperparameter(
            name,
            hints.get(name),
            _as_written(hints.get(name), parameter.default),
            described.get(name, ""),
        )
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _as_written(annotation, default):
    """A default such as `weight: float = 1` as --hparam=weight=1 is read: 1.0."""
    is_whole = isinstance(default, int) and not isinstance(default, bool)
    inner = typing.get_args(annotation)
    if is_whole and (annotation is float or float in inner):
        return float(default)
    if isinstance(default, tuple) and inner:
        return tuple(_as_written(inner[0], one) for one in default)
    return default


def read(method_name: str, method: type, settings: Sequence[str]) -> dict[str, Any]:
    """Reads "name=value" strings; what they leave out keeps its default.

    Args:
        method_name: for the error texts.
        method: the method's class.
        settings: strings such as "weight=3000" or "taps=stage1,stage2".

    Returns:
        Values of all hyperparameters, by name.

    Raises:
        ValueError: a name is unknown or given twice, or a value does not fit its type.
    """
    known = of(method)
    values = {name: one.default for name, one in known.items()}
    seen = set()
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or name not in known:
            problem = "has no such hyperparameter" if equals else "got no value"
            raise wrong(
                f"{method_name} {problem}",
                expected=f"name=value with {_valid(known)}",
                hparam=setting,
            )
        if name in seen:
            raise wrong(
                f"{method_name} got a hyperparameter twice",
                expected="each at most once",
                received=f"hparam={setting!r}, after an earlier {name}",
            )
        seen.add(name)
        try:
            values[name] = _parse(known[name].annotation, text.strip())
        except ValueError as error:
            raise ValueError(
                f"{method_name} cannot use a value. Expected for {name}: {error}. "
                f"Received: hparam={setting!r}. Hyperparameters: {_valid(known)}."
            ) from None
    return values


def check_positive(**values: float):
    """Raises ValueError unless each value is a finite number above 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise wrong(
                f"{name} is out of range",
                expected="a finite number > 0",
                received=f"{name}={value}",
            )


def check_not_negative(**values: float):
    """Raises ValueError unless each value is a finite number of at least 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise wrong(
                f"{name} is out of range",
                expected="a finite number >= 0",
                received=f"{name}={value}",
            )


def check_at_most(limit: float, **values: float):
    """Raises ValueError if a value is above the limit."""
    for name, value in values.items():
        if value > limit:
            raise wrong(
                f"{name} is out of range",
                expected=f"at most {limit}",
                received=f"{name}={value}",
            )


def check_choice(choices: Sequence[str], **values: str):
    """Raises ValueError unless each value is one of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise wrong(
                f"{name} is none of the choices",
                choices=choices,
                received=f"{name}={value!r}",
            )


def scaled_width(channels: int, **factor: float) -> int:
    """int(channels * factor) of one named factor > 0; ValueError if that is 0."""
    ((name, value),) = factor.items()
    check_positive(**factor)
    width = int(channels * value)
    if width < 1:
        raise wrong(
            f"{name} leaves no channel",
            expected=f"at least 1 / {channels}, one over the channels of the tap",
            received=f"{name}={value}",
        )
    return width


def _valid(known: dict[str, Hyperparameter]) -> str:
    return ", ".join(map(str, known.values())) or "nothing: it has no hyperparameters"


def as_text(value) -> str:
    """How a value is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def _parse(annotation, text: str):
    """The value that `text` means; ValueError says in words what was expected."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):  # X | None
        if text.lower() == "none":
            return None
        (inner,) = (a for a in arguments if a is not types.NoneType)
        return _parse(inner, text)
    if typing.get_origin(annotation) is typing.Literal:
        if text not in arguments:
            raise ValueError(f"one of {', '.join(arguments)}")
        return text
    if typing.get_origin(annotation) is tuple:
        return tuple(_parse(arguments[0], part.strip()) for part in text.split(","))
    if annotation is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return text.lower() == "true"
    if annotation is int:
        if not re.fullmatch(r"[+-]?\d+", text):
            raise ValueError("an integer")
        return int(text)
    if annotation is float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError("a finite number")
        return number
    if not text:
        raise ValueError("a text that is not empty")
    return text


def _described_arguments(docstring: str) -> dict[str, str]:
    """Descriptions by name, from the "Args:" section of a Google docstring."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", docstring, re.MULTILINE)
    entries = re.findall(
        r"^    (\w+): (.*(?:\n     .*)*)", section[1] if section else "", re.MULTILINE
    )
    return {name: " ".join(text.split()) for name, text in entries}
