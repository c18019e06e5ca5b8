import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from op_utils.boundary_attack import (
    boundary_images,
    candidates,
    drawn_class,
    margin_gradient,
)
from tests import vectors

RNG = np.random.default_rng(0)
CLASSES, SHAPE = 5, (2, 3, 2)
K0, B0 = RNG.normal(size=(12, 6)) * 0.5, RNG.normal(size=6) * 0.1
K1, B1 = RNG.normal(size=(6, CLASSES)), RNG.normal(size=CLASSES) * 0.1
NET = vectors.tanh_classifier(
    {
        f"teacher/{name}": tf.constant(value, tf.float32)
        for name, value in {
            "dense_0/kernel": K0,
            "dense_0/bias": B0,
            "dense_1/kernel": K1,
            "dense_1/bias": B1,
        }.items()
    },
    "teacher",
)
IMAGES = RNG.normal(size=(9, *SHAPE))


def forward(images):
    hidden = np.tanh(images.reshape(len(images), -1) @ K0 + B0)
    return hidden, hidden @ K1 + B1


LABELS = forward(IMAGES)[1].argmax(1)
LABELS[4] = (LABELS[4] + 1) % CLASSES  # never moves: classified as another class
TARGETS = (LABELS + RNG.integers(1, CLASSES, 9)) % CLASSES
IS_ATTACKED = np.arange(9) != 7


def numpy_attack(images, step_size, num_steps, epsilon, low, high):
    """The attack image by image, in float64."""
    images = images.copy()
    for _ in range(num_steps):
        hidden, logits = forward(images)
        p = scipy.special.softmax(logits, axis=1)
        moves = (logits.argmax(1) == LABELS) & IS_ATTACKED
        if not moves.any():
            break
        for i in np.flatnonzero(moves):
            own, other = np.eye(CLASSES)[[LABELS[i], TARGETS[i]]]
            gap = p[i] @ (own - other)
            direction = p[i] * ((other - own) + gap)
            g = K0 @ ((1 - hidden[i] ** 2) * (K1 @ direction))
            step = step_size * (gap + epsilon) * g / np.linalg.norm(g)
            images[i] += step.reshape(SHAPE)
        images = np.clip(images, low, high)
    return images


def attack(num_steps, is_attacked=IS_ATTACKED, jit=False, net=NET, low=-1.5, high=1.2):
    @tf.function(jit_compile=jit)
    def run(images):
        return boundary_images(
            net,
            images,
            tf.constant(LABELS, tf.int32),
            tf.constant(TARGETS, tf.int32),
            tf.constant(is_attacked),
            step_size=0.4,
            num_steps=num_steps,
            epsilon=1e-2,
            clip_min=low,
            clip_max=high,
        )

    return run(tf.constant(IMAGES, tf.float32)).numpy()


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("num_steps", [1, 3, 40])
def test_the_attack_equals_numpy(num_steps, jit):
    found = attack(num_steps, jit=jit)
    expected = numpy_attack(IMAGES, 0.4, num_steps, 1e-2, -1.5, 1.2)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    # Images that do not move are clipped all the same.
    still = [4, 7]
    np.testing.assert_allclose(
        found[still], np.clip(IMAGES[still], -1.5, 1.2), rtol=1e-6
    )
    moved = forward(found.astype(np.float64))[1].argmax(1) != LABELS
    assert moved[IS_ATTACKED].all() == (num_steps == 40)


def test_without_an_image_to_move_nothing_is_even_clipped():
    np.testing.assert_array_equal(attack(10, IS_ATTACKED & False), np.float32(IMAGES))
    only_wrong = np.arange(9) == 4
    np.testing.assert_array_equal(attack(10, only_wrong), np.float32(IMAGES))


def test_a_flat_net_moves_nothing_and_stays_finite():
    constant = tf.one_hot(LABELS, CLASSES)

    def net(images, training, with_taps):
        del training, with_taps
        logits = constant + 0.0 * tf.reduce_sum(images)
        return vectors.Output(logits, {})

    found = attack(3, net=net, low=-9.0, high=9.0)
    np.testing.assert_array_equal(found, np.float32(IMAGES))


