"""DML: two nets that start together learn from each other."""

import tensorflow as tf

from distiller.framework import base, hyperparameters
from op_utils.divergence import softened_kl


def mutual_kl(
    student: tf.Tensor,
    teacher: tf.Tensor,
    temperature: float = 1.0,
    weight: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """KL(p_t || p_s) and KL(p_s || p_t), the first net of each taken as constant.

    p = softmax(z / T); means over the batch, without a factor T^2. The first term has a
    gradient for the student alone, the second for the teacher alone.

    Args:
        student: [B, num_classes] logits.
        teacher: [B, num_classes] logits.
        temperature: T > 0.
        weight: [B], of each image; None is 1.

    Returns:
        Two scalars in nats, at least 0; 0 where the predictions agree.

    Raises:
        ValueError: the shapes differ.
    """
    return (
        softened_kl(student, teacher, temperature, weight),
        softened_kl(teacher, student, temperature, weight),
    )


class DML(base.Distiller):
    """Zhang et al., Deep Mutual Learning, CVPR 2018.

    https://arxiv.org/abs/1706.00384, Eqs. 6 and 7 for two nets. The teacher is a second
    student: it starts fresh, from other weights than the student even where the nets
    are equal, sees the same batches of the same fraction and is saved, too. Each net
    minimises its label cross-entropy plus the divergence of its predictions from the
    other's, which are constants in it. Owns no variables.

    Costs: the teacher's step instead of its forward pass, about three times as much;
    no training of a teacher before.

    Args:
        temperature: of both predictions, > 0; the paper has none, that is 1.
        weight: of both terms, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range.
    """

    # Paper: the nets are updated in turn, each from fresh predictions. Here: both at
    # once, from one forward pass of each, as in KD-Zoo; it saves a forward pass.
    trains_teacher = True
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        temperature: float = 1.0,
        weight: float = 1.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_positive(temperature=temperature)
        hyperparameters.check_not_negative(weight=weight)
        self.temperature = temperature
        self.weight = weight

    def loss(self, student, teacher, batch):
        """The student's weighted term, as "kl", and the teacher's, as "teacher_kl"."""
        logits, weight = (student.logits, teacher.logits), batch.get("sample_weight")
        terms = mutual_kl(*logits, self.temperature, weight)
        return {"kl": self.weight * terms[0], "teacher_kl": self.weight * terms[1]}
