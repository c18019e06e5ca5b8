"""VGG and the mobile nets against a plain NumPy rewrite of the published ones."""

import numpy as np
import pytest

from numpy_layers import NumpyLayers, check, relu, shuffle, windows


def _concatenate(*maps):
    return np.concatenate(maps, axis=-1)


class Rewrite(NumpyLayers):
    """The nets' equations; each returns (logits, taps)."""

    def vgg8(self, x):
        taps = {}
        for group in ("stem", "stage1", "stage2", "stage3", "stage4"):
            if group in ("stage1", "stage2", "stage3"):
                x = windows(x, 2, 2, (0, 0)).max((-2, -1))
            pre = self.conv_bn(x, f"{group}/block1/conv_bn")
            x = taps[group] = relu(pre)
            taps[f"{group}_pre"] = x if group == "stem" else pre
        return self.head(x), taps

    def depthwise(self, x, layer, stride):
        return self.conv_bn(x, layer, stride, groups=x.shape[-1])

    def mobilenet_v1(self, x):
        x = relu(self.conv_bn(x, "stem", stride=2))
        taps = {"stem": x}
        strides = ((1, 2, 1), (2, 1), (2, 1, 1, 1, 1, 1), (2, 1))
        for stage, steps in enumerate(strides, start=1):
            for block, stride in enumerate(steps, start=1):
                at = f"stage{stage}/block{block}"
                x = relu(self.depthwise(x, f"{at}/depthwise", stride))
                taps[f"stage{stage}_pre"] = self.conv_bn(x, f"{at}/pointwise")
                x = taps[f"stage{stage}"] = relu(taps[f"stage{stage}_pre"])
        return self.head(x), taps

    def mobilenet_v2(self, x):
        x = relu(self.conv_bn(x, "stem", stride=2))
        taps = {"stem": x}
        # "+" where the block adds its input.
        plans = ("1 1 +", "2 + +", "2 + + + 1 + +", "2 + + 1")
        for stage, plan in enumerate(plans, start=1):
            for block, step in enumerate(plan.split(), start=1):
                at = f"stage{stage}/block{block}"
                y = relu(self.conv_bn(x, f"{at}/expand"))
                y = relu(self.depthwise(y, f"{at}/depthwise", 2 if step == "2" else 1))
                y = self.conv_bn(y, f"{at}/project")
                x = x + y if step == "+" else y
            taps |= {f"stage{stage}": x, f"stage{stage}_pre": x}
        taps["last_map_pre"] = self.conv_bn(x, "last")
        return self.head(relu(taps["last_map_pre"])), taps

    def shufflenet_v1(self, x):
        x = relu(self.conv_bn(x, "stem"))
        taps = {"stem": x}
        for stage, units in ((1, 4), (2, 8), (3, 4)):
            for unit in range(1, units + 1):
                at = f"stage{stage}/block{unit}"
                groups = 1 if (stage, unit) == (1, 1) else 3
                y = relu(self.conv_bn(x, f"{at}/reduce", groups=groups))
                y = shuffle(y, groups)
                y = relu(self.depthwise(y, f"{at}/depthwise", 2 if unit == 1 else 1))
                y = self.conv_bn(y, f"{at}/expand", groups=3)
                if unit == 1:
                    pre = _concatenate(y, windows(x, 3, 2, (1, 1)).mean((-2, -1)))
                else:
                    pre = x + y
                x = relu(pre)
            taps |= {f"stage{stage}": x, f"stage{stage}_pre": pre}
        return self.head(x), taps

    def right(self, x, at, stride):
        x = relu(self.conv_bn(x, f"{at}/right1"))
        x = self.depthwise(x, f"{at}/right2", stride)
        return self.conv_bn(x, f"{at}/right3")

    def left(self, x, at):
        return self.conv_bn(self.depthwise(x, f"{at}/left1", 2), f"{at}/left2")

    def shufflenet_v2(self, x):
        x = relu(self.conv_bn(x, "stem"))
        taps = {"stem": x}
        for stage, units in ((1, 4), (2, 8), (3, 4)):
            for unit in range(1, units + 1):
                at = f"stage{stage}/block{unit}"
                if unit == 1:
                    left, right = relu(self.left(x, at)), self.right(x, at, 2)
                else:
                    left, right = np.split(x, 2, axis=-1)
                    right = self.right(right, at, 1)
                x = shuffle(_concatenate(left, relu(right)), 2)
            pre = _concatenate(left, right)
            taps |= {f"stage{stage}": x, f"stage{stage}_pre": pre}
        taps["last_map_pre"] = self.conv_bn(x, "last")
        return self.head(relu(taps["last_map_pre"])), taps

    def shufflenet_v2_of_cinic10(self, x):
        x = self.conv_bn(x, "stem")
        taps = {"stem": x}
        for stage, units in ((1, 4), (2, 8), (3, 4)):
            for unit in range(1, units + 1):
                at = f"stage{stage}/block{unit}"
                x = relu(x)
                if unit == 1:
                    left, right = self.left(x, at), self.right(x, at, 2)
                else:
                    left, right = np.split(x, 2, axis=-1)
                    right = self.right(right, at, 1)
                x = shuffle(_concatenate(left, right), 2)
            taps |= {f"stage{stage}": x, f"stage{stage}_pre": x}
        x = self.conv_bn(relu(x), "stage4/block1/conv_bn")
        taps |= {"stage4": x, "stage4_pre": x, "last_map_pre": x}
        return self.head(relu(x)), taps


@pytest.mark.parametrize(
    ("name", "method", "height"),
    [
        ("vgg8", "vgg8", 8),
        ("MobileNetV1-ImageNet", "mobilenet_v1", 32),
        ("MobileNetV2", "mobilenet_v2", 16),
        ("ShuffleV1", "shufflenet_v1", 8),
        ("ShuffleV2", "shufflenet_v2", 8),
        ("shufflenetV2-0.5", "shufflenet_v2_of_cinic10", 8),
    ],
)
def test_net(make_net, name, method, height):
    net = make_net(name, input_shape=(height, 2 * height, 3))
    _random_biases(net)
    images = np.random.default_rng(1).normal(size=(2, *net.image_shape))
    logits, taps = getattr(Rewrite(net), method)(images)
    check(net, images.astype("float32"), logits, taps)
    assert np.ptp(logits) > 1e-3


def _random_biases(net):
    rng = np.random.default_rng(3)
    for variable in net.variables:
        if variable.name == "bias":
            variable.assign(rng.normal(size=variable.shape))
