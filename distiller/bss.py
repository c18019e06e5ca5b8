"""BSS: the student learns from images that were moved to the teacher's boundaries."""

import functools

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters
from op_utils import shapes
from op_utils.boundary_attack import boundary_images, candidates, drawn_class
from op_utils.divergence import softened_kl

_TAPS = ("attacked_logits", "attacked_teacher_logits", "is_attacked")


def boundary_loss(
    student: tf.Tensor,
    teacher: tf.Tensor,
    is_attacked: tf.Tensor,
    temperature: float = 3.0,
) -> tf.Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)), mean over the attacked images.

    Args:
        student: [B, num_classes] logits.
        teacher: [B, num_classes] logits, taken as constants.
        is_attacked: bool [B]; the other images count for nothing.
        temperature: T > 0.

    Returns:
        Scalar in nats, at least 0; 0 where no image was attacked.

    Raises:
        ValueError: the shapes differ.
    """
    shapes.check_equal(student, teacher, "The nets classify the same images", "logits")
    # Where the nets agree, the divergence is 0.
    student = tf.where(is_attacked[:, None], student, tf.stop_gradient(teacher))
    count = tf.reduce_sum(tf.cast(is_attacked, student.dtype))
    divergence = softened_kl(student, teacher, temperature)  # mean over B
    return divergence * student.shape[0] / tf.maximum(count, 1.0)


class BSS(base.Distiller):
    """Heo et al., KD with Adversarial Samples Supporting Decision Boundary, AAAI 2019.

    https://arxiv.org/abs/1805.05532. Of the images that both nets classify correctly,
    some are moved to the teacher's boundary to another class, drawn in proportion to
    the teacher's predictions (`op_utils.boundary_attack`). There the term is the
    divergence KL(softmax(z_t / T) || softmax(z_s / T)), mean over these images, without
    T^2. Owns no variables. The paper adds softened predictions: BSS+Soft_logits.

    Costs, while it acts and with a = min(attack_size / batch size, 1): 1 + 2 num_steps
    forward passes of the teacher over a of the batch (often fewer: it stops early), and
    a more of the student's step, whose batch normalisation sees these images, too.

    Args:
        temperature: softens both predictions, > 0.
        weight: of the term at the start, >= 0; falls linearly to 0 at `end`.
        warmup: share of the training before the term begins to act, >= 0.
        end: share of the training after which it no longer acts, at most 1.
        attack_size: the most images of a batch, > 0.
        num_steps: the most steps of an attack, > 0.
        step_size: of an attack, in normalised pixels, > 0.
        clip: attacked pixels, normalised, stay between -clip and clip, > 0.

    Raises:
        ValueError: a hyperparameter is out of range.
    """

    needs_labels = True

    # KD-Zoo's numbers: 10 of 200 epochs of warm-up. There the weight falls by epochs.

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        temperature: float = 3.0,
        weight: float = 2.0,
        warmup: float = 0.05,
        end: float = 0.8,
        attack_size: int = 32,
        num_steps: int = 10,
        step_size: float = 0.3,
        clip: float = 2.5,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(temperature=temperature, attack_size=attack_size)
        hyperparameters.check_positive(
            num_steps=num_steps, step_size=step_size, clip=clip
        )
        if not 0 <= warmup < end <= 1:
            raise wrong(
                "The term acts in a part of the training",
                expected="0 <= warmup < end <= 1",
                warmup=warmup,
                end=end,
            )
        self.temperature, self.attack_size = temperature, attack_size
        self.weight, self.warmup, self.end = weight, warmup, end
        self.attack = functools.partial(
            boundary_images,
            num_steps=num_steps,
            step_size=step_size,
            clip_min=-clip,
            clip_max=clip,
        )

    def draw(self, batch):
        """Gumbel noise [B, num_classes] that chooses each image's attack class."""
        shape = [batch["label"].shape[0], self.data.num_classes]
        # The least value keeps the inner logarithm finite.
        uniform = tf.random.stateless_uniform(shape, batch["seed"], minval=1e-30)
        return {"attack_noise": -tf.math.log(-tf.math.log(uniform))}

    def current_weight(self, batch) -> tf.Tensor:
        """The term's weight at this step of the training."""
        left = tf.maximum(1.0 - batch["progress"] / self.end, 0.0)
        return tf.where(batch["progress"] < self.warmup, 0.0, self.weight * left)

    def student_forward(self, student, teacher, batch, teacher_output):
        """The default output, with both nets' logits at the attacked images.

        The taps "attacked_logits" and "attacked_teacher_logits" are [n, num_classes],
        and "is_attacked" [n] is 1 where they count; n = min(attack_size, B).
        """
        output = super().student_forward(student, teacher, batch, teacher_output)
        logits = tf.cast(output.logits, tf.float32), teacher_output.logits
        rows, is_attacked = candidates(*logits, batch["label"], self.attack_size)
        is_attacked &= self.current_weight(batch) > 0

        def attacked():
            kinds = batch["image"], batch["label"], batch["attack_noise"], logits[1]
            images, labels, noise, target = (tf.gather(x, rows) for x in kinds)
            classes = drawn_class(target, labels, noise)
            images = self.attack(teacher, images, labels, classes, is_attacked)
            seen = student(images, training=True)
            target = tf.stop_gradient(teacher(images, training=False))
            return tf.cast(seen, tf.float32), tf.cast(target, tf.float32)

        # A step without an attack costs nothing and leaves the batch norms alone.
        zeros = tf.zeros([rows.shape[0], output.logits.shape[-1]])
        found = tf.cond(tf.reduce_any(is_attacked), attacked, lambda: (zeros, zeros))
        found = *found, tf.cast(is_attacked, tf.float32)
        extras = dict(zip(_TAPS, found, strict=True))
        return output._replace(taps={**output.taps, **extras})

    def loss(self, student, teacher, batch):
        """The weighted term, as "boundary"."""
        del teacher
        seen, target, is_attacked = (student.taps[name] for name in _TAPS)
        divergence = boundary_loss(seen, target, is_attacked > 0, self.temperature)
        return {"boundary": self.current_weight(batch) * divergence}
