"""FT: the student learns the teacher's features in a paraphrased form."""

import functools
import typing

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, hyperparameters, tap_pairs
from nets.taps import TapSpec
from op_utils.connectors import ConvStack
from op_utils.factor_distance import factor_attention_gap, factor_gap
from op_utils.squared_error import squared_gap

Variant = typing.Literal["paper", "attention"]
Norms = typing.Literal["both", "translator", "none"]


class FT(base.Distiller):
    """Kim et al., Paraphrasing Complex Network, NeurIPS 2018.

    https://arxiv.org/abs/1802.04977. Phase "paraphrase" trains an autoencoder, the
    paraphraser, on the teacher's map alone; its code is the teacher's factor. Phase
    "distill" trains the student and a translator, from the student's map to a factor of
    the same channels, to match it; the paraphraser is frozen. Owns both per pair of
    taps: encoder, decoder and translator of three 3x3 convolutions each.

    Args:
        variant: "paper" compares the factors scaled to length 1; "attention" compares
            their attention maps, as HobbitLong/RepDistiller does.
        taps: the maps: last_map, stage2, student:teacher, ... (`tap_pairs`).
        weight: of the sum over the pairs, >= 0; the default is that of RepDistiller and
            KD-Zoo. The paraphraser's own loss counts 1.
        rate: channels of the factor over those of the teacher's map, > 0.
        batch_norm: which have batch norms: "both", paraphraser and translator (KD-Zoo
            for CIFAR-10); the "translator" alone (RepDistiller); or "none" (KD-Zoo for
            CIFAR-100).
        p1: exponent of the factors in "attention", >= 1.
        p2: exponent of the differences, 1 or an even number.

    Raises:
        ValueError: a hyperparameter is out of range, a tap does not exist, or `rate`
            leaves a factor no channel.
    """

    has_init_phase = True

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        *,
        variant: Variant = "paper",
        taps: tuple[str, ...] = ("last_map",),
        weight: float = 200.0,
        rate: float = 0.5,
        batch_norm: Norms = "both",
        p1: int = 2,
        p2: int = 1,
    ):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_choice(typing.get_args(Variant), variant=variant)
        hyperparameters.check_choice(typing.get_args(Norms), batch_norm=batch_norm)
        hyperparameters.check_not_negative(weight=weight)
        hyperparameters.check_positive(p1=p1, p2=p2)
        if p1 != int(p1) or p2 != 1 and p2 % 2:
            raise wrong(
                "Factors and differences have negative entries",
                expected="p1 = 1, 2, 3, ... and p2 = 1, 2, 4, 6, ...",
                p1=p1,
                p2=p2,
            )
        self.variant = variant
        self.weight = weight
        self.p1, self.p2 = p1, p2
        self.pairs = tap_pairs.resolve(taps, student_taps, teacher_taps, maps=True)
        stacks = (
            _stacks(student_taps[s], teacher_taps[t], rate, batch_norm)
            for s, t in self.pairs
        )
        self.encoders, self.decoders, self.translators = zip(*stacks, strict=True)

    def phases(self):
        """Paraphrase the teacher, then distil."""
        paraphrase = base.Phase(
            "paraphrase",
            self.reconstruction,
            own=_trainable(self.encoders + self.decoders),
            length="init",
            task_weight=0.0,
            trains_student=False,
        )
        own = _trainable(self.translators)
        return paraphrase, base.Phase("distill", self.loss, own=own)

    def reconstruction(self, student, teacher, batch):
        """Mean squared errors of the decoded maps, summed, as "reconstruction"."""
        del student, batch
        errors = []
        for pair, encode, decode in zip(
            self.pairs, self.encoders, self.decoders, strict=True
        ):
            maps = tf.stop_gradient(teacher.taps[pair[1]])
            errors.append(squared_gap(decode(encode(maps)), maps))
        return {"reconstruction": tf.add_n(errors)}

    def loss(self, student, teacher, batch):
        """The weighted sum over the pairs, as "factor"."""
        del batch
        gaps = []
        for (s, t), translate, encode in zip(
            self.pairs, self.translators, self.encoders, strict=True
        ):
            own = translate(student.taps[s])
            given = encode(teacher.taps[t], training=False)
            if self.variant == "paper":
                gaps.append(factor_gap(own, given, self.p2))
            else:
                gaps.append(factor_attention_gap(own, given, self.p1, self.p2))
        return {"factor": self.weight * tf.add_n(gaps)}


def _stacks(student: TapSpec, teacher: TapSpec, rate: float, batch_norm: Norms):
    """Encoder, decoder and translator for a pair of taps."""
    own, given = student.channels, teacher.channels
    factor = hyperparameters.scaled_width(given, rate=rate)
    stack = functools.partial(ConvStack, batch_norm=batch_norm == "both")
    translates = batch_norm != "none"
    return (
        stack((given, given, factor, factor), name="encoder"),
        stack((factor, factor, given, given), name="decoder", transposed=True),
        ConvStack((own, own, factor, factor), name="translator", batch_norm=translates),
    )


def _trainable(layers) -> tuple:
    return tuple(v for layer in layers for v in layer.trainable_variables)
