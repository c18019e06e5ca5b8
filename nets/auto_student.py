"""The best net under a size, by a rule: what --student=auto-1MB is."""

import re
from typing import NamedTuple

from common.errors import wrong
from nets import registration, registry
from nets import sizes as net_sizes
from nets.sizes import Data

PREFIX = registration.AUTOMATIC
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}
# Nets for ImageNet make their maps 32 times smaller: of an image of 128, 4x4.
_LARGE = 128


class Choice(NamedTuple):
    """What was chosen, and why.

    Attributes:
        name: canonical.
        reason: a line for the user.
    """

    name: str
    reason: str


def is_automatic(name: str) -> bool:
    """Whether a net's name asks for the best one under a size."""
    return name.lower().startswith(PREFIX)


def limit(name: str) -> float:
    """The bytes in a name.

    >>> limit("auto-1MB"), limit("auto-0.5KiB")
    (1000000.0, 512.0)

    Raises:
        ValueError: there are none.
    """
    text = name[len(PREFIX) :].lower()
    match = re.fullmatch(r"(\d+|\d*\.\d+)([kmg]i?b|b)", text)
    if not match or not float(match[1]):
        raise wrong(
            "The size of the student is not clear",
            expected="auto-SIZE with a number and kB, MB, KiB or MiB, such as "
            "auto-500kB or auto-1.5MB",
            received=name,
        )
    return float(match[1]) * _UNITS[match[2]]


def choose(name: str, data: Data) -> Choice:
    """The net with the most multiply-accumulates among those of at most this size.

    Of what is known of a net before it is trained they tell most of its accuracy: for
    the 15 nets that RepDistiller's README trains alone on CIFAR-100, their rank
    correlation with the accuracy is 0.94, that of parameters and of file size 0.65;
    with the size of each of these nets as the bound, the one chosen is 0.2 points below
    the best on average, and 0.9 at most. Of equals it is the smaller file. That was
    seen at 32x32: from 128x128 on only nets for ImageNet are looked at, which spend
    theirs on small maps, below it only the others.

    Args:
        name: see `limit`.
        data: for which the net is built.

    Raises:
        ValueError: the name has no size, or no net is that small.
    """
    most = limit(name)
    is_large = min(data.input_shape[:2]) >= _LARGE
    names = [n for n in registry.names() if n.endswith("ImageNet") == is_large]
    found, _ = net_sizes.measure(data, names, most)
    small = [sizes for sizes in found if sizes.file <= most]
    if not small:
        least = f"{_megabytes(found[0].file)} ({found[0].name})" if found else "no net"
        raise wrong(
            "There is no net of that size for these images",
            expected=f"at least {least} at {data.shape}, another --image_size, a net "
            "of --list_nets, or a file of nets.narrow",
            received=f"--student={name}",
        )
    best = max(small, key=lambda sizes: (sizes.multiply_accumulates, -sizes.file))
    return Choice(
        best.name,
        f"{name} is {best.name} with {_megabytes(best.file)}: the most "
        f"multiply-accumulates, {best.multiply_accumulates:,}, of {len(small)} "
        f"net{'s' * (len(small) > 1)} of at most {_megabytes(most)} at {data.shape}",
    )


def _megabytes(count: float) -> str:
    return f"{count / net_sizes.MEGABYTE:.3g} MB"
