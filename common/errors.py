"""What ends a training or a command: the user's mistake, told in one form, or worse."""

import os
from collections.abc import Iterable

_UNSAID = object()


class NonFiniteLoss(Exception):
    """A loss, gradient or weight became infinite or not a number."""


def wrong(
    what: str,
    *,
    expected: object = _UNSAID,
    choices: Iterable[str] | None = None,
    received: object = _UNSAID,
    nearest: str = "",
    **values: object,
) -> ValueError:
    """The error for what a user gave: one line, in the form that all errors have.

    >>> raise wrong("The norm is unknown", choices=("l1", "l2"), norm="L3")
    ValueError: The norm is unknown. Expected one of l1, l2. Received: norm='L3'.
    >>> raise wrong("Pixels are divided by std", expected="positive numbers", std=0.0)
    ValueError: Pixels are divided by std. Expected positive numbers. Received: std=0.0.

    Args:
        what: what is the matter, a sentence without its full stop.
        expected: what would be right, read after "Expected"; without a full stop.
        choices: instead of `expected`, all that would be right.
        received: what was given, where `values` do not say it; without a full stop.
        nearest: of the choices the one that was perhaps meant, or "".
        **values: instead of `received`, what was given, by the names that the user
            knows. Texts and paths are quoted.

    Returns:
        A ValueError, to be raised.
    """
    if (expected is _UNSAID) == (choices is None):
        raise TypeError("wrong() takes either expected or choices")
    if (received is _UNSAID) == (not values):
        raise TypeError("wrong() takes either received or values by name")
    if choices is not None:
        expected = f"one of {', '.join(choices)}"
    if values:
        received = ", ".join(f"{n}={_shown(value)}" for n, value in values.items())
    hint = f" Did you mean {nearest!r}?" if nearest else ""
    return ValueError(f"{what}.{hint} Expected {expected}. Received: {received}.")


def _shown(value: object) -> str:
    if isinstance(value, str | os.PathLike):
        return repr(os.fspath(value))
    return str(value)