@pytest.mark.parametrize("spread", [1.0, 20.0, 300.0])
def test_the_margins_direction_survives_confidence(spread):
    """In float32, against float64 and logarithms where a softmax would round."""
    logits = RNG.normal(size=(8, CLASSES)).astype(np.float32)
    labels = logits.argmax(1)
    logits[np.arange(8), labels] += spread
    targets = (labels + 1) % CLASSES
    found = margin_gradient(
        tf.constant(logits), tf.constant(labels), tf.constant(targets)
    ).numpy()
    for row, z, label, target in zip(found, logits, labels, targets, strict=True):
        rest = np.float64(np.where(np.arange(CLASSES) == label, -np.inf, z))
        w = scipy.special.softmax(rest)  # p_c / (1 - p_label)
        p = scipy.special.softmax(np.float64(z))
        expected = w * ((np.arange(CLASSES) == target) + p[label] - p[target])
        expected[label] = -(p[label] + p[label] * p[target] / (1 - p[label] or 1))
        if spread == 1.0:  # Where float64 does not round, the plain derivative.
            own, other = np.eye(CLASSES)[[label, target]]
            plain = p * (other - own - p @ (other - own)) / (1 - p[label])
            np.testing.assert_allclose(row, plain, rtol=1e-4, atol=1e-6)
        expected[label] = 0.0
        expected[label] = -expected.sum()
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)
        assert row[target] > 0 > row[label]


def numpy_candidates(student, teacher, labels, size):
    rows = np.arange(len(labels))
    right = (student.argmax(1) == labels) & (teacher.argmax(1) == labels)
    gap = scipy.special.softmax(student, 1) - scipy.special.softmax(teacher, 1)
    gap = np.where(np.arange(student.shape[1]) == labels[:, None], 0, gap)
    chosen = sorted(rows[right], key=lambda i: -np.sum(gap[i] ** 2))
    return set(chosen[:size])


@pytest.mark.parametrize("size", [1, 3, 6, 100])
@pytest.mark.parametrize("seed", range(4))
def test_candidates_equal_numpy(size, seed):
    rng = np.random.default_rng(seed)
    student, teacher = rng.normal(size=(2, 12, 3)).astype(np.float32) * 2
    labels = teacher.argmax(1)
    labels[:2] = (labels[:2] + 1) % 3
    rows, is_candidate = candidates(
        tf.constant(student), tf.constant(teacher), tf.constant(labels), size
    )
    assert rows.shape == is_candidate.shape == (min(size, 12),)
    assert len(set(rows.numpy())) == len(rows)
    found = set(rows.numpy()[is_candidate.numpy()])
    assert found == numpy_candidates(student, teacher, labels, size)


def test_the_label_itself_does_not_count_in_the_choice():
    """The first image's nets differ more in all, the second's in the other classes."""
    student = np.log([[0.5, 0.25, 0.25], [0.6, 0.35, 0.05]])
    teacher = np.log([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05]])
    logits = tf.constant(student, tf.float32), tf.constant(teacher, tf.float32)
    rows, is_candidate = candidates(*logits, tf.zeros([2], tf.int32), 1)
    assert (list(rows), list(is_candidate)) == ([1], [True])


def test_classes_are_drawn_in_proportion_and_never_the_label():
    logits = np.array([3.0, 0.0, 1.0, -1.0])
    noise = np.random.default_rng(1).gumbel(size=(20_000, 4))
    drawn = drawn_class(
        tf.constant(np.tile(logits, (20_000, 1))),
        tf.zeros([20_000], tf.int32),
        tf.constant(noise),
    )
    assert drawn.dtype == tf.int32
    shares = np.bincount(drawn, minlength=4) / 20_000
    expected = scipy.special.softmax([-np.inf, 0.0, 1.0, -1.0])
    np.testing.assert_allclose(shares, expected, atol=0.015)
    assert shares[0] == 0
