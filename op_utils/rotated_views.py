"""Views of an image that keep its label."""

import tensorflow as tf

from common.errors import wrong
from op_utils.embeddings import vectors

VIEWS = "views_embedding"  # the tap with the vectors of all views


def rotated_views(images: tf.Tensor) -> tf.Tensor:
    """Each image and its rotations by 90, 180 and 270 degrees, counter-clockwise.

    Args:
        images: [B, H, W, C] with static H = W.

    Returns:
        [B, 4, H, W, C], the image itself first.

    Raises:
        ValueError: the images are not square.
    """
    if images.shape[1] != images.shape[2]:
        raise wrong(
            "Rotated by 90 degrees, an image changes its height and width",
            expected="square images",
            received=f"images {images.shape}",
        )
    turned = tf.transpose(images, [0, 2, 1, 3])
    views = (
        images,
        tf.reverse(turned, axis=[1]),
        tf.reverse(images, axis=[1, 2]),
        tf.reverse(turned, axis=[2]),
    )
    return tf.stack(views, axis=1)


def forward_of_views(net, images: tf.Tensor, tap: str, *, training: bool):
    """The net's output for images, all views of which it has seen.

    Args:
        net: called as `net(images, training=..., with_taps=True)`.
        images: [B, H, W, C] with static H = W.
        tap: the tap whose vectors are taken of all views; maps are averaged.
        training: the mode of the forward pass, which has 4 B images.

    Returns:
        What the net returned for the images themselves, with the further tap `VIEWS`,
        [B, 4, D], the image itself first.

    Raises:
        ValueError: the images are not square.
    """
    views = rotated_views(images)
    number = views.shape[1]
    flat = tf.reshape(views, [-1, *images.shape[1:]])  # an image's views in sequence
    output = net(flat, training=training, with_taps=True)
    of_all = vectors(output.taps[tap])
    taps = {name: values[::number] for name, values in output.taps.items()}
    taps[VIEWS] = tf.reshape(of_all, [-1, number, of_all.shape[-1]])
    return output._replace(logits=output.logits[::number], taps=taps)
