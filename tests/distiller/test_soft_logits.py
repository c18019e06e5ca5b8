import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from distiller import soft_logits
from tests import fakes

STUDENT, TEACHER = np.random.default_rng(0).normal(size=(2, 6, 5)) * 3


def expected_loss(student, teacher, temperature):
    p = scipy.special.log_softmax(teacher / temperature, axis=1)
    q = scipy.special.log_softmax(student / temperature, axis=1)
    return temperature**2 * (np.exp(p) * (p - q)).sum() / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_value_equals_numpy(temperature):
    loss = soft_logits.soft_logits_loss(STUDENT, TEACHER, temperature)
    np.testing.assert_allclose(loss, expected_loss(STUDENT, TEACHER, temperature))


def test_zero_at_equality():
    assert soft_logits.soft_logits_loss(TEACHER, TEACHER) == 0.0


def test_high_temperature_keeps_the_size_of_the_gradient():
    # T^2 KL tends to the squared error of centred logits / (2 C), Hinton et al. 2.1.
    s, t = (tf.constant(x - x.mean(1, keepdims=True)) for x in (STUDENT, TEACHER))
    loss = soft_logits.soft_logits_loss(s, t, 1e3)
    np.testing.assert_allclose(loss, ((s - t) ** 2).numpy().sum() / 6 / 10, rtol=1e-2)


def test_the_class_weighs_the_loss_of_its_temperature():
    method = soft_logits.SoftLogits({}, {}, fakes.data(), temperature=2.0, weight=3.0)
    student, teacher = fakes.output(logits=STUDENT), fakes.output(logits=TEACHER)
    terms = method.loss(student, teacher, {})
    expected = 3.0 * expected_loss(STUDENT, TEACHER, 2.0)
    np.testing.assert_allclose(terms["kl"], expected, rtol=1e-5)


def test_the_published_recipe_is_the_default():
    method = soft_logits.SoftLogits({}, {}, fakes.data())
    assert (method.temperature, method.weight, method.task_weight) == (4.0, 0.9, 0.1)


@pytest.mark.parametrize("name, value", [("temperature", 0.0), ("weight", -0.1)])
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        soft_logits.SoftLogits({}, {}, fakes.data(), **{name: value})


def test_unequal_classes_raise():
    with pytest.raises(ValueError, match="equal shape"):
        soft_logits.soft_logits_loss(STUDENT[:, 1:], TEACHER)


def kd(vector):
    def compute():
        return {
            "loss": soft_logits.soft_logits_loss(
                vector.student["logits"],
                vector.teacher["logits"],
                vector.hyperparameters["temperature"],
            )
        }

    return compute, {}


PARITY = {"KD": kd}
