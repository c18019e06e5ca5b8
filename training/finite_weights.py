"""What must stay finite: a finite loss may leave an infinite weight behind.

A batch norm's variance, for one, enters no loss of the step that spoils it.
"""

from collections.abc import Sequence

import tensorflow as tf

from common.errors import NonFiniteLoss


def watched(phase, student, teacher) -> list:
    """The floating variables of the trained nets, and what the method trains.

    Args:
        phase: a `distiller.Phase`.
        student: the net.
        teacher: the net; looked at only where the phase trains it.
    """
    found = [*student.variables]
    found += teacher.variables if phase.trains_teacher else []
    found += phase.own
    return [v for v in found if tf.as_dtype(v.dtype).is_floating]


def are_finite(variables: Sequence) -> list[tf.Tensor]:
    """Whether each variable is finite, bool scalars; in a graph, too."""
    return [tf.reduce_all(tf.math.is_finite(v)) for v in variables]


def check(variables: Sequence, are_finite: Sequence, step: int, phase: str) -> None:
    """Raises NonFiniteLoss, which names those that are not, the step and the phase.

    Args:
        variables: that are watched.
        are_finite: for each of them, see there.
        step: of the phase, after which that was.
        phase: its name.
    """
    checked = zip(variables, are_finite, strict=True)
    bad = [getattr(v, "path", v.name) for v, is_finite in checked if not is_finite]
    if bad:
        raise NonFiniteLoss(
            f"training diverged: after step {step} of phase '{phase}', expected "
            f"finite weights. Received: {', '.join(bad[:3])} with inf or nan. The last "
            "good checkpoint is kept; a lower --learning_rate or a longer "
            "--warmup_epochs may help."
        )
