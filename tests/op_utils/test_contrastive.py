import numpy as np
import pytest
import tensorflow as tf

from op_utils import contrastive

RNG = np.random.default_rng(0)
SIMILARITIES = RNG.uniform(-1, 1, (3, 6))
ONES = np.ones((3, 6))
SOME = np.array([[1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1]], float)


def expected_loss(similarities, candidates, z, size, temperature, eps):
    total = 0.0
    for row, counts in zip(similarities, candidates, strict=True):
        o = np.exp(row / temperature) / z
        ratio = counts[1:].sum() / size
        total -= np.log(o[0] / (o[0] + ratio + eps))
        total -= (counts[1:] * np.log(ratio / (o[1:] + ratio + eps))).sum()
    return total / len(similarities)


@pytest.mark.parametrize("candidates", [None, SOME])
@pytest.mark.parametrize("eps", [1e-7, 0.5])
def test_noise_contrastive_loss_equals_numpy(candidates, eps):
    mask = ONES if candidates is None else candidates
    expected = expected_loss(SIMILARITIES, mask, 30.0, 20, 0.3, eps)
    found = contrastive.noise_contrastive_loss(
        tf.constant(SIMILARITIES, tf.float32),
        tf.constant(30.0),
        20,
        0.3,
        eps,
        None if candidates is None else tf.constant(candidates, tf.float32),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_extreme_similarities_lose_no_digits():
    """exp(85) and exp(-85) are float32 numbers, but their ratios are none."""
    similarities = tf.constant([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]])
    z = 2e36
    expected = expected_loss(
        similarities.numpy().astype(float), np.ones((2, 3)), z, 50, 1 / 85, 1e-7
    )
    with tf.GradientTape() as tape:
        tape.watch(similarities)
        loss = contrastive.noise_contrastive_loss(
            similarities, tf.constant(z), 50, 1 / 85
        )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert np.isfinite(tape.gradient(loss, similarities)).all()


@pytest.mark.parametrize("candidates", [None, SOME])
def test_mean_critic_equals_numpy(candidates):
    found = contrastive.mean_critic(SIMILARITIES, 0.3, candidates)
    chosen = SIMILARITIES[(ONES if candidates is None else candidates) > 0]
    np.testing.assert_allclose(found, np.exp(chosen / 0.3).mean())


@pytest.mark.parametrize("jit", [False, True])
def test_bank_similarities_and_their_gradient_equal_gathered_rows(jit):
    anchors, bank = RNG.normal(size=(3, 4)), RNG.normal(size=(9, 4))
    indices = RNG.integers(0, 9, (3, 20))  # some rows come twice
    upstream = RNG.normal(size=(3, 20))

    @tf.function(jit_compile=jit)
    def run(anchors):
        with tf.GradientTape() as tape:
            tape.watch(anchors)
            found = contrastive.bank_similarities(
                anchors, tf.constant(bank), tf.constant(indices)
            )
            total = tf.reduce_sum(found * upstream)
        return found, tape.gradient(total, anchors)

    found, gradient = run(tf.constant(anchors))
    np.testing.assert_allclose(found, np.einsum("bd,bnd->bn", anchors, bank[indices]))
    np.testing.assert_allclose(
        gradient, np.einsum("bn,bnd->bd", upstream, bank[indices])
    )


def test_batch_similarities_know_pairs_and_labels():
    student, teacher = RNG.normal(size=(2, 3, 4))
    of_student, of_teacher, candidates = contrastive.batch_similarities(
        student, teacher, tf.constant([1, 0, 1])
    )
    for i in range(3):
        np.testing.assert_allclose(
            of_student[i], [student[i] @ teacher[j] for j in (i, 0, 1, 2)]
        )
        np.testing.assert_allclose(
            of_teacher[i], [teacher[i] @ student[j] for j in (i, 0, 1, 2)]
        )
    np.testing.assert_array_equal(
        candidates, [[1, 0, 1, 0], [1, 1, 0, 1], [1, 0, 1, 0]]
    )


def supervised(embeddings, labels, temperature, eps):
    total = 0.0
    for i, anchor in enumerate(embeddings):
        logits = embeddings @ anchor / temperature
        logits -= logits.max()
        others = [j for j in range(len(labels)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        denominator = np.log(np.exp(logits[others]).sum() + eps)
        if positives:
            total -= np.mean(logits[positives] - denominator)
    return total / len(embeddings)


@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 1, 0], [0, 0, 0, 1, 2, 2]])
def test_supervised_contrastive_loss_equals_numpy(labels):
    embeddings = RNG.normal(size=(6, 4))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = contrastive.supervised_contrastive_loss(
        embeddings, tf.constant(labels), 0.3, 0.2
    )
    np.testing.assert_allclose(found, supervised(embeddings, labels, 0.3, 0.2))


def test_supervised_contrastive_loss_is_least_where_classes_are_apart():
    together = np.eye(2)[[0, 0, 1, 1]]
    labels = tf.constant([0, 0, 1, 1])
    mixed = np.eye(2)[[0, 1, 0, 1]]
    losses = [
        contrastive.supervised_contrastive_loss(x, labels) for x in (together, mixed)
    ]
    np.testing.assert_allclose(losses[0], 0.0, atol=1e-5)
    assert losses[1] > 10
