"""Trained layers that bring a student's map to the shape of the teacher's."""

from collections.abc import Sequence

import keras
import tensorflow as tf


def pointwise(channels: int, name: str, **kwargs) -> keras.layers.Conv2D:
    """A 1x1 convolution in float32, initialised as in the published code.

    Args:
        channels: number of output channels.
        name: of the layer.
        **kwargs: `use_bias` and the like of `keras.layers.Conv2D`.
    """
    return keras.layers.Conv2D(
        channels, 1, kernel_initializer=_uniform(), dtype="float32", name=name, **kwargs
    )


def _uniform():
    # U(+-1 / sqrt(fan in)): PyTorch's default, which the methods' authors left as is.
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _resize(student_shape, teacher_shape) -> tuple[keras.layers.Layer, ...]:
    """The convolution that gives the teacher's height, width and channels."""
    (rows, columns, _), (height, width, channels) = student_shape, teacher_shape
    common = {
        "filters": channels,
        "kernel_initializer": _uniform(),
        "dtype": "float32",
        "name": "convolution",
    }
    if (rows, columns) == (2 * height, 2 * width):
        # Padded by hand: Keras' "same" would pad at the bottom and right alone.
        return (
            keras.layers.ZeroPadding2D(1, dtype="float32", name="padding"),
            keras.layers.Conv2D(kernel_size=3, strides=2, **common),
        )
    if (2 * rows, 2 * columns) == (height, width):
        # "same" crops one cell at each side of the full result, as padding 1 does.
        return (
            keras.layers.Conv2DTranspose(
                kernel_size=4, strides=2, padding="same", **common
            ),
        )
    if rows >= height and columns >= width:
        kernel = (1 + rows - height, 1 + columns - width)
        return (keras.layers.Conv2D(kernel_size=kernel, **common),)
    raise ValueError(
        "The connector cannot bring the student's map to the teacher's size. Expected "
        "a student's map of half the teacher's height and width, or one at least as "
        f"large. Received: student (H, W, C) = {tuple(student_shape)}, teacher "
        f"(H, W, C) = {tuple(teacher_shape)}. Choose other maps with taps=S:T."
    )


class ConvConnector(keras.layers.Layer):
    """Convolution with bias, batch norm and ReLU to the teacher's (H, W, C).

    The convolution depends on the sizes: from twice the teacher's 3x3 with stride 2
    and padding 1; from half of it 4x4 transposed with stride 2 and padding 1;
    otherwise a valid one with kernel (1 + Hs - Ht, 1 + Ws - Wt), 1x1 for equal sizes.

    Source: `ConvReg` of HobbitLong/RepDistiller, after the regressor of Romero et al.,
    FitNets, https://arxiv.org/abs/1412.6550, section 2.2.

    Args:
        student_shape: (H, W, C) of the maps that come in.
        teacher_shape: (H, W, C) of the result.
        relu: whether a ReLU ends it; AB's connector has none.
        name: of the layer.

    Raises:
        ValueError: the student's map is smaller than the teacher's, and not by half.
    """

    def __init__(self, student_shape, teacher_shape, *, relu: bool = True, name=None):
        # float32 whatever the policy: losses are never computed in half precision.
        super().__init__(dtype="float32", name=name)
        self.student_shape = tuple(student_shape)
        self.teacher_shape = tuple(teacher_shape)
        self.relu = relu
        self.resize = _resize(self.student_shape, self.teacher_shape)
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="norm"
        )
        # Built at once: what is built in a step would miss the optimizer.
        self.build((None, *self.student_shape))

    def build(self, input_shape):
        """Creates the variables."""
        for layer in self.resize:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.norm.build(input_shape)
        self.built = True

    def call(self, maps, training=True) -> tf.Tensor:
        """Maps [B, Hs, Ws, Cs] to [B, Ht, Wt, Ct].

        Args:
            maps: the student's.
            training: whether the batch norm uses and updates batch statistics.
        """
        for layer in self.resize:
            maps = layer(maps)
        maps = self.norm(maps, training=training)
        return tf.nn.relu(maps) if self.relu else maps


class PointwiseConnector(keras.layers.Layer):
    """1x1 convolution without bias and batch norm to the teacher's channels.

    Source: the connector of Heo et al., A Comprehensive Overhaul of Feature
    Distillation, https://arxiv.org/abs/1904.01866, section 3.

    Args:
        student_channels: channels of the maps that come in.
        teacher_channels: channels of the result.
        name: of the layer.
    """

    def __init__(self, student_channels: int, teacher_channels: int, *, name=None):
        super().__init__(dtype="float32", name=name)
        self.student_channels = student_channels
        self.convolution = keras.layers.Conv2D(
            teacher_channels,
            1,
            use_bias=False,
            # As the authors' code: normal, variance 2 / (output channels).
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            dtype="float32",
            name="convolution",
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="norm"
        )
        self.build((None, None, None, student_channels))

    def build(self, input_shape):
        """Creates the variables."""
        self.convolution.build(input_shape)
        self.norm.build(self.convolution.compute_output_shape(input_shape))
        self.built = True

    def call(self, maps, training=True) -> tf.Tensor:
        """Maps [B, H, W, Cs] to [B, H, W, Ct].

        Args:
            maps: the student's.
            training: whether the batch norm uses and updates batch statistics.
        """
        return self.norm(self.convolution(maps), training=training)


class ConvStack(keras.layers.Layer):
    """3x3 convolutions of stride 1, each followed by batch norm and leaky ReLU.

    Source: paraphraser and translator of Kim et al., Paraphrasing Complex Network:
    Network Compression via Factor Transfer, https://arxiv.org/abs/1802.04977.

    Args:
        widths: channels of the maps that come in, then of each convolution's result.
        transposed: whether the convolutions are transposed ones.
        batch_norm: whether there are batch norms; the convolutions have a bias where
            there are none.
        slope: of the leaky ReLU below 0.
        name: of the layer.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        transposed: bool = False,
        batch_norm: bool = True,
        slope: float = 0.1,
        name=None,
    ):
        super().__init__(dtype="float32", name=name)
        self.widths = tuple(widths)
        self.slope = slope
        kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
        self.convolutions = tuple(
            kind(
                width,
                3,
                padding="same",
                use_bias=not batch_norm,
                kernel_initializer=_uniform(),
                dtype="float32",
                name=f"convolution_{i}",
            )
            for i, width in enumerate(self.widths[1:])
        )
        self.norms = tuple(
            keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, dtype="float32", name=f"norm_{i}"
            )
            for i in range(len(self.convolutions) if batch_norm else 0)
        )
        self.build((None, None, None, self.widths[0]))

    def build(self, input_shape):
        """Creates the variables."""
        spatial = input_shape[:-1]
        for convolution, width in zip(self.convolutions, self.widths, strict=False):
            convolution.build((*spatial, width))
        for norm, width in zip(self.norms, self.widths[1:], strict=False):
            norm.build((*spatial, width))
        self.built = True

    def call(self, maps, training=True) -> tf.Tensor:
        """Maps [B, H, W, first width] to [B, H, W, last width].

        Args:
            maps: of any size.
            training: whether the batch norms use and update batch statistics.
        """
        for i, convolution in enumerate(self.convolutions):
            maps = convolution(maps)
            if self.norms:
                maps = self.norms[i](maps, training=training)
            maps = tf.nn.leaky_relu(maps, self.slope)
        return maps
