"""What all nets share: data facts, pooling, head, taps, configuration."""

import math
import numbers

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from common.errors import wrong
from nets import class_names
from nets.layers import LayerMaker
from nets.taps import Output, TapSpec


def checked_count(name: str, value, minimum: int = 1) -> int:
    """Returns `value` as an int; ValueError unless it is one and >= `minimum`."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < minimum:
        raise wrong(
            f"{name} is not usable",
            expected=f"an integer of at least {minimum}",
            received=f"{name}={value!r}",
        )
    return int(value)


def checked_stages(blocks, widths) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the stages' numbers of blocks and widths; ValueError if they misfit."""
    if not blocks or len(blocks) != len(widths):
        raise wrong(
            "Stages are given by their numbers of blocks and their widths",
            expected="as many of the one as of the other, at least one",
            blocks=tuple(blocks),
            widths=tuple(widths),
        )
    return (
        tuple(checked_count("blocks", count) for count in blocks),
        tuple(checked_count("widths", width) for width in widths),
    )


def _check_image_shape(input_shape, stride: int) -> tuple[int, int, int]:
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise wrong(
            "The input shape is not that of an image",
            expected="(height, width, channels)",
            input_shape=shape,
        )
    shape = tuple(map(checked_count, ("height", "width", "channels"), shape))
    if shape[0] % stride or shape[1] % stride:
        raise wrong(
            f"The net halves its maps until they are {stride} times smaller",
            expected=f"a height and width that {stride} divides",
            input_shape=shape,
        )
    return shape


def _check_per_channel(name, values, default: float, channels: int):
    values = (default,) * channels if values is None else tuple(map(float, values))
    if len(values) != channels or not all(map(math.isfinite, values)):
        raise wrong(
            f"{name} does not fit the images",
            expected=f"{channels} finite numbers, one for each channel",
            received=f"{name}={values}",
        )
    return values


def check_float(images) -> None:
    """Raises ValueError unless the images are of a floating type."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise wrong(
            "Pixels must be normalised first",
            expected="float images: net(net.normalise(images))",
            received=f"images.dtype={dtype}",
        )


class Net(keras.Model):
    """Base class of the nets: an ordinary Keras model that can show its taps.

    A subclass makes `self.head` and its other sublayers, ends its constructor with
    `self.build((None, *self.image_shape))`, and implements `build`, `maps` and
    `map_specs`; `get_config` adds its own constructor arguments.

    Args:
        num_classes: number of logits, at least 2.
        input_shape: (H, W, C) of the images.
        stride: how many times smaller than the image the last map is.
        mean: per channel, of pixels in [0, 1]; None means 0.
        std: per channel, of pixels in [0, 1], positive; None means 1.
        **kwargs: `name`, `dtype` and `trainable` of `keras.Model`.

    Attributes:
        num_classes: number of logits.
        image_shape: (H, W, C).
        mean: tuple with one number for each channel.
        std: tuple with one number for each channel.
        head: the dense layer; `head(embedding)` gives logits.
        class_names: what the logits stand for, in their order; None is unknown. Who
            trains the net sets them; they are saved with it.

    Raises:
        ValueError: an argument is out of range or they contradict each other.
    """

    def __init__(self, num_classes, input_shape, *, stride, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = checked_count("num_classes", num_classes, minimum=2)
        self.image_shape = _check_image_shape(input_shape, stride)
        self.total_stride = stride
        channels = self.image_shape[-1]
        self.mean = _check_per_channel("mean", mean, 0.0, channels)
        self.std = _check_per_channel("std", std, 1.0, channels)
        if min(self.std) <= 0:
            raise wrong(
                "Pixels are divided by std", expected="positive numbers", std=self.std
            )
        self.input_spec = keras.layers.InputSpec(shape=(None, *self.image_shape))
        self.class_names = None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the logits stand for; set to other than `num_classes` names raises."""
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        self._class_names = class_names.checked(names, self.num_classes)

    @property
    def converts_pixels(self) -> bool:
        """Whether it computes other pixels of the images before anything else."""
        return False

    # What a subclass implements.

    def maps(self, images, training) -> dict[str, tf.Tensor]:
        """All taps but the embedding, by name; with `last_map`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement maps().")

    def map_specs(self) -> dict[str, TapSpec]:
        """The specification of every tap that `maps` returns."""
        raise NotImplementedError(
            f"{type(self).__name__} does not implement map_specs()."
        )

    # What a user calls.

    def call(self, images, training=False, with_taps=False):
        """Computes the logits.

        Args:
            images: [B, H, W, C] floats, normalised (see `normalise`).
            training: whether batch normalisation uses and updates batch statistics.
            with_taps: whether to return the taps, too.

        Returns:
            [B, num_classes] logits in the dtype policy's compute dtype, or
            `taps.Output(logits, taps)`.

        Raises:
            ValueError: `images` are not floats.
        """
        check_float(images)
        taps = self.maps(images, training)
        taps["embedding"] = ops.mean(taps["last_map"], axis=(1, 2))
        logits = self.head(taps["embedding"])
        return Output(logits, taps) if with_taps else logits

    def normalise(self, images) -> tf.Tensor:
        """(images / 255 - mean) / std, what the net was trained on.

        Args:
            images: [..., H, W, C] uint8.

        Returns:
            [..., H, W, C] float32.

        Raises:
            ValueError: `images` is not uint8.
        """
        images = tf.convert_to_tensor(images)
        if images.dtype != tf.uint8:
            raise wrong(
                "Only stored pixels are normalised",
                expected="uint8 images",
                received=f"images.dtype={images.dtype.name}",
            )
        # Rounded as training.step.normalise does: both must give the same bits.
        offset = np.asarray(self.mean, np.float32) * np.float32(255.0)
        scale = np.asarray(self.std, np.float32) * np.float32(255.0)
        return (tf.cast(images, tf.float32) - offset) / scale

    @property
    def tap_specs(self) -> dict[str, TapSpec]:
        """Static facts of every tap, by name."""
        specs = self.map_specs()
        last = specs["last_map"]
        return {**specs, "embedding": TapSpec((last.channels,), last.stride)}

    def get_config(self) -> dict:
        """The constructor's arguments, without the seed, and the class names."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "input_shape": tuple(self.image_shape),
            "mean": tuple(self.mean),
            "std": tuple(self.std),
            "class_names": self.class_names,
        }

    @classmethod
    def from_config(cls, config):
        """The net again, with fresh weights."""
        config = dict(config)
        names = config.pop("class_names", None)  # no constructor has to know them
        net = super().from_config(config)
        net.class_names = names
        return net

    # Helpers for subclasses.

    def _map_spec(self, channels: int, stride: int, batch_norm=None) -> TapSpec:
        height, width, _ = self.image_shape
        shape = (height // stride, width // stride, channels)
        return TapSpec(shape, stride, batch_norm)

    def _maker(self, seed: int | None, **options) -> LayerMaker:
        return LayerMaker(self.dtype_policy, seed, **options)
