"""Layers with the defaults that the published convolutional nets share."""

import keras
import numpy as np

from common.errors import wrong
from nets.batch_norm import BatchNormalization
from nets.grouped import GroupedConv2D

PADDINGS = ("symmetric", "same")
INITIALS = ("fan_out", "fan_in")


class LayerMaker:
    """Makes the layers of one net: one precision, one stream of seeds.

    Every layer with weights takes the next seed, so that a net's weights depend on
    its seed alone, not on what was built before, and no global random state is
    read or advanced.

    Args:
        dtype: dtype policy of all layers.
        seed: non-negative integer, or None for fresh entropy from the operating
            system.
        padding: of strided convolutions wider than 1x1. "symmetric" is one pixel on
            every side, as in the PyTorch nets; "same" is TensorFlow's, which pads
            even sizes at the bottom and right only.
        initial: distribution of the convolutions' weights. "fan_out" is He normal
            over fan-out, not truncated; "fan_in" is uniform in +-1 / sqrt(fan-in),
            what PyTorch does where a net does not say otherwise.

    Raises:
        ValueError: `seed` is not a non-negative integer, or `padding` or `initial`
            is unknown.
    """

    def __init__(
        self,
        dtype,
        seed: int | None = None,
        padding: str = "symmetric",
        initial: str = "fan_out",
    ):
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise wrong(
                "The seed of the initial weights is not usable",
                expected="a non-negative integer or None",
                received=f"{seed=}",
            )
        if padding not in PADDINGS:
            raise wrong(
                "The padding is unknown", expected=f"one of {PADDINGS}", padding=padding
            )
        if initial not in INITIALS:
            raise wrong(
                "The distribution of the initial weights is unknown",
                expected=f"one of {INITIALS}",
                initial=initial,
            )
        self.dtype = dtype
        self.padding = padding
        self.initial = initial
        self._seeds = np.random.SeedSequence(None if seed is None else int(seed))

    def _next_seed(self) -> int:
        (child,) = self._seeds.spawn(1)
        return int(child.generate_state(1)[0] >> 1)  # Keras wants an int32

    def _uniform(self, limit: float) -> keras.initializers.Initializer:
        return keras.initializers.RandomUniform(-limit, limit, seed=self._next_seed())

    def pad(self, stride: int, name: str, kernel_size: int = 3) -> keras.layers.Layer:
        """What precedes a convolution of this stride and size; often nothing."""
        # With stride 1, "same" is symmetric already and costs no extra operation.
        if stride == 1 or kernel_size == 1 or self.padding == "same":
            return keras.layers.Identity(name=name, dtype=self.dtype)
        return keras.layers.ZeroPadding2D(kernel_size // 2, name=name, dtype=self.dtype)

    def _placement(self, stride: int) -> dict:
        same = stride == 1 or self.padding == "same"
        return {"strides": stride, "padding": "same" if same else "valid"}

    def _bias(self, limit: float | None) -> dict:
        if not limit:
            return {"use_bias": limit is not None}
        return {"use_bias": True, "bias_initializer": self._uniform(limit)}

    def conv(
        self,
        filters: int,
        kernel_size: int,
        name: str,
        stride: int = 1,
        groups: int = 1,
        bias_limit: float | None = None,
    ) -> keras.layers.Conv2D:
        """Convolution.

        A strided one wider than 1x1 expects its input from `pad`.

        Args:
            filters: channels of the output.
            kernel_size: height and width of the window.
            name: the layer's name.
            stride: of the window.
            groups: number of channel groups that do not see each other.
            bias_limit: the bias starts uniform in +-bias_limit; None is no bias.
        """
        scale, mode, distribution = {
            "fan_out": (2.0, "fan_out", "untruncated_normal"),
            "fan_in": (1 / 3, "fan_in", "uniform"),
        }[self.initial]
        kernel_initializer = keras.initializers.VarianceScaling(
            scale, mode, distribution, seed=self._next_seed()
        )
        grouped = {"groups": groups} if groups > 1 else {}
        return (GroupedConv2D if grouped else keras.layers.Conv2D)(
            filters,
            kernel_size,
            kernel_initializer=kernel_initializer,
            name=name,
            dtype=self.dtype,
            **grouped,
            **self._placement(stride),
            **self._bias(bias_limit),
        )

    def depthwise(
        self,
        channels: int,
        kernel_size: int,
        name: str,
        stride: int = 1,
        bias_limit: float | None = None,
    ) -> keras.layers.DepthwiseConv2D:
        """Convolution of each channel alone; arguments as those of `conv`."""
        # Keras' fans take a depthwise kernel for a full one. PyTorch's He fan-out
        # has all channels in it, its fan-in only the window.
        window = kernel_size**2
        kernel_initializer = (
            self._uniform(window**-0.5)
            if self.initial == "fan_in"
            else keras.initializers.RandomNormal(
                stddev=(2 / (window * channels)) ** 0.5, seed=self._next_seed()
            )
        )
        return keras.layers.DepthwiseConv2D(
            kernel_size,
            depthwise_initializer=kernel_initializer,
            name=name,
            dtype=self.dtype,
            **self._placement(stride),
            **self._bias(bias_limit),
        )

    def batch_norm(self, name: str) -> BatchNormalization:
        """Batch normalisation with PyTorch's constants."""
        return BatchNormalization(
            momentum=0.9, epsilon=1e-5, name=name, dtype=self.dtype
        )

    def dense(
        self,
        inputs: int,
        units: int,
        name: str,
        zero_bias: bool = False,
        std: float | None = None,
    ) -> keras.layers.Dense:
        """Dense layer; weight and bias uniform in +-1 / sqrt(inputs) (PyTorch).

        Args:
            inputs: size of the input vector.
            units: size of the output vector.
            name: the layer's name.
            zero_bias: start with bias 0 instead.
            std: start with normal weights of this standard deviation instead.
        """
        limit = inputs**-0.5
        if std is None:
            weights = self._uniform(limit)
        else:
            weights = keras.initializers.RandomNormal(
                stddev=std, seed=self._next_seed()
            )
        return keras.layers.Dense(
            units,
            kernel_initializer=weights,
            bias_initializer="zeros" if zero_bias else self._uniform(limit),
            name=name,
            dtype=self.dtype,
        )


def build_chain(layers, input_shape) -> tuple:
    """Builds layers that follow each other; returns the last one's output shape.

    Args:
        layers: layers with an attribute `filters`, their number of output channels.
        input_shape: of the first one; only the channels count.
    """
    for layer in layers:
        layer.build(input_shape)
        input_shape = (*input_shape[:-1], layer.filters)
    return input_shape


class Stage(keras.layers.Layer):
    """Blocks in sequence, each of which returns `(output, pre-activation)`.

    Args:
        blocks: layers with an attribute `filters`, their number of output channels.
        name: the layer's name.
        dtype: dtype policy.
    """

    def __init__(self, blocks, name: str, dtype):
        super().__init__(name=name, dtype=dtype)
        # A tuple: tf.train.Checkpoint skips layers that Keras models keep in lists.
        self.blocks = tuple(blocks)
        self.filters = self.blocks[-1].filters

    def build(self, input_shape):
        """Builds the blocks; of `input_shape` only the channels count."""
        build_chain(self.blocks, input_shape)

    def call(self, x, training=False):
        """Returns the last block's output and all blocks' pre-activations."""
        pre_activations = []
        for block in self.blocks:
            x, pre_activation = block(x, training=training)
            pre_activations.append(pre_activation)
        return x, tuple(pre_activations)
