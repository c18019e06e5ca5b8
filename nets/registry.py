"""Names of the nets, as users of the field know them."""

import difflib
import functools
import re
from collections.abc import Callable
from typing import Any

from common.errors import wrong
from nets import registration
from nets.base import Net
from nets.mobilenet_v1 import MobileNetV1
from nets.mobilenet_v2 import MobileNetV2
from nets.resnet import ResNet
from nets.shufflenet_v1 import ShuffleNetV1
from nets.shufflenet_v2 import ShuffleNetV2
from nets.vgg import VGG
from nets.wresnet import WResNet, checked_size

_WIDE4: dict[str, Any] = {"widths": (64, 128, 256), "stem_width": 32}
_BASIC: dict[str, Any] = {"widths": (64, 128, 256, 512), "stem_width": 64}
_BOTTLENECK: dict[str, Any] = {
    "widths": (256, 512, 1024, 2048),
    "stem_width": 64,
    "bottleneck": True,
}
_IMAGENET: dict[str, Any] = {"input_shape": (224, 224, 3), "large_stem": True}
_CINIC = functools.partial(ShuffleNetV2, order="pre_activation")

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
    "ResNet18": functools.partial(ResNet, blocks=(2, 2, 2, 2), **_BASIC),
    "ResNet50": functools.partial(ResNet, blocks=(3, 4, 6, 3), **_BOTTLENECK),
    "vgg8": functools.partial(VGG, blocks=(1, 1, 1, 1, 1)),
    "vgg11": functools.partial(VGG, blocks=(1, 1, 2, 2, 2)),
    "vgg13": functools.partial(VGG, blocks=(2, 2, 2, 2, 2)),
    "vgg16": functools.partial(VGG, blocks=(2, 2, 3, 3, 3)),
    "vgg19": functools.partial(VGG, blocks=(2, 2, 4, 4, 4)),
    "MobileNetV2": MobileNetV2,
    "ShuffleV1": ShuffleNetV1,
    "ShuffleV2": ShuffleNetV2,
    "shufflenetV2-0.5": functools.partial(_CINIC, widths=(48, 96, 192)),
    "shufflenetV2-1.0": functools.partial(_CINIC, widths=(116, 232, 464)),
    "shufflenetV2-2.0": functools.partial(
        _CINIC, widths=(244, 488, 976), last_width=2048
    ),
    "ResNet18-ImageNet": functools.partial(
        ResNet, blocks=(2, 2, 2, 2), **_BASIC, **_IMAGENET
    ),
    "ResNet34-ImageNet": functools.partial(
        ResNet, blocks=(3, 4, 6, 3), **_BASIC, **_IMAGENET
    ),
    "ResNet50-ImageNet": functools.partial(
        ResNet, blocks=(3, 4, 6, 3), **_BOTTLENECK, **_IMAGENET
    ),
    "MobileNetV1-ImageNet": MobileNetV1,
}

# WResNets of any depth and width are built; these are the ones that are listed.
_LISTED_WRESNETS = (
    "wrn_10_1 wrn_16_1 wrn_16_2 wrn_16_4 wrn_28_2 wrn_28_4 wrn_28_10 "
    "wrn_40_1 wrn_40_2 wrn_40_4"
).split()
_WRESNET = re.compile(r"(?:wrn|wresnet)-?(\d+)-(\d+)")

# Name -> what `register` added, in the order in which it did.
_REGISTERED: dict[str, registration.Registered] = {}


def register(
    name: str, *, scaling: str | None = None
) -> Callable[[Callable], Callable]:
    """Makes a net of one's own one that is known by name.

    >>> @register("tiny")
    ... def tiny(num_classes, input_shape): return keras.Sequential(...)

    What is registered is called with `(num_classes, input_shape)` and, by name, those
    of `mean`, `std`, `dtype`, `seed` and `name` that it takes, see `build`. A class is
    registered with Keras, too, under this name, unless it is already. The same function
    or class registered again takes the place of the earlier one.

    Args:
        name: a letter, then letters, digits, "_", "-" and points before digits.
        scaling: how the Keras model that a function returns wants pixels, see `wrap`;
            None: what its own rescaling expects; without one "normalised".

    Returns:
        A decorator of a subclass of `nets.Net`, or of a function that returns one or a
        Keras model, which is wrapped. It returns the same.

    Raises:
        ValueError: the name cannot be one or is taken, or this makes no nets.
    """
    registration.check_name(name)

    def add(maker: Callable) -> Callable:
        found = registration.Registered(name, maker, scaling)
        owner = _known(name)
        earlier = _REGISTERED.get(name)
        if owner and not (earlier and found.replaces(earlier)):
            raise wrong(
                "This is the name of another net",
                expected="a name that none has, or the same function or class again",
                received=f"{name=} for {'.'.join(found.origin)}, which is {owner}",
            )
        found.tell_keras()
        _REGISTERED[name] = found
        return maker

    return add


def names() -> tuple[str, ...]:
    """The published names; `build` takes every other WResNet depth and width, too.

    Those of `register` come last.
    """
    return (*_NETS, *_LISTED_WRESNETS, *_REGISTERED)


def is_registered(name: str) -> bool:
    """Whether a net, given its canonical name, is one of `register`."""
    return name in _REGISTERED


def _plain(name: str) -> str:
    return re.sub("[-_]", "", name.lower())


def _known(name: str) -> str:
    """The canonical name; "" if there is no such net, or no WResNet of this depth."""
    try:
        return _resolve(name)[0]
    except ValueError:
        return ""


def _resolve(name: str):
    """Returns (canonical name, constructor)."""
    for published, constructor in {**_NETS, **_REGISTERED}.items():
        if _plain(published) == _plain(name):
            return published, constructor
    match = _WRESNET.fullmatch(name.lower().replace("_", "-"))
    if match:
        depth, width = checked_size(*map(int, match.groups()))
        constructor = functools.partial(WResNet, depth=depth, width=width)
        return f"wrn_{depth}_{width}", constructor
    spelled = {_plain(known): known for known in names()}
    close = difflib.get_close_matches(_plain(name), spelled, n=1)
    raise wrong(
        "There is no net of this name",
        nearest=spelled[close[0]] if close else "",
        expected=f"one of {', '.join(names())}, or wrn_D_K (WResNet-D-K) with any "
        "depth D = 6n + 4 and width K >= 1; case, '-' and '_' do not matter; one of "
        "your own needs --imports=FILE.py",
        name=name,
    )


def canonical_name(name: str) -> str:
    """The one spelling of a net's name that run folders and keys use.

    >>> canonical_name("WResNet-16-4")
    'wrn_16_4'

    Raises:
        ValueError: there is no net of this name, or no WResNet of this depth.
    """
    return _resolve(name)[0]


def build(
    name: str,
    num_classes: int,
    input_shape=None,
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
        input_shape: (H, W, C) of the images; None takes the published net's: (224,
            224, 3) for the names with "ImageNet", otherwise (32, 32, 3).
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
    shape = {} if input_shape is None else {"input_shape": input_shape}
    return constructor(
        num_classes,
        **shape,
        mean=mean,
        std=std,
        dtype=dtype,
        seed=seed,
        name=canonical,
    )
