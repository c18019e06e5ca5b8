"""Names of the nets, as users of the field know them."""

import difflib
import functools
import re

from nets.base import Net
from nets.resnet import ResNet
from nets.wresnet import WResNet

_WIDE4 = {"widths": (64, 128, 256), "stem_width": 32}

# One line for each net: published name -> constructor.
_NETS = {
    "resnet8": functools.partial(ResNet, blocks=(1, 1, 1)),
    "resnet14": functools.partial(ResNet, blocks=(2, 2, 2)),
    "resnet20": functools.partial(ResNet, blocks=(3, 3, 3)),
    "resnet32": functools.partial(ResNet, blocks=(5, 5, 5)),
    "resnet44": functools.partial(ResNet, blocks=(7, 7, 7)),
    "resnet56": functools.partial(ResNet, blocks=(9, 9, 9)),
    "resnet110": functools.partial(ResNet, blocks=(18, 18, 18)),
    "resnet8x4": functools.partial(ResNet, blocks=(1, 1, 1), **_WIDE4),
    "resnet32x4": functools.partial(ResNet, blocks=(5, 5, 5), **_WIDE4),
}

# WResNets of any depth and width are built; these are the ones that are listed.
_LISTED_WRESNETS = (
    "wrn_10_1 wrn_16_1 wrn_16_2 wrn_16_4 wrn_28_2 wrn_28_4 wrn_28_10 "
    "wrn_40_1 wrn_40_2 wrn_40_4"
).split()
_WRESNET = re.compile(r"(?:wrn|wresnet)-?(\d+)-(\d+)")


def names() -> tuple[str, ...]:
    """The published names; `build` takes every other WResNet depth and width, too."""
    return (*_NETS, *_LISTED_WRESNETS)


def _plain(name: str) -> str:
    return re.sub("[-_]", "", name.lower())


def _resolve(name: str):
    """Returns (canonical name, constructor)."""
    for published, constructor in _NETS.items():
        if _plain(published) == _plain(name):
            return published, constructor
    match = _WRESNET.fullmatch(name.lower().replace("_", "-"))
    if match:
        depth, width = map(int, match.groups())
        constructor = functools.partial(WResNet, depth=depth, width=width)
        return f"wrn_{depth}_{width}", constructor
    close = difflib.get_close_matches(_plain(name), [_plain(n) for n in names()], n=1)
    hint = [f" Did you mean {n!r}?" for n in names() if _plain(n) in close]
    raise ValueError(
        f"There is no net of this name.{''.join(hint)} Expected one of "
        f"{', '.join(names())}, or wrn_D_K (WResNet-D-K) with any depth D = 6n + 4 and "
        f"width K >= 1; case, '-' and '_' do not matter. Received: name={name!r}."
    )


def canonical_name(name: str) -> str:
    """The one spelling of a net's name that run folders and keys use.

    >>> canonical_name("WResNet-16-4")
    'wrn_16_4'

    Raises:
        ValueError: there is no net of this name.
    """
    return _resolve(name)[0]


def build(
    name: str,
    num_classes: int,
    input_shape=(32, 32, 3),
    *,
    mean=None,
    std=None,
    dtype=None,
    seed: int | None = None,
) -> Net:
    """Builds a net with fresh weights.

    Args:
        name: one of `names()`, or a WResNet of any depth and width; case, "-" and "_"
            do not matter ("wrn_16_4" = "WRN-16-4" = "WResNet-16-4").
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C) of the images.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1]; None means 1.
        dtype: dtype policy or its name ("mixed_bfloat16"); None takes Keras' global.
        seed: of the initial weights: equal seeds give equal nets. None draws fresh
            ones. Keras' and NumPy's global seeds play no role.

    Returns:
        The net, with all its variables.

    Raises:
        ValueError: the name is unknown, or an argument is out of range.
    """
    canonical, constructor = _resolve(name)
    return constructor(
        num_classes,
        input_shape,
        mean=mean,
        std=std,
        dtype=dtype,
        seed=seed,
        name=canonical,
    )
