"""Logits and taps against a plain NumPy rewrite of the published nets."""

import numpy as np
import pytest

from nets.wresnet import WResNet


class Rewrite:
    """The nets' equations in float64, on a net's weights by their path."""

    def __init__(self, net):
        self.weights = {
            v.path.split("/", 1)[1]: v.numpy().astype(np.float64) for v in net.variables
        }

    def conv(self, x, layer, stride=1, pad=None):
        kernel = self.weights[f"{layer}/kernel"]
        size = kernel.shape[0]
        before, after = pad or (size // 2, size // 2)
        x = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
        return np.einsum(
            "bhwcij,ijco->bhwo", windows[:, ::stride, ::stride], kernel, optimize=True
        )

    def bn(self, x, layer):
        gamma, beta, mean, variance = (
            self.weights[f"{layer}/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def head(self, x):
        embedding = x.mean((1, 2))
        return embedding @ self.weights["head/kernel"] + self.weights["head/bias"]

    def resnet(self, x, blocks_per_stage):
        taps = {}
        x = np.maximum(self.bn(self.conv(x, "stem_conv"), "stem_bn"), 0)
        for stage in (1, 2, 3):
            for block in range(1, blocks_per_stage + 1):
                at = f"stage{stage}/block{block}"
                stride = 2 if stage > 1 and block == 1 else 1
                y = np.maximum(
                    self.bn(self.conv(x, f"{at}/conv1", stride), f"{at}/bn1"), 0
                )
                y = self.bn(self.conv(y, f"{at}/conv2"), f"{at}/bn2")
                if f"{at}/shortcut_conv/kernel" in self.weights:
                    x = self.conv(x, f"{at}/shortcut_conv", stride)
                    x = self.bn(x, f"{at}/shortcut_bn")
                taps[f"stage{stage}_pre"] = x + y
                x = taps[f"stage{stage}"] = np.maximum(x + y, 0)
        return self.head(x), taps

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


def _check(output, logits, taps):
    np.testing.assert_allclose(output.logits, logits, rtol=1e-4, atol=1e-5)
    for name, tap in taps.items():
        np.testing.assert_allclose(output.taps[name], tap, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "blocks"), [("resnet14", 2), ("resnet8x4", 1)])
def test_resnet(make_net, images, name, blocks):
    net = make_net(name)
    logits, taps = Rewrite(net).resnet(images.astype("float64"), blocks)
    _check(net(images, with_taps=True), logits, taps)


@pytest.mark.parametrize(("name", "blocks"), [("wrn_16_1", 2), ("wrn_10_2", 1)])
def test_wresnet(make_net, images, name, blocks):
    net = make_net(name)
    logits, taps = Rewrite(net).wresnet(images.astype("float64"), blocks)
    _check(net(images, with_taps=True), logits, taps)


def test_wresnet_of_the_sseung0703_repository(images):
    net = WResNet(10, (8, 8, 3), depth=10, shortcut="raw", padding="same", seed=0)
    logits, taps = Rewrite(net).wresnet(
        images.astype("float64"), 1, raw_shortcut=True, pad=(0, 1)
    )
    _check(net(images, with_taps=True), logits, taps)
