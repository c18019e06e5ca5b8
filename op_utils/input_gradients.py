"""Gradients of a net's logits with respect to its images and taps."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from common.errors import wrong

IMAGES = "input"


def of_label(labels: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """The direction in which only each image's own label's logit counts.

    Args:
        labels: int [B].

    Returns:
        logits [B, num_classes] -> one-hot [B, num_classes].
    """
    return lambda logits: tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)


def with_gradients(
    net,
    images: tf.Tensor,
    direction: Callable[[tf.Tensor], tf.Tensor],
    sources: Sequence[str] = (IMAGES,),
    *,
    training: bool,
):
    """The net's output with gradients of its logits among its taps.

    The gradient of sum_{b,c} d_bc z_bc, with d = direction(z) as a constant, is the
    further tap "SOURCE_gradient" for each source. An outer tape can differentiate it
    again. Where batch normalisation runs on batch statistics, an image's gradient also
    holds its influence on the other images' logits. Costs a backward pass from the
    logits to the sources, without the weights' gradients: about one forward pass of
    that part of the net.

    Args:
        net: called as `net(images, training=..., with_taps=True)`.
        images: [B, H, W, C] floats.
        direction: logits z, float32 [B, num_classes], -> d of the same shape.
        sources: names of taps; "input" are the images.
        training: the mode of the forward pass.

    Returns:
        What the net returned, with the further taps in float32, each of its source's
        shape.

    Raises:
        ValueError: the logits are not computed from a source.
    """
    # The images are watched for the taps' gradients, too: a tape keeps no operation
    # that depends on nothing watched, as in a net whose weights are constants.
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = net(images, training=training, with_taps=True)
        logits = tf.cast(output.logits, tf.float32)
    points = [images if name == IMAGES else output.taps[name] for name in sources]
    weights = tf.stop_gradient(direction(logits))
    found = tape.gradient(logits, points, output_gradients=weights)
    missing = [name for name, g in zip(sources, found, strict=True) if g is None]
    if missing:
        raise wrong(
            "A net's logits do not depend on its tap",
            expected="taps that the net itself goes on with",
            received=", ".join(missing),
        )
    gradients = {
        f"{name}_gradient": tf.cast(gradient, tf.float32)
        for name, gradient in zip(sources, found, strict=True)
    }
    return output._replace(taps={**output.taps, **gradients})
