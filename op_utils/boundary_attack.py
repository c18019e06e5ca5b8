"""Images that are moved to a net's decision boundary: which, where to, and how."""

import tensorflow as tf

from op_utils import forward_count, pairwise
from op_utils.input_gradients import with_gradients
from op_utils.norms import unit


def candidates(
    student: tf.Tensor, teacher: tf.Tensor, labels: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The images to attack: those that both nets classify correctly.

    Of more than `size`, those with the largest sum over the classes but the label of
    (p_s - p_t)^2, p = softmax(logits).

    Args:
        student: [B, num_classes] logits.
        teacher: [B, num_classes] logits.
        labels: int [B].
        size: the most images.

    Returns:
        Positions in the batch, int32 [min(size, B)], and whether each is a candidate,
        bool; the others fill the static shape.
    """
    is_right = [tf.argmax(z, 1, labels.dtype) == labels for z in (student, teacher)]
    gap = tf.square(tf.nn.softmax(student) - tf.nn.softmax(teacher))
    gap *= 1.0 - tf.one_hot(labels, gap.shape[-1])
    score = tf.where(is_right[0] & is_right[1], tf.reduce_sum(gap, axis=-1), -1.0)
    score, rows = tf.math.top_k(score, min(size, score.shape[0]))
    return rows, score >= 0.0


def drawn_class(logits: tf.Tensor, labels: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """A class other than the label, with probability proportional to softmax(logits).

    Args:
        logits: [B, num_classes].
        labels: int [B].
        noise: [B, num_classes], independent draws of Gumbel's distribution.

    Returns:
        [B] of the dtype of `labels`.
    """
    # Argmax of log p + noise draws from p, and knows no rounded-off tail.
    is_label = tf.one_hot(labels, logits.shape[-1], True, False)
    others = tf.where(is_label, logits.dtype.min, logits + noise)
    return tf.argmax(others, 1, labels.dtype)


def margin_gradient(
    logits: tf.Tensor, labels: tf.Tensor, attack_class: tf.Tensor
) -> tf.Tensor:
    """The gradient of p[attack class] - p[label], up to a positive factor an image.

    p = softmax(logits). The factor is 1 / (1 - p[label]); without it the gradient of a
    confident net is lost in rounding.

    Args:
        logits: [B, num_classes].
        labels: int [B].
        attack_class: int [B], other than the label.

    Returns:
        [B, num_classes], rows with sum 0.
    """
    is_label, is_attack = (
        tf.one_hot(x, logits.shape[-1], dtype=logits.dtype)
        for x in (labels, attack_class)
    )
    p = tf.nn.softmax(logits)
    gap = tf.reduce_sum(p * (is_label - is_attack), axis=-1, keepdims=True)
    # Of the classes but the label, whose entry follows from the sum of 0.
    rest = tf.nn.softmax(tf.where(is_label > 0, logits.dtype.min, logits))
    entries = rest * (is_attack + gap)
    return entries - is_label * tf.reduce_sum(entries, axis=-1, keepdims=True)


def boundary_images(
    net,
    images: tf.Tensor,
    labels: tf.Tensor,
    attack_class: tf.Tensor,
    is_attacked: tf.Tensor,
    *,
    step_size: float = 0.3,
    num_steps: int = 10,
    epsilon: float = 1e-4,
    clip_min: float = -2.5,
    clip_max: float = 2.5,
) -> tf.Tensor:
    """Images on their way over the border from the label to the attack class.

    A step is x <- clip(x + a (p[label] - p[attack] + epsilon) unit(g)) with the net's
    prediction p = softmax(z), the gradient g of p[attack] - p[label] with respect to
    the image, and a = `step_size`; a = 0 for images that are not attacked or no longer
    classified as their label. It ends where no image is left to move. Each step costs
    a forward pass and one back to the images. Source: Heo et al.,
    https://arxiv.org/abs/1805.05532, Eq. 3.

    Args:
        net: called as `net(images, training=False, with_taps=True)`.
        images: [B, H, W, C], normalised.
        labels: int [B].
        attack_class: int [B], other than the label.
        is_attacked: bool [B].
        step_size: > 0, the length of a step from p[label] = 1, in normalised pixels.
        num_steps: the most steps, > 0.
        epsilon: keeps a step from vanishing at the border, >= 0.
        clip_min: the least value of a pixel.
        clip_max: the largest value of a pixel.

    Returns:
        [B, H, W, C], constants.
    """

    def step(images, _):
        with forward_count.repeated(num_steps):
            output = with_gradients(
                net,
                images,
                lambda logits: margin_gradient(logits, labels, attack_class),
                training=False,
            )
        logits = tf.cast(output.logits, tf.float32)
        p = tf.nn.softmax(logits)
        of_label = tf.gather(p, labels, batch_dims=1)
        gap = of_label - tf.gather(p, attack_class, batch_dims=1)
        moves = (tf.argmax(logits, 1, labels.dtype) == labels) & is_attacked
        length = tf.where(moves, step_size * (gap + epsilon), 0.0)  # [B]
        gradient = pairwise.rows(output.taps["input_gradient"])
        moved = images + tf.reshape(length[:, None] * unit(gradient), images.shape)
        any_moves = tf.reduce_any(moves)
        clipped = tf.clip_by_value(moved, clip_min, clip_max)
        return tf.where(any_moves, clipped, images), any_moves

    images, _ = tf.while_loop(
        lambda _, any_moves: any_moves,
        step,
        (images, tf.reduce_any(is_attacked)),
        maximum_iterations=num_steps,
    )
    return tf.stop_gradient(images)
