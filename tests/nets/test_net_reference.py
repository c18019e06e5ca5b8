"""Logits and taps against a plain NumPy rewrite of the published nets."""

import numpy as np
import pytest

from nets.resnet import ResNet
from nets.wresnet import WResNet
from numpy_layers import NumpyLayers, check, relu, windows


class Rewrite(NumpyLayers):
    """The equations of the residual nets."""

    def resnet(self, x, blocks, large_stem=False):
        x = self.conv(x, "stem_conv", 2 if large_stem else 1)
        x = relu(self.bn(x, "stem_bn"))
        taps = {"stem": x}
        if large_stem:
            x = windows(x, 3, 2, (1, 1), border=-np.inf).max((-2, -1))
        for stage, count in enumerate(blocks, start=1):
            for block in range(1, count + 1):
                at = f"stage{stage}/block{block}"
                stride = 2 if stage > 1 and block == 1 else 1
                y = self.branch(x, at, stride)
                if f"{at}/shortcut_conv/kernel" in self.weights:
                    x = self.conv(x, f"{at}/shortcut_conv", stride)
                    x = self.bn(x, f"{at}/shortcut_bn")
                taps[f"stage{stage}_pre"] = x + y
                x = taps[f"stage{stage}"] = relu(x + y)
        return self.head(x), taps

    def branch(self, x, at, stride):
        if f"{at}/conv3/kernel" not in self.weights:
            x = relu(self.bn(self.conv(x, f"{at}/conv1", stride), f"{at}/bn1"))
            return self.bn(self.conv(x, f"{at}/conv2"), f"{at}/bn2")
        x = relu(self.bn(self.conv(x, f"{at}/conv1"), f"{at}/bn1"))
        x = relu(self.bn(self.conv(x, f"{at}/conv2", stride), f"{at}/bn2"))
        return self.bn(self.conv(x, f"{at}/conv3"), f"{at}/bn3")

    def wresnet(self, x, blocks_per_stage, raw_shortcut=False, pad=None):
        taps = {}
        x = taps["stem"] = self.conv(x, "stem")
        for stage in (1, 2, 3):
            for block in range(1, blocks_per_stage + 1):
                at = f"stage{stage}/block{block}"
                stride = 2 if stage > 1 and block == 1 else 1
                opening = self.bn(x, f"{at}/bn1")
                a = np.maximum(opening, 0)
                if block == 1 and stage > 1:
                    taps[f"stage{stage - 1}_pre"] = opening
                y = self.conv(a, f"{at}/conv1", stride, pad if stride == 2 else None)
                y = np.maximum(self.bn(y, f"{at}/bn2"), 0)
                y = self.conv(y, f"{at}/conv2")
                if f"{at}/shortcut_conv/kernel" in self.weights:
                    x = self.conv(
                        x if raw_shortcut else a, f"{at}/shortcut_conv", stride
                    )
                x = taps[f"stage{stage}"] = x + y
        taps["stage3_pre"] = self.bn(x, "last_bn")
        taps["last_map"] = np.maximum(taps["stage3_pre"], 0)
        return self.head(taps["last_map"]), taps


@pytest.mark.parametrize(("name", "blocks"), [("resnet14", 2), ("resnet8x4", 1)])
def test_resnet(make_net, images, name, blocks):
    net = make_net(name)
    check(net, images, *Rewrite(net).resnet(images.astype("float64"), (blocks,) * 3))


def test_resnet_for_large_images(perturb):
    net = ResNet(
        10,
        (16, 24, 3),
        blocks=(2, 1),
        widths=(32, 64),
        stem_width=16,
        bottleneck=True,
        large_stem=True,
        seed=0,
    )
    perturb(net)
    images = np.random.default_rng(0).normal(size=(2, 16, 24, 3))
    logits, taps = Rewrite(net).resnet(images, (2, 1), large_stem=True)
    check(net, images.astype("float32"), logits, taps)


@pytest.mark.parametrize(("name", "blocks"), [("wrn_16_1", 2), ("wrn_10_2", 1)])
def test_wresnet(make_net, images, name, blocks):
    net = make_net(name)
    check(net, images, *Rewrite(net).wresnet(images.astype("float64"), blocks))


def test_wresnet_of_the_sseung0703_repository(images):
    net = WResNet(10, (8, 8, 3), depth=10, shortcut="raw", padding="same", seed=0)
    logits, taps = Rewrite(net).wresnet(
        images.astype("float64"), 1, raw_shortcut=True, pad=(0, 1)
    )
    check(net, images, logits, taps)
