"""The command line of the settings: one absl flag for each field of `Options`."""

import dataclasses
import os
import sys
from collections.abc import Sequence

from absl import flags
from absl.testing import flagsaver

from options import user_code
from options.conditions import Known
from options.settings import FILES, MODEL_SUFFIXES, Options

_PATHS = ("train_dir", "data_dir", "teacher_dir", "teacher_cache_dir", "continue_from")
_PATHS += (*FILES, "teacher")


class _FloatTupleParser(flags.ArgumentParser):
    """Numbers separated by commas."""

    syntactic_help = "a comma-separated list of numbers"

    def parse(self, argument):
        if isinstance(argument, tuple):
            return argument
        try:
            return tuple(float(x) for x in argument.split(","))
        except ValueError:
            raise ValueError(f"expected {self.syntactic_help}") from None


class _FloatTupleSerializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return ",".join(str(x) for x in value)


def define(only: tuple[str, ...] | None = None) -> None:
    """Defines an absl flag for each field of `Options` (or those named)."""
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        int | None: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        float | None: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
    }
    for field in dataclasses.fields(Options):
        name, words = field.name, field.metadata["help"]
        if only is not None and name not in only:
            continue
        if field.metadata["choices"]:
            words += f" One of: {', '.join(filter(None, field.metadata['choices']))}."
        if field.type == tuple[str, ...]:
            flags.DEFINE_multi_string(name, list(field.default), words)
        elif field.type == tuple[float, ...]:
            flags.DEFINE(
                _FloatTupleParser(), name, field.default, words,
                serializer=_FloatTupleSerializer(),
            )  # fmt: skip
        else:
            define[field.type](name, field.default, words)
        # --helpshort shows the key flags of the script that runs.
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def read() -> Options:
    """The options that the parsed flags give."""
    values = {field.name: _value(field.name) for field in dataclasses.fields(Options)}
    if values["teacher"].endswith(MODEL_SUFFIXES) and not values["teacher_checkpoint"]:
        values |= {"teacher_checkpoint": values["teacher"], "teacher": ""}
    load_imports()
    return Options(**values)


def load_imports() -> None:
    """Runs the user's files of --imports, whose names the others may need."""
    user_code.load(flags.FLAGS.imports)


def given() -> dict:
    """What the command line and its flag files set, option -> value."""
    names = [field.name for field in dataclasses.fields(Options)]
    return {n: _value(n) for n in names if flags.FLAGS[n].present}


def of_file(path: str) -> dict:
    """What a flag file sets, and those that it reads, option -> value.

    The command line's own values stay as they are.

    Raises:
        ValueError: the file cannot be read, or holds a wrong flag.
    """
    with flagsaver.flagsaver():
        for field in dataclasses.fields(Options):
            flags.FLAGS[field.name].unparse()
        try:
            flags.FLAGS(["", f"--flagfile={path}"])
        except (flags.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no flag file for this: {error}") from error
        return given()


def parse(name: str, text: str):
    """A text as the flag of this name reads it; ValueError if it does not."""
    try:
        value = flags.FLAGS[name].parser.parse(text)
    except ValueError as error:
        raise ValueError(f"--{name} cannot be {text!r}: {error}.") from error
    return (value,) if isinstance(flags.FLAGS[name].default, list) else value


def as_arguments(options: Options) -> list[str]:
    """The command line that gives these options again."""
    arguments = []
    for field in dataclasses.fields(Options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            arguments.append(f"--{'' if value else 'no'}{field.name}")
        elif field.type == tuple[str, ...]:
            arguments += [f"--{field.name}={text}" for text in value]
        else:
            text = ",".join(map(repr, value)) if isinstance(value, tuple) else value
            arguments.append(f"--{field.name}={text}")
    return arguments


def _value(name: str):
    """A flag's value as `Options` holds it."""
    value = flags.FLAGS[name].value
    if name in _PATHS:
        return path(name)
    return tuple(value) if isinstance(value, list) else value


def path(name: str) -> str:
    """A flag's path; a shell leaves the ~ of --train_dir=~/runs to the program."""
    return os.path.expanduser(flags.FLAGS[name].value)


def print_notes(
    options: Options, phases: Sequence, augmentation, others: Sequence[str] = ()
) -> None:
    """Says which flags were given but decide nothing in this run, and other notes.

    Args:
        options: the run's.
        phases: the method's.
        augmentation: a `dataloader.Augmentation`, what is done to the images.
        others: notes, a line each.
    """
    known = Known(
        uses_teacher=options.uses_teacher,
        trains_teacher=any(phase.trains_teacher for phase in phases),
        has_init_phase=any(phase.length == "init" for phase in phases),
        settings=True,
        scales_student=options.is_file("student"),
        crops=augmentation.crops,
        varies=augmentation.varies,
    )
    silent = set()
    if options.teacher_checkpoint and not flags.FLAGS["teacher_checkpoint"].present:
        silent.add("teacher")  # --teacher=FILE gave it
    if options.continue_from and options.has_trained_teacher:
        silent.add("teacher_dir")  # where the teacher's file may have been found
    for name, reason in options.unused(known).items():
        if flags.FLAGS[name].present and name not in silent:
            print(f"note: --{name} has no effect with {reason}")
    if options.teacher and options.for_teacher().warmup_epochs < options.warmup_epochs:
        print(
            f"note: the teacher is warmed up for {options.teacher_epochs / 2:g} epochs,"
            " half of --teacher_epochs"
        )
    for text in others:
        print(f"note: {text}")
