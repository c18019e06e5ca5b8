"""Contrastive losses: what belongs together is told from what does not."""

import tensorflow as tf


def bank_similarities(
    anchors: tf.Tensor, bank: tf.Tensor, indices: tf.Tensor
) -> tf.Tensor:
    """Inner products of each anchor with some rows of a bank.

    Args:
        anchors: [B, d].
        bank: [N, d], taken as constant.
        indices: int [B, n], rows of the bank for each anchor.

    Returns:
        [B, n].
    """
    # All B N products are B N d operations and one matrix product. Gathering the rows
    # first would move B n d numbers, 0.5 GB for n = 16,384, d = 128, B = 64, and that
    # costs more until N is about 100 n; it takes more memory until N is n d.
    products = tf.matmul(anchors, tf.stop_gradient(bank), transpose_b=True)
    return tf.gather(products, indices, batch_dims=1)


def batch_similarities(
    student: tf.Tensor, teacher: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Inner products of all pairs of a batch, and which of them are contrasted.

    Args:
        student: [B, d].
        teacher: [B, d].
        labels: int [B].

    Returns:
        For the student's vectors as anchors and for the teacher's, [B, 1 + B]: the
        image's own pair, then all; and float [B, 1 + B], 1 for the own pair and those
        of another label, else 0.
    """
    products = tf.matmul(student, teacher, transpose_b=True)  # [student, teacher]
    own = tf.linalg.diag_part(products)[:, tf.newaxis]
    differ = tf.not_equal(labels[:, tf.newaxis], labels[tf.newaxis, :])
    is_candidate = tf.concat([tf.ones_like(own), tf.cast(differ, own.dtype)], axis=1)
    of_student = tf.concat([own, products], axis=1)
    of_teacher = tf.concat([own, tf.transpose(products)], axis=1)
    return of_student, of_teacher, is_candidate


def mean_critic(
    similarities: tf.Tensor,
    temperature: float,
    is_candidate: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mean of exp(similarity / temperature), which times N is the first normaliser Z.

    Args:
        similarities: [B, n].
        temperature: tau > 0.
        is_candidate: float [B, n], 1 for those that count and 0; None counts all.

    Returns:
        Scalar > 0, a constant.
    """
    critic = tf.exp(tf.stop_gradient(similarities) / temperature)
    if is_candidate is None:
        return tf.reduce_mean(critic)
    return tf.reduce_sum(critic * is_candidate) / tf.reduce_sum(is_candidate)


def noise_contrastive_loss(
    similarities: tf.Tensor,
    normaliser: tf.Tensor,
    num_examples: int,
    temperature: float = 0.07,
    eps: float = 1e-7,
    is_candidate: tf.Tensor | None = None,
) -> tf.Tensor:
    """-log[o_0 / (o_0 + r + eps)] - sum_k log[r / (o_k + r + eps)], mean over anchors.

    o = exp(similarity / temperature) / Z, r = K / N, with K negatives and N examples:
    how surely the positive, column 0, is told from the K negatives behind it.

    Source: Tian et al., Contrastive Representation Distillation, ICLR 2020,
    https://arxiv.org/abs/1910.10699, section 3; eps and Z as in the authors' code.

    Args:
        similarities: [B, 1 + K].
        normaliser: Z > 0, taken as constant.
        num_examples: N.
        temperature: tau > 0.
        eps: > 0.
        is_candidate: float [B, 1 + K], 0 for those negatives that do not count, so that
            K is the number of the others, for each anchor; None counts all.

    Returns:
        Scalar in nats, at least 0.
    """
    if is_candidate is None:
        count = tf.constant(similarities.shape[1] - 1.0)
    else:
        count = tf.reduce_sum(is_candidate[:, 1:], axis=1, keepdims=True)  # [B, 1]
    ratio = tf.maximum(count, 1.0) / num_examples  # No negatives, no log(0).
    # Both logarithms are softplus of log(o / (r + eps)), which neither overflows nor
    # rounds away a small o.
    log_odds = similarities / temperature
    log_odds -= tf.math.log(tf.stop_gradient(normaliser) * (ratio + eps))
    positives = tf.math.softplus(-log_odds[:, 0])
    negatives = tf.math.softplus(log_odds[:, 1:]) + tf.math.log1p(eps / ratio)
    if is_candidate is not None:
        negatives *= is_candidate[:, 1:]
    return tf.reduce_mean(positives + tf.reduce_sum(negatives, axis=1))


def supervised_contrastive_loss(
    embeddings: tf.Tensor,
    labels: tf.Tensor,
    temperature: float = 0.07,
    eps: float = 1e-7,
) -> tf.Tensor:
    """Minus the mean over anchors i of the mean over positives p of log P_ip.

    log P_ij = l_ij - log(sum over k != i of exp l_ik + eps), with l_ij = z_i z_j /
    temperature minus its largest over j, a constant. The positives of i are the other
    embeddings with its label.

    Source: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020,
    https://arxiv.org/abs/2004.11362, Eq. 2 (L_out), without its factor of the two
    temperatures.

    Args:
        embeddings: [n, d] of length 1. Every one is an anchor.
        labels: int [n].
        temperature: > 0.
        eps: added to the sum, > 0; the largest is that of i with itself, left out of
            the sum, so that all exponentials may be far smaller.

    Returns:
        Scalar in nats. An anchor without positives counts as 0.
    """
    logits = tf.matmul(embeddings, embeddings, transpose_b=True) / temperature
    logits -= tf.stop_gradient(tf.reduce_max(logits, axis=1, keepdims=True))
    itself = tf.eye(embeddings.shape[0], dtype=logits.dtype)
    equal = tf.equal(labels[:, tf.newaxis], labels[tf.newaxis, :])
    positive = tf.cast(equal, logits.dtype) - itself
    total = tf.reduce_sum(tf.exp(logits) * (1.0 - itself), axis=1, keepdims=True)
    log_probability = logits - tf.math.log(total + eps)
    number = tf.maximum(tf.reduce_sum(positive, axis=1), 1.0)
    means = tf.reduce_sum(positive * log_probability, axis=1) / number
    return -tf.reduce_mean(means)
