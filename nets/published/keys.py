"""How the layers of our nets are called in published files."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras

from common.errors import wrong
from nets.base import Net
from nets.mobilenet_v2 import MobileNetV2
from nets.resnet import ResNet
from nets.shufflenet_v1 import ShuffleNetV1
from nets.shufflenet_v2 import ShuffleNetV2
from nets.vgg import VGG
from nets.wresnet import WResNet

_BLOCK = re.compile(r"(stem|stage\d+)/(?:block|unit)(\d+)/(.+)")
_PARTS = ("conv", "bn")  # of our ConvBN

_IN_STATE_DICT = {
    "kernel": "{layer}.weight",
    "bias": "{layer}.bias",
    "gamma": "{layer}.weight",
    "beta": "{layer}.bias",
    "moving_mean": "{layer}.running_mean",
    "moving_variance": "{layer}.running_var",
}
_IN_MAT = {
    "kernel": "{layer}/kernel:0",
    "bias": "{layer}/biases:0",
    "gamma": "{layer}/gamma:0",
    "beta": "{layer}/beta:0",
    "moving_mean": "{layer}/moving_mean:0",
    "moving_variance": "{layer}/moving_var:0",
}


class _Names(NamedTuple):
    """Published names of the layers of one family.

    Attributes:
        outside: our layer -> its name, of layers that are in no block.
        in_block: name of a block's layer, from the number of the stage (the stem of a
            VGG is 0), that of the block from 0, and our name of the layer in it.
    """

    outside: Mapping[str, str]
    in_block: Callable[[int, int, str], str]

    def of(self, layer: str) -> str:
        """The published name of the layer with this path in our net."""
        match = _BLOCK.fullmatch(layer)
        if not match:
            return self.outside[layer]
        stage = int(match[1].removeprefix("stage").replace("stem", "0"))
        return self.in_block(stage, int(match[2]) - 1, match[3])


def _numbered(*layers: str) -> dict[str, str]:
    """ConvBN layers that are published as conv1, bn1, conv2, bn2, ..."""
    return {
        f"{layer}/{part}": f"{part}{number}"
        for number, layer in enumerate(layers, start=1)
        for part in _PARTS
    }


def _sequence(name: str, *layers: str) -> dict[str, str]:
    """ConvBN layers that are published as convolution, normalisation, ReLU, ..."""
    return {
        f"{layer}/{part}": f"{name}.{3 * position + offset}"
        for position, layer in enumerate(layers)
        for offset, part in enumerate(_PARTS)
    }


# The CIFAR nets of RepDistiller, whose files mdistiller shares.


def _resnet(shortcut: str, head: str) -> _Names:
    inside = {"shortcut_conv": f"{shortcut}.0", "shortcut_bn": f"{shortcut}.1"}
    return _Names(
        {"stem_conv": "conv1", "stem_bn": "bn1", "head": head},
        lambda stage, block, layer: f"layer{stage}.{block}.{inside.get(layer, layer)}",
    )


def _wresnet() -> _Names:
    inside = {"shortcut_conv": "convShortcut"}
    return _Names(
        {"stem": "conv1", "last_bn": "bn1", "head": "fc"},
        lambda stage, block, layer: (
            f"block{stage}.layer.{block}.{inside.get(layer, layer)}"
        ),
    )


def _vgg() -> _Names:
    def in_block(stage, block, layer):
        offset = _PARTS.index(layer.removeprefix("conv_bn/"))
        return f"block{stage}.{3 * block + offset}"

    return _Names({"head": "classifier"}, in_block)


def _mobilenet_v2() -> _Names:
    # Blocks of equal width make a group there; some of our stages have two.
    sizes = {1: (1, 2), 2: (3,), 3: (4, 3), 4: (3, 1)}
    groups, places = 0, {}
    for stage, counts in sizes.items():
        places[stage] = []
        for count in counts:
            places[stage] += [f"{groups}.{position}" for position in range(count)]
            groups += 1
    inside = _sequence("conv", "expand", "depthwise", "project")
    return _Names(
        {**_sequence("conv1", "stem"), **_sequence("conv2", "last"),
         "head": "classifier.0"},
        lambda stage, block, layer: f"blocks.{places[stage][block]}.{inside[layer]}",
    )  # fmt: skip


def _shufflenet_v1() -> _Names:
    inside = _numbered("reduce", "depthwise", "expand")
    return _Names(
        {**_numbered("stem"), "head": "linear"},
        lambda stage, block, layer: f"layer{stage}.{block}.{inside[layer]}",
    )


def _shufflenet_v2() -> _Names:
    right = ("right1", "right2", "right3")
    first, others = _numbered("left1", "left2", *right), _numbered(*right)

    def in_block(stage, block, layer):
        return f"layer{stage}.{block}.{(others if block else first)[layer]}"

    closing = {"last/conv": "conv2", "last/bn": "bn2"}
    return _Names({**_numbered("stem"), **closing, "head": "linear"}, in_block)


def _in_state_dict(net: Net) -> _Names | None:
    if isinstance(net, ResNet):
        # Those of four stages for small images are a family of their own there.
        is_other = len(net.num_blocks) == 4 and not net.large_stem
        return _resnet(*(("shortcut", "linear") if is_other else ("downsample", "fc")))
    if isinstance(net, ShuffleNetV2) and net.relu_first:
        return None  # PkuDavidGuan's, of which no file is known
    families = {
        WResNet: _wresnet,
        VGG: _vgg,
        MobileNetV2: _mobilenet_v2,
        ShuffleNetV1: _shufflenet_v1,
        ShuffleNetV2: _shufflenet_v2,
    }
    return families[type(net)]() if type(net) in families else None


# The WResNet of the sseung0703 TensorFlow 2 repository.


def _wresnet_in_mat() -> _Names:
    inside = {
        "bn1": "bn",
        "conv1": "conv0",
        "bn2": "bn0",
        "conv2": "conv1",
        "shortcut_conv": "conv2",
    }
    return _Names(
        {"stem": "conv", "last_bn": "bn_last", "head": "fc"},
        lambda stage, block, layer: f"BasicBlock{stage - 1}.{block}/{inside[layer]}",
    )


def _keys(net: Net, names: _Names, forms: Mapping[str, str]):
    keys = {}
    for variable in net.variables:
        _, path = variable.path.split("/", 1)  # begins with the net's own name
        layer, kind = path.rsplit("/", 1)
        keys[forms[kind].format(layer=names.of(layer))] = variable
    return keys


def of_state_dict(net: Net) -> dict[str, keras.Variable]:
    """Key in a PyTorch state_dict -> our variable, for all variables of the net.

    Raises:
        ValueError: it is not known how such a net is published.
    """
    names = _in_state_dict(net)
    if names is None:
        raise wrong(
            "It is not known how PyTorch files call the layers of this net",
            expected="a CIFAR net of RepDistiller or mdistiller",
            received=f"net={net.name!r}, a {type(net).__name__}",
        )
    return _keys(net, names, _IN_STATE_DICT)


def of_mat(net: WResNet) -> dict[str, keras.Variable]:
    """Name in a file of the sseung0703 TensorFlow 2 repository -> our variable."""
    return _keys(net, _wresnet_in_mat(), _IN_MAT)
