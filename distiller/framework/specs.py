"""From a name and `--hparam` strings to a method."""

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import wrong
from distiller import registry
from distiller.framework import base, composition, hyperparameters


@dataclasses.dataclass(frozen=True)
class Spec:
    """A method, or a sum of methods, before there are nets.

    Attributes:
        name: canonical, such as "VID" or "VID+Soft_logits".
        parts: canonical name -> all constructor arguments by name, in order.
    """

    name: str
    parts: Mapping[str, Mapping[str, Any]]

    @property
    def uses_teacher(self) -> bool:
        """Whether a teacher is needed at all."""
        return any(registry.method_class(part).uses_teacher for part in self.parts)

    @property
    def trains_teacher(self) -> bool:
        """Whether the teacher starts fresh and learns together with the student."""
        return any(registry.method_class(part).trains_teacher for part in self.parts)

    @property
    def needs_labels(self) -> bool:
        """Whether a method reads labels, so that images must not be mixed."""
        return any(registry.method_class(part).needs_labels for part in self.parts)

    @property
    def has_init_phase(self) -> bool:
        """Whether a method may have a phase as long as --init_epochs says."""
        return any(registry.method_class(part).has_init_phase for part in self.parts)

    @property
    def task_weight(self) -> float:
        """Weight of the label cross-entropy, where the run gives none."""
        return max(registry.method_class(part).task_weight for part in self.parts)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """All values for the run's config: JSON types; "PART.name" in a sum."""
        return {
            f"{part}.{name}" if len(self.parts) > 1 else name: (
                list(value) if isinstance(value, tuple) else value
            )
            for part, values in self.parts.items()
            for name, value in values.items()
        }

    @property
    def settings(self) -> tuple[str, ...]:
        """All values as `--hparam` strings, from which `resolve` makes this again."""
        return tuple(
            f"{name}={hyperparameters.as_text(tuple(v) if isinstance(v, list) else v)}"
            for name, v in self.hyperparameters.items()
        )

    def build(self, student_taps, teacher_taps, data) -> base.Distiller:
        """Makes the method; its layers start from Keras' global random seed.

        Args:
            student_taps: the student's taps, name -> `nets.taps.TapSpec`.
            teacher_taps: the teacher's taps; {} where `uses_teacher` is False.
            data: the `base.DataSpec` of the training data.

        Raises:
            ValueError: a hyperparameter is out of range, or the nets do not fit.
        """
        taps = student_taps, teacher_taps
        methods = {
            part: registry.method_class(part)(*taps, data, **values)
            for part, values in self.parts.items()
        }
        if len(methods) == 1:
            return methods[self.name]
        return composition.Composition(*taps, data, methods)


def resolve(name: str, hparams: Sequence[str] = ()) -> Spec:
    """Reads a method's name and its hyperparameters.

    Args:
        name: a method's name or alias, or a sum "A+B" of them.
        hparams: "name=value" strings; "PART.name=value" in a sum.

    Raises:
        ValueError: the name is unknown, or a hyperparameter is unknown, given twice, of
            the wrong type, or without its method in a sum.
    """
    parts = registry.parts_of(name)
    settings: dict[str, list[str]] = {part: [] for part in parts}
    for setting in hparams:
        part, own_setting = _addressed(setting, parts)
        settings[part].append(own_setting)
    values = {
        part: hyperparameters.read(part, registry.method_class(part), settings[part])
        for part in parts
    }
    return Spec("+".join(parts), values)


def build(
    name: str,
    student_taps,
    teacher_taps,
    data,
    hparams: Sequence[str] = (),
) -> base.Distiller:
    """`resolve(name, hparams).build(student_taps, teacher_taps, data)`."""
    return resolve(name, hparams).build(student_taps, teacher_taps, data)


@dataclasses.dataclass(frozen=True)
class Description:
    """What `--list` shows of a method.

    Attributes:
        name: canonical.
        aliases: its other names.
        paper: authors, title, venue and link: the first line of its docstring, and the
            link in it; "" if it has none.
        hyperparameters: with defaults and what they mean.
    """

    name: str
    aliases: tuple[str, ...]
    paper: str
    hyperparameters: tuple[hyperparameters.Hyperparameter, ...]

    def __str__(self):
        also = f" ({', '.join(self.aliases)})" if self.aliases else ""
        lines = [f"{self.name}{also}"]
        lines += [f"  {self.paper}"] if self.paper else []
        for one in self.hyperparameters:
            lines.append(
                f"  {one}: {one.description}" if one.description else f"  {one}"
            )
        return "\n".join(lines)


def describe() -> tuple[Description, ...]:
    """All methods, in the registry's order; print them for `--list`."""
    return tuple(_describe(name) for name in registry.names())


def _describe(name: str) -> Description:
    method = registry.method_class(name)
    docstring = inspect.cleandoc(method.__doc__ or "")  # not that of its base
    link = re.search(r"https?://[^\s,]+", docstring)
    first, _, _ = docstring.partition("\n")
    address = link[0].rstrip(".") if link else ""
    return Description(
        name,
        registry.aliases(name),
        first if address in first else f"{first} {address}",
        tuple(hyperparameters.of(method).values()),
    )


def _addressed(setting: str, parts: Sequence[str]) -> tuple[str, str]:
    """(part, "name=value") of a setting such as "VID.weight=0.8"."""
    path = setting.partition("=")[0]
    address, dot, _ = path.rpartition(".")
    if not dot and len(parts) == 1:
        return parts[0], setting
    part = registry.canonical(address) if dot else ""
    if part not in parts:
        raise wrong(
            "A hyperparameter belongs to no method of the run",
            expected=f"PART.name=value with PART one of {', '.join(parts)}",
            hparam=setting,
        )
    return part, setting[len(address) + 1 :]
