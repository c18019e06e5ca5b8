import numpy as np
import pytest
import scipy.special
import tensorflow as tf

import distiller
from distiller import dml
from tests import fakes

STUDENT, TEACHER = 2 * np.random.default_rng(0).normal(size=(2, 6, 4))


def build(**hyperparameters):
    return dml.DML({}, {}, fakes.data(), **hyperparameters)


def kl(p_logits, q_logits, temperature=1.0):
    p = scipy.special.log_softmax(p_logits / temperature, axis=1)
    q = scipy.special.log_softmax(q_logits / temperature, axis=1)
    return (np.exp(p) * (p - q)).sum(1).mean()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_terms_equal_numpy(temperature):
    method = build(temperature=temperature, weight=2.5)
    outputs = (fakes.output(logits=z) for z in (STUDENT, TEACHER))
    terms = method.loss(*outputs, {})
    assert list(terms) == ["kl", "teacher_kl"]
    expected = [kl(TEACHER, STUDENT, temperature), kl(STUDENT, TEACHER, temperature)]
    assert abs(expected[0] - expected[1]) > 0.01
    found = [terms["kl"], terms["teacher_kl"]]
    np.testing.assert_allclose(found, 2.5 * np.array(expected), rtol=1e-5)


def test_each_net_learns_from_its_own_term_alone():
    student, teacher = tf.constant(STUDENT), tf.constant(TEACHER)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([student, teacher])
        terms = dml.mutual_kl(student, teacher)
        total = tf.add_n(terms)
    p, q = (scipy.special.softmax(z, axis=1) for z in (STUDENT, TEACHER))
    assert tape.gradient(terms[0], teacher) is None
    assert tape.gradient(terms[1], student) is None
    found = tape.gradient(total, [student, teacher])
    np.testing.assert_allclose(found, [(p - q) / 6, (q - p) / 6], atol=1e-12)


def test_zero_where_the_nets_agree():
    assert [*map(float, dml.mutual_kl(TEACHER, TEACHER))] == [0.0, 0.0]


def test_the_teacher_starts_and_learns_with_the_student():
    (phase,) = build().phases()
    assert phase.trains_teacher and phase.trains_student and not phase.own
    specs = fakes.Net().tap_specs
    sum_ = distiller.build("DML+AT", specs, specs, fakes.data())
    assert sum_.trains_teacher and sum_.phases()[-1].trains_teacher


@pytest.mark.parametrize(
    ("name", "value"), [("weight", -1.0), ("temperature", 0.0), ("temperature", -1.0)]
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_unequal_classes_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(2, 3\).*\(2, 4\)"):
        dml.mutual_kl(tf.zeros([2, 3]), tf.zeros([2, 4]))


def mimicry(vector):
    temperature = vector.hyperparameters["temperature"]

    def compute():
        logits = vector.student["logits"], vector.teacher["logits"]
        return {"loss": dml.mutual_kl(*logits, temperature)[0]}

    return compute, {}


PARITY = {"DML": mimicry}
