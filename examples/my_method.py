"""A method and a net of one's own, from outside the repository.

python train_w_distill.py --imports=my_method.py --distiller=Mine --student=tiny
"""

import keras
import tensorflow as tf

import distiller
import nets
from distiller.framework import hyperparameters


def direction_gap(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean over the images of 1 - cos(student, teacher), 0 to 2, of [B, D] each."""
    student = tf.math.l2_normalize(student, axis=1)
    teacher = tf.math.l2_normalize(teacher, axis=1)
    return tf.reduce_mean(1.0 - tf.reduce_sum(student * teacher, axis=1))


@distiller.register("Mine", aliases=("My",))
class Mine(distiller.Distiller):
    """Me, The Direction of the Teacher's Embedding, 2026.

    https://example.org/mine. Owns one linear map from the student's embedding to the
    teacher's.

    Args:
        weight: of the gap, >= 0.
    """

    def __init__(self, student_taps, teacher_taps, data, *, weight: float = 1.0):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        self.weight = weight
        width = teacher_taps["embedding"].channels
        self.to_teacher = keras.layers.Dense(width, use_bias=False, dtype="float32")
        self.to_teacher.build((None, student_taps["embedding"].channels))

    def loss(self, student, teacher, batch):
        """One term, "direction"."""
        mapped = self.to_teacher(student.taps["embedding"])
        target = tf.stop_gradient(teacher.taps["embedding"])
        gap = direction_gap(mapped, target)
        return {"direction": self.weight * gap}


@nets.register("tiny")
def tiny(num_classes, input_shape):
    """Two convolutions; the images come normalised by the data's mean and std."""
    conv = {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(8, **conv),
            keras.layers.Conv2D(16, **conv),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(num_classes),
        ]
    )
