"""What is done to training images; random crops and flips, without any state.

What happens to an image is a function of (seed, epoch, index): `draw` gives the
random numbers of a whole epoch at once, row i for example i; `augment` has none.
"""

import dataclasses
import math

import tensorflow as tf

from common.errors import wrong
from dataloader.random_streams import stream_seed

PADDING = 4  # pixels on each side, so that offsets run from 0 to 8
PAD_MODES = ("reflect", "zero")
_OFFSETS, _FLIPS = 1, 2  # separate random streams of one (seed, epoch)
_LARGEST = {"randaugment": math.inf, "randaugment_magnitude": 30.0}
_LARGEST |= {"cutout": math.inf, "mixup": math.inf, "cutmix": math.inf}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training images, in this order but for `period` and `mean`.

    Attributes:
        crops: pad by 4 pixels, cut back to the old size at a random place.
        flips: mirror every second image, at random.
        pad_mode: what the padding holds: `reflect`, the image mirrored at its
            border, or `zero`, black (before normalisation).
        period: what happens to an image in epoch e happens in epoch e mod period, so
            that there are `period` versions of each image; None: all differ. Mixing
            does not repeat: it belongs to a batch, and no two batches are alike.
        randaugment: random operations on each image (`randaugment`), 0 or more.
        randaugment_magnitude: their strength, from 0 to 30.
        cutout: side of the square that becomes the mean (`cutout`), pixels; 0: none.
        mean: of the data, per channel (or one for all), of pixels in [0, 1]: Cutout's
            colour.
        mixup: alpha of Mixup (`mixing`); 0: none.
        cutmix: alpha of CutMix (`mixing`); 0: none. With both, each batch gets one.

    Raises:
        ValueError: unknown `pad_mode`, or a number out of its range.
    """

    crops: bool = True
    flips: bool = True
    pad_mode: str = "zero"
    period: int | None = None
    randaugment: int = 0
    randaugment_magnitude: float = 9.0
    cutout: int = 0
    mean: tuple[float, ...] = (0.5,)
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        _check_pad_mode(self.pad_mode)
        if self.period is not None and self.period < 1:
            raise wrong(
                "The augmentation period is out of range",
                expected="an integer >= 1, or None for no period",
                period=self.period,
            )
        for name, most in _LARGEST.items():
            value = getattr(self, name)
            if not (0 <= value <= most and math.isfinite(value)):
                raise wrong(
                    f"The augmentation's {name} is out of range",
                    expected=f"a finite number from 0 to {most:g}",
                    received=f"{name}={value}",
                )

    @property
    def varies(self) -> bool:
        """Whether images are changed each by itself: what `period` repeats."""
        return bool(self.crops or self.flips or self.randaugment or self.cutout)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that index and period do not say what one is.

        What is kept for (epoch mod period, index), such as a teacher's output, is then
        not that of the image in the batch.
        """
        return bool(self.mixup or self.cutmix)

    def version(self, epoch):
        """Which version of each image an epoch shows: all that `draw` needs to know.

        Args:
            epoch: from 0; integer, or integer tensor.

        Returns:
            The epoch, modulo the period if there is one; 0 if no image varies.
        """
        if not self.varies:
            return 0 * epoch
        return epoch % self.period if self.period else epoch

    def check_fits(self, image_shape, batch_size: int) -> None:
        """Raises ValueError if images (H, W, C) or a batch cannot be changed so."""
        height, width, channels = image_shape
        if self.randaugment and channels not in (1, 3):
            raise wrong(
                "RandAugment changes the colours of grey and RGB images",
                expected="1 or 3 channels, or randaugment=0",
                received=f"{channels} channels",
            )
        if self.cutout > min(height, width):
            raise wrong(
                "Cutout's square is larger than the images",
                expected=f"a cutout from 0 to {min(height, width)}",
                cutout=self.cutout,
            )
        if self.mixes and batch_size < 2:
            raise wrong(
                "Mixup and CutMix mix the images of a batch",
                expected="a batch_size of 2 or more",
                batch_size=batch_size,
            )


def draw(seed, epoch, num_examples: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the augmentations of one epoch.

    Args:
        seed: integer, or integer scalar.
        epoch: the same.
        num_examples: number of rows; row i does not depend on it.

    Returns:
        offsets: int32 [N, 2], 0 to 8: top row and left column of the crop in the
            padded image; 4, 4 is the image itself.
        flips: bool [N].
    """
    # Philox by name: "auto_select" takes another generator on a TPU host.
    offsets = tf.random.stateless_uniform(
        [num_examples, 2],
        stream_seed(seed, epoch, _OFFSETS),
        minval=0,
        maxval=2 * PADDING + 1,
        dtype=tf.int32,
        alg="philox",
    )
    uniform = tf.random.stateless_uniform(
        [num_examples], stream_seed(seed, epoch, _FLIPS), alg="philox"
    )
    return offsets, uniform < 0.5


def augment(
    images: tf.Tensor, offsets: tf.Tensor, flips: tf.Tensor, pad_mode: str
) -> tf.Tensor:
    """Pads by 4, crops back to the old size, then flips left-right.

    Args:
        images: uint8 [B, H, W, C], all sizes but B static.
        offsets: int32 [B, 2], 0 to 8, as from `draw`.
        flips: bool [B].
        pad_mode: `reflect` or `zero`.

    Returns:
        uint8 [B, H, W, C].

    Raises:
        ValueError: unknown `pad_mode`, or images too small to be reflected.
    """
    _check_pad_mode(pad_mode)
    _, height, width, channels = images.shape
    if pad_mode == "reflect" and min(height, width) <= PADDING:
        raise ValueError(
            f"Reflected padding by {PADDING} needs at least {PADDING + 1} rows and "
            f"columns. Received: images of {height}x{width}. Choose "
            "pad_mode='zero' or crops=False."
        )
    # One gather of pixels does all three: which row and column of its image does
    # each pixel of the result come from? Outside 0..H-1 is the padding.
    across = tf.range(width)
    across = tf.where(flips[:, tf.newaxis], width - 1 - across, across)  # [B, W]
    rows = offsets[:, :1] + tf.range(height) - PADDING  # [B, H]
    columns = offsets[:, 1:] + across - PADDING  # [B, W]
    images_before = tf.range(tf.shape(images)[0])[:, tf.newaxis]  # [B, 1]
    pixels = tf.reshape(images, [-1, channels])  # [B * H * W, C]
    if pad_mode == "reflect":
        starts = (images_before * height + _reflect(rows, height)) * width  # [B, H]
        columns = _reflect(columns, width)
        return tf.gather(pixels, starts[:, :, tf.newaxis] + columns[:, tf.newaxis])
    # Position 0 becomes a black pixel; padding is pushed below it and clipped.
    starts = (images_before * height + rows) * width + 1
    outside = -(2**30)
    starts = tf.where((rows >= 0) & (rows < height), starts, outside)
    columns = tf.where((columns >= 0) & (columns < width), columns, outside)
    positions = starts[:, :, tf.newaxis] + columns[:, tf.newaxis]  # [B, H, W]
    pixels = tf.concat([tf.zeros([1, channels], pixels.dtype), pixels], axis=0)
    return tf.gather(pixels, tf.maximum(positions, 0))


def _reflect(positions, size):
    """-1 becomes 1, `size` becomes `size` - 2, and so on."""
    positions = tf.abs(positions)
    return tf.minimum(positions, 2 * (size - 1) - positions)


def _check_pad_mode(pad_mode):
    if pad_mode not in PAD_MODES:
        raise wrong("Unknown pad mode", choices=PAD_MODES, pad_mode=pad_mode)
