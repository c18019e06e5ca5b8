import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from op_utils.divergence import kl_entries, softened_kl


def kl(student, teacher, temperature):
    p = scipy.special.log_softmax(teacher / temperature, axis=1)
    q = scipy.special.log_softmax(student / temperature, axis=1)
    return (np.exp(p) * (p - q)).sum(1).mean()


def logits(spread):
    return spread * np.random.default_rng(0).normal(size=(2, 6, 5))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("spread", [0.1, 2.0, 50.0])
def test_value_equals_numpy(temperature, spread):
    student, teacher = logits(spread).astype(np.float32)
    expected = kl(*np.float64([student, teacher]), temperature)
    # 1e-12: at a temperature of 100 the divergence of 0.1 is as small as 1e-6.
    np.testing.assert_allclose(
        softened_kl(student, teacher, temperature), expected, rtol=2e-4, atol=1e-12
    )


def test_gradient_is_q_minus_p():
    student, teacher = (tf.constant(x) for x in logits(3.0))
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        loss = softened_kl(student, teacher, 2.0)
    gradient, of_teacher = tape.gradient(loss, [student, teacher])
    p, q = scipy.special.softmax(np.stack([teacher, student]) / 2.0, axis=-1)
    np.testing.assert_allclose(gradient, (q - p) / 2.0 / 6, atol=1e-12)
    assert of_teacher is None


def test_zero_at_equality_up_to_a_shift():
    _, teacher = logits(2.0)
    assert softened_kl(teacher, teacher, 4.0) == 0.0
    assert softened_kl(teacher + 3.0, teacher, 4.0) < 1e-15


def test_extreme_logits_stay_finite():
    student, teacher = tf.constant([[1e4, -1e4, 0.0]]), tf.constant([[-1e4, 1e4, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = softened_kl(student, teacher)
    np.testing.assert_allclose(loss, 2e4)
    np.testing.assert_allclose(tape.gradient(loss, student), [[1.0, -1.0, 0.0]])


def test_unequal_classes_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(2, 3\).*\(2, 4\)"):
        softened_kl(tf.zeros([2, 3]), tf.zeros([2, 4]))


@pytest.mark.parametrize("scale", [1e-6, 0.5, 0.999])
def test_entries_are_positive_and_sum_to_the_divergence(scale):
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.ones(5), 6)
    p = (1 - scale) * q + scale * rng.dirichlet(np.full(5, 0.1), 6)
    entries = kl_entries(p, q, np.log(p / q)).numpy()
    assert (entries >= -1e-15).all()
    expected = scipy.special.kl_div(p, q)
    np.testing.assert_allclose(entries, expected, rtol=1e-3, atol=1e-15)
    np.testing.assert_allclose(
        entries.sum(1), (p * np.log(p / q)).sum(1), rtol=1e-3, atol=1e-15
    )
