"""One setting of a run: its default, help text, range, and when it is used."""

import dataclasses
import math
from collections.abc import Callable

from common.errors import wrong


@dataclasses.dataclass(frozen=True)
class Range:
    """A condition on a number, with the words that an error uses for it."""

    words: str
    holds: Callable[[float], bool]


POSITIVE = Range("a finite number above 0", lambda x: 0 < x < math.inf)
NOT_NEGATIVE = Range("a finite number, 0 or more", lambda x: 0 <= x < math.inf)
FRACTION = Range("above 0 and at most 1", lambda x: 0 < x <= 1)
SHARE = Range("at least 0 and below 1", lambda x: 0 <= x < 1)
COUNT = Range("1 or more", lambda x: x >= 1)
PERIOD = Range("0 (no period) or more", lambda x: x >= 0)
IMAGE_SIZE = Range("0 (the images' own) or more", lambda x: x >= 0)
COUNT_OR_NONE = Range("0 (none) or more", lambda x: x >= 0)
MAGNITUDE = Range("from 0 to 30", lambda x: 0 <= x <= 30)
SEED = Range("from 0 to 2147483647", lambda x: 0 <= x < 2**31)


def option(
    default,
    words,
    *,
    check=None,
    choices=None,
    is_number_free=False,
    used_if=None,
    unused=None,
):
    """A row of the table: a field with its help text, its range and its use.

    `is_number_free` marks what decides none of the run's numbers: it may change
    when a run is resumed. `used_if` is one of `options.conditions`, None of what every
    run uses; `unused` is the value where it fails, if that is not the default.
    """
    metadata = {
        "help": words,
        "check": check,
        "choices": choices,
        "is_number_free": is_number_free,
        "used_if": used_if,
        "unused": default if unused is None else unused,
    }
    return dataclasses.field(default=default, metadata=metadata)


def check_value(field: dataclasses.Field, value) -> None:
    """Raises ValueError unless the value is in the field's range."""
    check, choices = field.metadata["check"], field.metadata["choices"]
    if choices and value not in choices:
        raise wrong(
            f"--{field.name} is not known",
            choices=filter(None, choices),
            received=f"--{field.name}={value}",
        )
    for number in value if isinstance(value, tuple) else (value,):
        if check and number is not None and not check.holds(number):
            raise wrong(
                f"--{field.name} is out of range",
                expected=check.words,
                received=f"--{field.name}={number}",
            )
