"""A convolution and its batch normalisation: what mobile nets are made of."""

import keras

from nets.layers import LayerMaker


class ConvBN(keras.layers.Layer):
    """BN(conv(x)), padded as the net pads; the ReLU is left to the caller.

    Args:
        make: the net's layer maker.
        inputs: channels of the input.
        filters: channels of the output.
        kernel_size: height and width of the window, odd.
        name: the layer's name.
        stride: of the window.
        groups: number of channel groups; as many as `inputs`: a depthwise
            convolution.
        bias: whether the convolution has one, although the batch normalisation
            takes it away again, because the published net has.
    """

    def __init__(
        self,
        make: LayerMaker,
        inputs,
        filters,
        kernel_size,
        name,
        *,
        stride=1,
        groups=1,
        bias=False,
    ):
        super().__init__(name=name, dtype=make.dtype)
        self.filters = filters
        limit = None
        if bias:  # PyTorch draws it like the weights; He's nets start it at zero
            fan_in = kernel_size**2 * inputs // groups
            limit = fan_in**-0.5 if make.initial == "fan_in" else 0.0
        shared = {"name": "conv", "stride": stride, "bias_limit": limit}
        self.pad = make.pad(stride, name="pad", kernel_size=kernel_size)
        if groups == inputs > 1:
            self.conv = make.depthwise(inputs, kernel_size, **shared)
        else:
            self.conv = make.conv(filters, kernel_size, groups=groups, **shared)
        self.bn = make.batch_norm(name="bn")

    def build(self, input_shape):
        """Builds the sublayers; of `input_shape` only the channels count."""
        self.conv.build(input_shape)
        self.bn.build((*input_shape[:-1], self.filters))

    def call(self, x, training=False):
        """Returns [B, H / stride, W / stride, filters], before any ReLU."""
        return self.bn(self.conv(self.pad(x)), training=training)
