"""Sums of methods, such as VID+Soft_logits."""

import dataclasses
import functools
from collections.abc import Mapping

import tensorflow as tf

from common.errors import wrong
from distiller.framework import base

_FORWARDS = ("teacher_forward", "student_forward", "deployed")


class Composition(base.Distiller):
    """Trains with the terms of several methods at once.

    The parts' extra phases run first, in the written order, each by itself. The last
    phase adds the terms of all; "vid/nll" is the term "nll" of the part VID. At most
    one part may need a forward of its own, `combine`, `trains_teacher` or `deployed`.
    With `combine`, the terms of the other parts count as task.

    `task_weight` is the largest of the parts': published sums (CRD+KD in RepDistiller)
    keep the label cross-entropy of the method that KD's term is added to.

    An example is CRD+KD of Tian et al., https://arxiv.org/abs/1910.10699.

    Args:
        student_taps: the student's taps, by name.
        teacher_taps: the teacher's taps, by name.
        data: the training data's `base.DataSpec`.
        parts: canonical name -> method, in the written order.

    Attributes:
        parts: the methods, in the written order.

    Raises:
        ValueError: two parts need what only one may have, or one needs a trained
            teacher while another trains it.
    """

    def __init__(
        self,
        student_taps,
        teacher_taps,
        data,
        parts: Mapping[str, base.Distiller],
    ):
        super().__init__(student_taps, teacher_taps, data)
        # Two tuples and no dict: tf.Module would sort a dict's parts by name.
        self.prefixes = tuple(name.lower() for name in parts)
        self.parts = tuple(parts.values())
        self.uses_teacher = any(part.uses_teacher for part in self.parts)
        self.trains_teacher = any(part.trains_teacher for part in self.parts)
        self.needs_labels = any(part.needs_labels for part in self.parts)
        self.needs_index = any(part.needs_index for part in self.parts)
        self.weighs_images = all(part.weighs_images for part in self.parts)
        self.has_init_phase = any(part.has_init_phase for part in self.parts)
        self.task_weight = max(part.task_weight for part in self.parts)
        special = [name for name, part in parts.items() if _needs(part)]
        if len(special) > 1:
            needs = [f"{name} ({', '.join(_needs(parts[name]))})" for name in special]
            raise wrong(
                "A step has one forward of each net and one update",
                expected="at most one method with a forward, combine, trains_teacher "
                "or deployed of its own",
                received=", ".join(needs),
            )
        self._special = parts[special[0]] if special else None
        if self.trains_teacher:
            _check_need_no_trained_teacher(parts)

    def overrides(self, name: str) -> bool:
        """Whether a part replaces the default of, say, "teacher_forward"."""
        return any(part.overrides(name) for part in self.parts)

    def draw(self, batch):
        """What all parts draw, each from a seed of its own."""
        drawn = {}
        for i, part in enumerate(self.parts):
            seed = tf.random.experimental.stateless_fold_in(batch["seed"], i)
            for name, value in part.draw({**batch, "seed": seed}).items():
                if name in drawn:
                    raise wrong(
                        "Two methods of a sum draw under the same name",
                        expected="different names",
                        received=f"{name!r} again, from {self.prefixes[i]}",
                    )
                drawn[name] = value
        return drawn

    def teacher_forward(self, teacher, student, batch):
        """That of the part which needs its own, or the default."""
        forward = (self._special or super()).teacher_forward
        return forward(teacher, student, batch)

    def student_forward(self, student, teacher, batch, teacher_output):
        """That of the part which needs its own, or the default."""
        forward = (self._special or super()).student_forward
        return forward(student, teacher, batch, teacher_output)

    def deployed(self, student, teacher):
        """That of the part which needs its own, or the default."""
        return (self._special or super()).deployed(student, teacher)

    def loss(self, student, teacher, batch):
        """The last phase's terms of all parts."""
        return self.phases()[-1].loss(student, teacher, batch)

    def phases(self):
        """The parts' extra phases, then their last ones as one."""
        phases = [part.phases() for part in self.parts]
        extra = [
            dataclasses.replace(
                phase,
                name=f"{prefix}.{phase.name}",
                loss=functools.partial(_prefixed_terms, {prefix: phase.loss}),
                method=part,
            )
            for prefix, part, own_phases in zip(
                self.prefixes, self.parts, phases, strict=True
            )
            for phase in own_phases[:-1]
        ]
        last = dict(
            zip(self.prefixes, (own_phases[-1] for own_phases in phases), strict=True)
        )
        return (*extra, _joint(last))


def _needs(part: base.Distiller) -> tuple[str, ...]:
    """What the part has of its own, of that which only one may have."""
    needs = [name for name in _FORWARDS if part.overrides(name)]
    phases = part.phases()
    needs += ["combine"] if any(phase.combine for phase in phases) else []
    needs += ["trains_teacher"] if any(p.trains_teacher for p in phases) else []
    return tuple(needs)


def _check_need_no_trained_teacher(parts: Mapping[str, base.Distiller]):
    early = [
        name
        for name, part in parts.items()
        if part.needs_trained_teacher
        or (part.uses_teacher and len(part.phases()) > 1 and not part.trains_teacher)
    ]
    if early:
        raise wrong(
            "A teacher that starts with the student knows nothing yet when these "
            "methods need it",
            expected="methods with one phase, and none that reads the teacher's "
            "weights",
            received=f"{', '.join(early)} in {'+'.join(parts)}",
        )


def _prefixed_terms(losses, student, teacher, batch):
    """The terms of all losses (prefix -> loss), renamed "prefix/term"."""
    return {
        f"{prefix}/{name}": term
        for prefix, loss in losses.items()
        for name, term in loss(student, teacher, batch).items()
    }


def _joint(last: dict[str, base.Phase]) -> base.Phase:
    """One phase of all parts' last ones."""
    phases = tuple(last.values())
    weights = [phase.task_weight for phase in phases]
    combining = [phase.combine for phase in phases if phase.combine]
    return base.Phase(
        "distill",
        functools.partial(_prefixed_terms, {p: last[p].loss for p in last}),
        own=tuple(variable for phase in phases for variable in phase.own),
        task_weight=None if None in weights else max(weights),
        trains_student=any(phase.trains_student for phase in phases),
        trains_teacher=any(phase.trains_teacher for phase in phases),
        combine=combining[0] if combining else None,
        task_terms=tuple(
            f"{prefix}/" for prefix in last if combining and not last[prefix].combine
        ),
    )
