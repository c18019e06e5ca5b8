"""Random crops and flips of uint8 images, without any state.

What happens to an image is a function of (seed, epoch, index): `draw` gives the
random numbers of a whole epoch at once, row i for example i; `augment` has none.
"""

import dataclasses

import tensorflow as tf

PADDING = 4  # pixels on each side, so that offsets run from 0 to 8
PAD_MODES = ("reflect", "zero")
_OFFSETS, _FLIPS = 1, 2  # separate random streams of one (seed, epoch)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training images.

    Attributes:
        crops: pad by 4 pixels, cut back to the old size at a random place.
        flips: mirror every second image, at random.
        pad_mode: what the padding holds: `reflect`, the image mirrored at its
            border, or `zero`, black (before normalisation).
        period: the augmentations of epoch e are those of epoch e mod period, so
            that there are `period` versions of each image; None: all differ.

    Raises:
        ValueError: unknown `pad_mode`, or `period` below 1.
    """

    crops: bool = True
    flips: bool = True
    pad_mode: str = "zero"
    period: int | None = None

    def __post_init__(self):
        _check_pad_mode(self.pad_mode)
        if self.period is not None and self.period < 1:
            raise ValueError(
                "The augmentation period is out of range. Expected an integer >= 1, "
                f"or None for no period. Received: period={self.period}."
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


def stream_seed(seed, epoch, stream: int) -> tf.Tensor:
    """The int64 [2] seed of one of several independent draws of an epoch."""
    seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.fold_in(seed, stream, alg="philox")


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
        raise ValueError(
            f"Unknown pad mode. Expected one of {', '.join(PAD_MODES)}. "
            f"Received: {pad_mode=}."
        )
