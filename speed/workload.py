"""A compiled training step of any method on one fixed batch."""

import numpy as np
import tensorflow as tf

import distiller
import nets
from training import step as step_lib
from training.optimizer import SGD

NUM_CLASSES = 10
NUM_EXAMPLES = 50_000  # of the training data, as far as methods ask for it


def data(batch_size: int) -> distiller.DataSpec:
    """What methods know of the data."""
    labels = np.arange(NUM_EXAMPLES, dtype=np.int32) % NUM_CLASSES
    return distiller.DataSpec(NUM_EXAMPLES, NUM_CLASSES, labels, batch_size)


def batch(size: int, num_classes: int = NUM_CLASSES) -> dict[str, tf.Tensor]:
    """A batch of noise of so many classes, as the trainer gives it to a step."""
    return {
        "image": tf.random.stateless_normal([size, 32, 32, 3], [3, 4]),
        "label": tf.range(size) % num_classes,
        "index": tf.range(size),
        "epoch": tf.constant(5.0),
        "progress": tf.constant(0.5),
        "seed": tf.constant([0, 0]),
    }


def build_net(name: str, precision: str = "float32", certain: bool = False):
    """A fresh net for 32x32 images, or one that is certain of class 0."""
    net = nets.build(name, NUM_CLASSES, dtype=precision, seed=0)
    if certain:
        net.head.bias.assign([100.0] + [0.0] * (NUM_CLASSES - 1))
    return net


def step_function(method, phase, student, teacher, given, *, precision, xla):
    """() -> the loss of a further step of this phase, always on the batch `given`."""
    one = step(method, phase, student, teacher, precision=precision, xla=xla)
    return tf.function(lambda: one(given, tf.constant(1e-4))["loss"], autograph=False)


def step(method, phase, student, teacher, *, precision="float32", xla=False):
    """The step of a phase, with an optimizer of its own."""
    optimizer = SGD(
        step_lib.trained_variables(phase, student, teacher),
        momentum=0.9,
        nesterov=False,
        weight_decay=5e-4,
        scale_loss=precision == "mixed_float16",
    )
    return step_lib.Step(
        method=method,
        phase=phase,
        student=student,
        teacher=teacher if method.uses_teacher else None,
        optimizer=optimizer,
        task_weight=method.task_weight,
        xla=xla,
    )
