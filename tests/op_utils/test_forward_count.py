import numpy as np
import pytest
import tensorflow as tf

from op_utils.forward_count import counted, repeated
from tests.training.tiny import IMAGE_SHAPE, Net

IMAGES = tf.zeros([4, *IMAGE_SHAPE])


def count(step, **nets):
    """What `step`, which takes images, is counted as."""
    with counted(nets, batch_size=4) as counts:
        tf.function(step, autograph=False).get_concrete_function(IMAGES)
    return counts.executed()


def run(step, **nets):
    """How often TensorFlow runs each net, for each image of the batch."""
    ran = dict.fromkeys(nets, 0.0)

    def watched(role, call):
        def note(images):
            ran[role] += len(images) / 4
            return images

        def wrapper(images, *args, **kwargs):
            # An operation without an effect of its own, which may be left out.
            noted = tf.numpy_function(note, [images], tf.float32, stateful=False)
            return call(tf.ensure_shape(noted, images.shape), *args, **kwargs)

        return wrapper

    for role, net in nets.items():
        object.__setattr__(net, "call", watched(role, net.call))
    try:
        tf.function(step, autograph=False)(IMAGES)
    finally:
        for net in nets.values():
            object.__delattr__(net, "call")
    return ran


def views(student, teacher):
    def step(images):
        both = tf.concat([images, images], axis=0)
        return student(images), teacher(both, with_taps=True).logits

    return step, {"student": 1.0, "teacher": 2.0}


def unread(student, teacher):
    """Inside a function that is called, as the compiled part of a step is."""

    @tf.function(autograph=False)
    def inner(images):
        student(images, training=False)
        return teacher(images, with_taps=True).taps["stage1"]

    return lambda images: inner(images) + 1, {"student": 0.0, "teacher": 1.0}


def with_an_effect(student, teacher):
    del teacher

    def step(images):
        student(images, training=True)
        return tf.reduce_sum(images)

    return step, {"student": 1.0, "teacher": 0.0}


def loop(student, teacher):
    def body(i, x):
        student(IMAGES, training=False)
        return i + 1, x + tf.reduce_mean(teacher(IMAGES, training=False))

    def step(images):
        with repeated(3):
            return tf.while_loop(lambda i, x: i < 3, body, (0, images[0, 0, 0, 0]))

    return step, {"student": 0.0, "teacher": 3.0}


def gradients(student, teacher):
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(student(images, training=True))
            teacher(images, training=False)
        return tape.gradient(loss, student.trainable_variables)

    return step, {"student": 1.0, "teacher": 0.0}


@pytest.mark.parametrize("make", [views, unread, with_an_effect, loop, gradients])
def test_what_is_counted_is_what_tensorflow_runs(make):
    nets = {"student": Net(), "teacher": Net(1)}
    counted_step, expected = make(**nets)
    assert count(counted_step, **nets) == expected
    assert run(make(**nets)[0], **nets) == expected  # traced anew


def test_the_nets_are_as_before():
    net = Net()
    attributes, output = vars(net).keys(), net(IMAGES)
    with counted({"student": net}, batch_size=4) as counts:
        pass
    np.testing.assert_array_equal(net(IMAGES), output)
    assert vars(net).keys() == attributes and counts.executed() == {"student": 0.0}
