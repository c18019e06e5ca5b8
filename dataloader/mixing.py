"""Mixup and CutMix: each image of a batch is mixed with the next one.

Mixup: Zhang et al. 2018, https://arxiv.org/abs/1710.09412. CutMix: Yun et al. 2019,
https://arxiv.org/abs/1905.04899.
"""

import tensorflow as tf

from dataloader.random_streams import integers, stream_seed

_KINDS, _MIXUP, _CUTMIX, _ROWS, _COLUMNS = 30, 31, 33, 35, 36  # random streams


def draw(
    seed,
    epoch,
    num_batches: int,
    height: int,
    width: int,
    *,
    mixup: float,
    cutmix: float,
) -> dict[str, tf.Tensor]:
    """Draws how the batches of one epoch are mixed; entry i of all is batch i's.

    Args:
        seed: integer, or integer scalar.
        epoch: the same.
        num_batches: number of entries; entry i does not depend on it.
        height: of the images, pixels.
        width: of the images, pixels.
        mixup: alpha of Mixup's Beta(alpha, alpha); 0: no Mixup.
        cutmix: the same of CutMix; of both, each batch gets one, with equal chances.

    Returns:
        is_cutmix: bool [N].
        share: float32 [N], 0 to 1, what an image keeps of its label: of CutMix the
            share of its pixels that are left.
        box: int32 [N, 4], first row, end row, first column, end column of CutMix.
    """
    uniform = tf.random.stateless_uniform(
        [num_batches], stream_seed(seed, epoch, _KINDS), alg="philox"
    )
    is_cutmix = uniform < (0.5 if mixup and cutmix else float(bool(cutmix)))
    share = tf.ones([num_batches])
    box = tf.zeros([num_batches, 4], tf.int32)
    if mixup:
        share = _beta(seed, epoch, _MIXUP, num_batches, mixup)
    if cutmix:
        area = 1.0 - _beta(seed, epoch, _CUTMIX, num_batches, cutmix)
        box = _boxes(seed, epoch, area, height, width)
        rows, columns = box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]
        left = 1.0 - tf.cast(rows * columns, tf.float32) / float(height * width)
        share = tf.where(is_cutmix, left, share)
    return {"is_cutmix": is_cutmix, "share": share, "box": box}


def mix(batch: dict, drawn: dict, *, mixup: float, cutmix: float) -> dict:
    """Mixes each image of a batch with the next one, the last with the first.

    Args:
        batch: `image`, uint8 [B, H, W, C], B at least 2; `label`, int32 [B].
        drawn: one entry of what `draw` gives.
        mixup: as given to `draw`.
        cutmix: as given to `draw`.

    Returns:
        The batch with other images, and with `other_label`, int32 [B], and
        `label_share`, float32 [B]: what `label` is worth; the rest is the other's.
    """
    # Paper's code: a random partner, which may be the image itself. Here: the next
    # one, because the batch is in random order already.
    images = batch["image"]
    others = tf.roll(images, -1, axis=0)

    def blend():
        return blended(images, others, drawn["share"])

    def paste():
        return pasted(images, others, drawn["box"])

    if mixup and cutmix:
        images = tf.cond(drawn["is_cutmix"], paste, blend)
    else:
        images = blend() if mixup else paste()
    return {
        **batch,
        "image": images,
        "other_label": tf.roll(batch["label"], -1, axis=0),
        "label_share": tf.fill(batch["label"].shape, drawn["share"]),
    }


def blended(images: tf.Tensor, others: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Share * images + (1 - share) * others.

    Rounded to uint8, at most half a grey level away from the paper's blend of
    normalised pixels: normalisation is affine, so it and the blend may change places.
    """
    x, y = tf.cast(images, tf.float32), tf.cast(others, tf.float32)
    return tf.cast(tf.round(y + share * (x - y)), tf.uint8)


def pasted(images: tf.Tensor, others: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The images, with the others' pixels inside the box (int32 [4], as `draw`'s)."""
    _, height, width, channels = images.shape
    rows, columns = tf.range(height), tf.range(width)
    rows = (rows >= box[0]) & (rows < box[1])
    columns = (columns >= box[2]) & (columns < box[3])
    is_inside = tf.cast(rows[:, tf.newaxis] & columns, tf.uint8)  # [H, W]
    factors = tf.reshape(tf.repeat(is_inside, channels, axis=1), [1, -1])
    # Four times as fast as tf.where; uint8 wraps around, so that it is exact.
    x, y = (tf.reshape(values, [-1, factors.shape[1]]) for values in (images, others))
    return tf.reshape(x + (y - x) * factors, images.shape)


def _boxes(seed, epoch, area, height, width):
    """Of the given share of the image and centred at any pixel, before clipping."""

    def ends(stream, size):
        # As in the authors' code: whole pixels, an even number of them.
        half = tf.cast(float(size) * tf.sqrt(area), tf.int32) // 2
        centre = integers(seed, epoch, stream, area.shape[0], size)
        return [tf.maximum(centre - half, 0), tf.minimum(centre + half, size)]

    return tf.stack(ends(_ROWS, height) + ends(_COLUMNS, width), axis=1)


def _beta(seed, epoch, stream, count, alpha):
    """Float32 [count] of Beta(alpha, alpha), from streams `stream` and the next."""
    # X / (X + Y) with X, Y of Gamma(alpha). For a small alpha both are smaller than
    # any float, so: logarithms, and X = X' U^(1 / alpha) with X' of Gamma(alpha + 1).
    size = [2 * count]
    # The interface above this operation does not let Philox (1) be named.
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(
        seed=stream_seed(seed, epoch, stream)
    )
    gamma = tf.raw_ops.StatelessRandomGammaV3(
        shape=size,
        key=key,
        counter=counter,
        alg=1,
        alpha=tf.constant(alpha + 1.0, tf.float64),
    )
    uniform = tf.random.stateless_uniform(
        size, stream_seed(seed, epoch, stream + 1), dtype=tf.float64, alg="philox"
    )
    logarithms = tf.math.log(gamma) + tf.math.log1p(-uniform) / alpha
    # [count, 2] and not [2, count]: entry i does not depend on the count.
    x, y = tf.unstack(tf.reshape(logarithms, [count, 2]), axis=1)
    return tf.cast(tf.sigmoid(x - y), tf.float32)
