"""FitNet: the student's middle layer learns to predict the teacher's."""

import typing

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from op_utils.connectors import ConvConnector
from op_utils.divergence import softened_kl
from op_utils.squared_error import squared_gap

Variant = typing.Literal["paper", "one_phase"]


class FitNet(base.Distiller):
    """Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015.

    https://arxiv.org/abs/1412.6550. Phase "hint" trains the student up to the guided
    map, and a regressor on top of it, with Eq. 3 alone. Phase "distill" trains the
    student with Eq. 2: the label cross-entropy plus lambda times that with the
    teacher's softened predictions, where lambda falls linearly. Owns per pair of taps
    one regressor (convolution, batch norm, ReLU) to the teacher's shape.

    Args:
        variant: "paper" for the two phases; "one_phase" for hint and label
            cross-entropy together throughout, as RepDistiller and mdistiller do.
        taps: the guided maps: stage2, student:teacher, ... (`tap_pairs`).
        regressor: whether there is one; without it the maps are compared as they are
            (AberHu/Knowledge-Distillation-Zoo), which needs equal shapes.
        weight: of the hint, >= 0.
        temperature: of the softened predictions of Eq. 2, > 0.
        first_lambda: weight of the softened predictions at the start, >= 0.
        last_lambda: their weight at the end, >= 0.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or the
            regressor cannot bring the student's map to the teacher's size, or there is
            none and the shapes differ.
    """

    has_init_phase = True
    weighs_images = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        variant: Variant = "paper",
        taps: tuple[str, ...] = ("stage2",),
        regressor: bool = True,
        weight: float = 100.0,
        temperature: float = 3.0,
        first_lambda: float = 4.0,
        last_lambda: float = 1.0,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        hyperparameters.check_not_negative(
            weight=weight, first_lambda=first_lambda, last_lambda=last_lambda
        )
        hyperparameters.check_positive(temperature=temperature)
        self.variant = variant
        self.weight = weight
        self.temperature = temperature
        self.first_lambda, self.last_lambda = first_lambda, last_lambda
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)
        self.regressors = tuple(
            ConvConnector(student_taps[s].shape, teacher_taps[t].shape, name=f"to_{t}")
            for s, t in (self.pairs if regressor else ())
        )
        for s, t in self.pairs:
            shapes = student_taps[s].shape, teacher_taps[t].shape
            if not regressor and shapes[0] != shapes[1]:
                raise wrong(
                    "Without a regressor the maps are compared as they are",
                    expected="equal shapes",
                    received=f"regressor=false, {s} of the student {shapes[0]}, {t} of "
                    f"the teacher {shapes[1]}",
                )

    def phases(self):
        """Hint, then distil; or both terms' single phase."""
        own = self.trainable_variables
        if self.variant == "one_phase":
            return (base.Phase("distill", self.hint, own=own),)
        return (
            base.Phase("hint", self.hint, own=own, length="init", task_weight=0.0),
            base.Phase("distill", self.loss),
        )

    def hint(self, student, teacher, batch):
        """Eq. 3, summed over the pairs, as "hint"."""
        weight = batch.get("sample_weight")
        # Paper: half the squared norm, i.e. H W C / 2 times the mean. Here: weight
        # times the mean, because one weight then serves maps of all sizes.
        maps = [student.taps[s] for s, _ in self.pairs]
        if self.regressors:
            maps = [
                regressor(x, training=True)
                for regressor, x in zip(self.regressors, maps, strict=True)
            ]
        terms = [
            squared_gap(x, teacher.taps[t], weight)
            for x, (_, t) in zip(maps, self.pairs, strict=True)
        ]
        return {"hint": self.weight * tf.add_n(terms)}

    def loss(self, student, teacher, batch):
        """Eq. 2's second term, as "kl"."""
        # Paper: cross-entropy with the softened predictions, without Hinton's T^2.
        # Here: the divergence, with the same gradient, because it is 0 at equality.
        falling = self.first_lambda - self.last_lambda
        weight = self.first_lambda - falling * batch["progress"]
        logits, of_images = (student.logits, teacher.logits), batch.get("sample_weight")
        divergence = softened_kl(*logits, self.temperature, of_images)
        return {"kl": weight * divergence}
