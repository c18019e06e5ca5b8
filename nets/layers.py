"""Layers with the defaults that the published convolutional nets share."""

import keras
import numpy as np

from nets.batch_norm import BatchNormalization

PADDINGS = ("symmetric", "same")


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

    Raises:
        ValueError: `seed` is not a non-negative integer, or `padding` is unknown.
    """

    def __init__(self, dtype, seed: int | None = None, padding: str = "symmetric"):
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(
                "The seed of the initial weights is not usable. Expected a "
                f"non-negative integer or None. Received: seed={seed!r}."
            )
        if padding not in PADDINGS:
            raise ValueError(
                f"The padding is unknown. Expected one of {PADDINGS}. "
                f"Received: padding={padding!r}."
            )
        self.dtype = dtype
        self.padding = padding
        self._seeds = np.random.SeedSequence(None if seed is None else int(seed))

    def _next_seed(self) -> int:
        (child,) = self._seeds.spawn(1)
        return int(child.generate_state(1)[0] >> 1)  # Keras wants an int32

    def pad(self, stride: int, name: str) -> keras.layers.Layer:
        """What precedes a 3x3 convolution of this stride; often nothing."""
        # With stride 1, "same" is symmetric already and costs no extra operation.
        if stride == 1 or self.padding == "same":
            return keras.layers.Identity(name=name, dtype=self.dtype)
        return keras.layers.ZeroPadding2D(1, name=name, dtype=self.dtype)

    def conv(
        self, filters: int, kernel_size: int, name: str, stride: int = 1
    ) -> keras.layers.Conv2D:
        """Convolution without bias; He normal over fan-out, not truncated.

        A strided one wider than 1x1 expects its input from `pad(stride)`.
        """
        same = stride == 1 or self.padding == "same"
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            padding="same" if same else "valid",
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal", seed=self._next_seed()
            ),
            name=name,
            dtype=self.dtype,
        )

    def batch_norm(self, name: str) -> BatchNormalization:
        """Batch normalisation with PyTorch's constants."""
        return BatchNormalization(
            momentum=0.9, epsilon=1e-5, name=name, dtype=self.dtype
        )

    def dense(
        self, inputs: int, units: int, name: str, zero_bias: bool = False
    ) -> keras.layers.Dense:
        """Dense layer; weight and bias uniform in +-1 / sqrt(inputs) (PyTorch).

        Args:
            inputs: size of the input vector.
            units: size of the output vector.
            name: the layer's name.
            zero_bias: start with bias 0 instead.
        """
        limit = inputs**-0.5
        weight_seed, bias_seed = self._next_seed(), self._next_seed()
        uniform = keras.initializers.RandomUniform
        return keras.layers.Dense(
            units,
            kernel_initializer=uniform(-limit, limit, seed=weight_seed),
            bias_initializer="zeros"
            if zero_bias
            else uniform(-limit, limit, seed=bias_seed),
            name=name,
            dtype=self.dtype,
        )


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
        for block in self.blocks:
            block.build(input_shape)
            input_shape = (*input_shape[:-1], block.filters)

    def call(self, x, training=False):
        """Returns the last block's output and all blocks' pre-activations."""
        pre_activations = []
        for block in self.blocks:
            x, pre_activation = block(x, training=training)
            pre_activations.append(pre_activation)
        return x, tuple(pre_activations)
