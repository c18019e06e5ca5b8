import functools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

import nets
from distiller import bss
from op_utils.boundary_attack import boundary_images, candidates, drawn_class
from tests import fakes, vectors

RNG = np.random.default_rng(0)
STUDENT, TEACHER = 3 * RNG.normal(size=(2, 6, 4))
IS_ATTACKED = np.array([True, False, True, True, False, False])


def build(**hyperparameters):
    return bss.BSS({}, {}, fakes.data(), **hyperparameters)


def numpy_loss(student, teacher, temperature):
    p = scipy.special.log_softmax(teacher / temperature, axis=1)
    q = scipy.special.log_softmax(student / temperature, axis=1)
    return (np.exp(p) * (p - q)).sum(1).mean()


def test_loss_equals_numpy_over_the_attacked_images():
    with tf.GradientTape() as tape:
        student = tf.constant(STUDENT)
        tape.watch(student)
        loss = bss.boundary_loss(student, tf.constant(TEACHER), IS_ATTACKED, 2.0)
    expected = numpy_loss(STUDENT[IS_ATTACKED], TEACHER[IS_ATTACKED], 2.0)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    reached = np.any(tape.gradient(loss, student), axis=1)
    np.testing.assert_array_equal(reached, IS_ATTACKED)


def test_zero_at_equality_and_without_an_image():
    assert bss.boundary_loss(TEACHER, TEACHER, IS_ATTACKED) == 0.0
    assert bss.boundary_loss(STUDENT, TEACHER, IS_ATTACKED & False) == 0.0


def test_the_weight_waits_and_falls_to_zero():
    method = build(weight=2.0, warmup=0.1, end=0.8)
    progress = [0.0, 0.099, 0.1, 0.4, 0.8, 0.9, 1.0]
    found = [method.current_weight({"progress": tf.constant(p)}) for p in progress]
    np.testing.assert_allclose(found, [0, 0, 1.75, 1.0, 0, 0, 0], atol=1e-6)


def test_noise_is_gumbels_and_depends_on_the_seed():
    method = build()
    method.data = fakes.data()
    batch = fakes.batch(4) | {"label": tf.zeros([5000], tf.int32)}
    noise = method.draw(batch)["attack_noise"].numpy()
    assert noise.shape == (5000, fakes.NUM_CLASSES)
    assert np.isfinite(noise).all()
    quantiles = np.quantile(noise, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles, -np.log(-np.log([0.1, 0.5, 0.9])), atol=0.05)
    np.testing.assert_array_equal(noise, method.draw(batch)["attack_noise"])
    other = method.draw(batch | {"seed": tf.constant([1, 7])})["attack_noise"]
    assert not np.any(noise == other)


@functools.cache
def pair():
    """A teacher and labels that it gives, and a student that agrees on some."""
    teacher = fakes.Net(seed=3)
    student = nets.build("wrn_10_1", 5, (8, 8, 3), seed=1)
    images = tf.constant(RNG.normal(size=(24, 8, 8, 3)), tf.float32)
    for _ in range(20):  # moving statistics of these images
        teacher(images, training=True)
    logits = teacher(images), student(images, training=True)
    labels = tf.argmax(logits[0], 1, tf.int32)
    agree = tf.argmax(logits[1], 1, tf.int32) == labels
    assert 1 < np.sum(agree) < 20
    batch = fakes.batch(4) | {"image": images, "label": labels}
    return student, teacher, batch


def forwards(method, progress=0.5):
    student, teacher, batch = pair()
    batch = {**batch, "progress": tf.constant(progress)}
    batch |= method.draw(batch)
    given = method.teacher_forward(teacher, student, batch)
    return batch, given, method.student_forward(student, teacher, batch, given)


