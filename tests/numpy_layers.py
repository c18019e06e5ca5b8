"""Layers in NumPy, float64, on the weights of one of our nets."""

import numpy as np


def relu(x):
    """max(x, 0)."""
    return np.maximum(x, 0)


def shuffle(x, groups):
    """Channel j of the output is channel j // groups of group j % groups."""
    size = x.shape[-1] // groups
    return x[..., [(j % groups) * size + j // groups for j in range(x.shape[-1])]]


def windows(x, size, stride, pad, border=0.0):
    """[B, h, w, C, size, size], after padding (before, after) with `border`."""
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)), constant_values=border)
    x = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    return x[:, ::stride, ::stride]


class NumpyLayers:
    """The layers of a net by their path, as `net.variables` have it."""

    def __init__(self, net):
        self.weights = {
            v.path.split("/", 1)[1]: v.numpy().astype(np.float64) for v in net.variables
        }

    def conv(self, x, layer, stride=1, pad=None, groups=1):
        kernel = self.weights[f"{layer}/kernel"]
        size = kernel.shape[0]
        x = windows(x, size, stride, pad or (size // 2, size // 2))
        if groups == x.shape[3]:  # [size, size, C, 1]: one window for each channel
            y = np.einsum("bhwcij,ijc->bhwc", x, kernel[..., 0])
        else:
            pieces = zip(
                np.split(x, groups, axis=3),
                np.split(kernel, groups, axis=3),
                strict=True,
            )
            y = [np.einsum("bhwcij,ijco->bhwo", *p, optimize=True) for p in pieces]
            y = np.concatenate(y, axis=-1)
        return y + self.weights.get(f"{layer}/bias", 0.0)

    def bn(self, x, layer):
        gamma, beta, mean, variance = (
            self.weights[f"{layer}/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def conv_bn(self, x, layer, stride=1, groups=1):
        x = self.conv(x, f"{layer}/conv", stride, groups=groups)
        return self.bn(x, f"{layer}/bn")

    def head(self, x):
        embedding = x.mean((1, 2))
        return embedding @ self.weights["head/kernel"] + self.weights["head/bias"]


def check(net, images, logits, taps):
    """A net's output is this one."""
    output = net(images, with_taps=True)
    np.testing.assert_allclose(output.logits, logits, rtol=1e-4, atol=1e-5)
    for name, tap in taps.items():
        # Of sums and concatenations of large entries float32 leaves less in small ones.
        atol = 1e-6 * max(10.0, np.max(np.abs(tap)))
        np.testing.assert_allclose(
            output.taps[name], tap, rtol=1e-4, atol=atol, err_msg=name
        )
