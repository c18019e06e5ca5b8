"""No distillation: the baseline of every comparison."""

from distiller.framework import base


class NoDistillation(base.Distiller):
    """Training with the label cross-entropy alone; no teacher is trained or run.

    The student's row in every published comparison, such as table 1 of Tian et al.,
    https://arxiv.org/abs/1910.10699. Owns no variables.
    """

    uses_teacher = False
    weighs_images = True  # there is nothing to weigh

    def loss(self, student, teacher, batch):
        """No term: the trainer adds the label cross-entropy."""
        del student, teacher, batch
        return {}

    def phases(self):
        """One, called what it is."""
        return (base.Phase("train", self.loss),)
