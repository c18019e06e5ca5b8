"""Logits: the student regresses the teacher's logits."""

from distiller.framework import base, hyperparameters
from op_utils.squared_error import squared_gap


class Logits(base.Distiller):
    """Ba and Caruana, Do Deep Nets Really Need to be Deep?, NIPS 2014.

    https://arxiv.org/abs/1312.6184, section 2.2. The mean over batch and classes of
    (z_s - z_t)^2, z the logits: no softmax, no temperature. Owns no variables. The
    default weight is that of AberHu/Knowledge-Distillation-Zoo, which keeps the label
    cross-entropy.

    Args:
        weight: of the term, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range.
    """

    weighs_images = True

    def __init__(self, student_taps, teacher_taps, data, *, weight: float = 0.1):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_not_negative(weight=weight)
        self.weight = weight

    def loss(self, student, teacher, batch):
        """The weighted mean square, as "logits"."""
        # Paper: half the sum over the classes, without labels. Here: the mean, because
        # one weight then serves any number of classes; a weight of half that number
        # with --task_weight=0 is the paper's.
        logits = student.logits, teacher.logits
        gap = squared_gap(*logits, batch.get("sample_weight"))
        return {"logits": self.weight * gap}