@pytest.mark.parametrize("size", [3, 64])
def test_the_forward_attacks_the_candidates(size):
    method = build(attack_size=size, num_steps=2, step_size=1.0, weight=4.0)
    batch, given, seen = forwards(method)
    student, teacher, _ = pair()
    rows, is_attacked = candidates(seen.logits, given.logits, batch["label"], size)
    np.testing.assert_array_equal(seen.taps["is_attacked"], is_attacked)
    labels = tf.gather(batch["label"], rows)
    classes = drawn_class(
        tf.gather(given.logits, rows), labels, tf.gather(batch["attack_noise"], rows)
    )
    before = tf.gather(batch["image"], rows)
    images = boundary_images(
        teacher, before, labels, classes, is_attacked, num_steps=2, step_size=1.0
    )
    moved = np.any(np.abs(images - np.clip(before, -2.5, 2.5)) > 1e-3, axis=(1, 2, 3))
    np.testing.assert_array_equal(moved, is_attacked)
    logits = student(images, training=True), teacher(images)
    for name, value in zip(("logits", "teacher_logits"), logits, strict=True):
        np.testing.assert_allclose(
            seen.taps[f"attacked_{name}"], value, rtol=1e-3, atol=1e-4
        )
    chosen = is_attacked.numpy()
    expected = numpy_loss(*(np.float64(z)[chosen] for z in logits), 3.0)
    np.testing.assert_allclose(
        method.loss(seen, given, batch)["boundary"],
        4.0 * (1 - 0.5 / 0.8) * expected,
        rtol=1e-3,
    )


@pytest.mark.parametrize("progress", [0.01, 0.9])
def test_outside_its_part_of_the_training_it_leaves_the_student_alone(progress):
    student, *_ = pair()
    batch, given, seen = forwards(build(), progress)
    once = [v.numpy() for v in student.non_trainable_variables]
    assert not np.any(seen.taps["is_attacked"])
    assert build().loss(seen, given, batch)["boundary"] == 0.0
    # Its batch norms have seen the batch, and no attacked images after it.
    last = student.stages[0].blocks[0].bn1
    mean = last.moving_mean.numpy()
    stem = student.stem(batch["image"])
    expected = 0.9 * mean + 0.1 * tf.reduce_mean(stem, [0, 1, 2]).numpy()
    forwards(build(), progress)
    np.testing.assert_allclose(last.moving_mean, expected, rtol=1e-4, atol=1e-5)
    forwards(build(), 0.5)
    assert not np.allclose(
        last.moving_mean,
        0.9 * expected + 0.1 * tf.reduce_mean(stem, [0, 1, 2]),
        rtol=1e-4,
        atol=1e-5,
    )
    for variable, value in zip(student.non_trainable_variables, once, strict=True):
        variable.assign(value)


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"weight": -1.0}, "weight=-1"),
        ({"temperature": 0.0}, "temperature=0"),
        ({"attack_size": 0}, "attack_size=0"),
        ({"num_steps": 0}, "num_steps=0"),
        ({"step_size": 0.0}, "step_size=0"),
        ({"clip": 0.0}, "clip=0"),
        ({"warmup": 0.9}, r"warmup=0\.9, end=0\.8"),
        ({"warmup": -0.1}, r"warmup=-0\.1"),
        ({"end": 1.1}, r"end=1\.1"),
    ],
)
def test_out_of_range_raises(hyperparameters, message):
    with pytest.raises(ValueError, match=message):
        build(**hyperparameters)


def test_unequal_classes_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(2, 3\).*\(2, 4\)"):
        bss.boundary_loss(tf.zeros([2, 3]), tf.zeros([2, 4]), IS_ATTACKED[:2])


def boundary(vector):
    given, other = vector.hyperparameters, vector.inputs["other"]

    def of_logits():
        return {}, [vector.student["logits"], vector.teacher["logits"]]

    def of_attack():
        nets = [
            vectors.tanh_classifier(vector.param, side)
            for side in ("student", "teacher")
        ]
        images = boundary_images(
            nets[1],
            other["images"],
            other["labels"],
            other["attack_class"],
            tf.ones(other["labels"].shape, tf.bool),
            step_size=given["step_alpha"],
            **{k: given[k] for k in ("num_steps", "epsilon", "clip_min", "clip_max")},
        )
        return {"attack/images": images}, [net(images) for net in nets]

    kinds = {"loss": of_logits, "attack": of_attack}

    def compute():
        results, (student, teacher) = kinds[given["kind"]]()
        everywhere = tf.ones([student.shape[0]], tf.bool)
        loss = bss.boundary_loss(student, teacher, everywhere, given["temperature"])
        return {"loss": loss, **results}

    return compute, {}


PARITY = {"BSS": boundary}
