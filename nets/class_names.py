"""Names of classes, in the order of the logits: checked, and compared."""

import unicodedata
from collections.abc import Sequence

from common.errors import wrong

_WHOLE = 20  # classes up to which errors show all names
_SHOWN = 5  # of more classes: places that differ


def checked(names: Sequence[str] | None, num_classes: int) -> tuple[str, ...] | None:
    """The names as a tuple; None stays None, they are unknown.

    Raises:
        ValueError: these are not as many names as there are classes.
    """
    if names is None:
        return None
    found = () if isinstance(names, str) else tuple(names)
    are_names = all(isinstance(name, str) and name for name in found)
    if len(found) != num_classes or not are_names:
        raise wrong(
            "These are no names of the classes",
            expected=f"{num_classes} texts in the order of the logits, or None",
            received=f"class_names={names!r}",
        )
    return tuple(map(str, found))


def check_same(
    of_net: Sequence[str] | None, of_data: Sequence[str] | None, origin: str
) -> None:
    """Raises ValueError if both are known and not the same names in the same order.

    Case, `_`, `-` and spaces do not count.

    Args:
        of_net: what the net's logits stand for.
        of_data: what the labels stand for.
        origin: what the error calls the net.
    """
    if of_net is None or of_data is None or _plain(of_net) == _plain(of_data):
        return
    pairs = zip(_plain(of_net), _plain(of_data), strict=True)
    places = [place for place, (own, other) in enumerate(pairs) if own != other]
    are_moved = sorted(_plain(of_net)) == sorted(_plain(of_data))
    what = "stand in another order than" if are_moved else "are not"
    raise ValueError(
        f"the classes of the net in {origin} {what} the data set's. Expected "
        f"{_shown(of_data, places)}. Received: {_shown(of_net, places)}. See "
        "docs/your_data.md."
    )


def listed(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are, in one line."""
    rest = len(names) - most
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(map(_line, names[:most])) + more


def _plain(names: Sequence[str]) -> tuple[str, ...]:
    """What counts of the names; all of it, if otherwise two were one."""
    marks = str.maketrans("", "", "_- ")
    # A name that macOS wrote has its accents apart.
    whole = tuple(unicodedata.normalize("NFC", name) for name in names)
    plain = tuple(name.casefold().translate(marks) for name in whole)
    return plain if len(set(plain)) == len(set(whole)) else whole


def _shown(names: Sequence[str], places: Sequence[int]) -> str:
    """All names, or of many those at the first places that differ."""
    if len(names) <= _WHOLE:
        return listed(names, _WHOLE)
    first = ", ".join(f"{_line(names[place])} at {place}" for place in places[:_SHOWN])
    return f"{first} ({len(places)} of {len(names)} differ)"


def _line(name: str) -> str:
    return name if name.isprintable() else ascii(name)
