"""Which parts of the teacher's output a phase reads, found without running it."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from training import step as step_lib
from training.teacher_outputs import LOGITS


class _Taps(Mapping):
    """Taps that note which of them are read."""

    def __init__(self, taps, names: set):
        self._taps, self._names = taps, names

    def __getitem__(self, name):
        self._names.add(name)
        return self._taps[name]

    def __iter__(self):
        return iter(self._taps)

    def __len__(self):
        return len(self._taps)

    def __contains__(self, name):  # which Mapping would read
        return name in self._taps


class _Output:
    """A net's output that notes what of it is read."""

    def __init__(self, output):
        self._output, self.names = output, set()
        self.taps = _Taps(output.taps, self.names)

    @property
    def logits(self):
        self.names.add(LOGITS)
        return self._output.logits

    def __getattr__(self, name):
        self._note_all()  # _replace, for one, passes everything on
        return getattr(self._output, name)

    def __iter__(self):
        self._note_all()
        return iter(self._output)

    def __getitem__(self, i):
        self._note_all()
        return self._output[i]

    def _note_all(self):
        self.names.update((LOGITS, *self._output.taps))


def read(
    phases: Sequence, method, student, teacher, image_shape, batch_size: int
) -> list[frozenset[str]]:
    """Names of the teacher's taps, and "logits", that each phase reads.

    Losses and the students' forward passes are traced in a graph that nobody runs. What
    a `teacher_forward` of a method's own reads is not looked at.

    Args:
        phases: the method's.
        method: a `distiller.framework.base.Distiller`.
        student: a net with taps.
        teacher: the same.
        image_shape: (H, W, C) of a batch's images.
        batch_size: B.
    """
    found = [frozenset()] * len(phases)

    @tf.function(autograph=False)
    def trace(batch):
        seen = step_lib.cast_output(
            teacher(batch["image"], training=False, with_taps=True)
        )
        for i, phase in enumerate(phases):
            output = _Output(seen)
            _trace_phase(phase, phase.method or method, student, teacher, batch, output)
            found[i] = frozenset(output.names)

    trace.get_concrete_function(_batch_spec(image_shape, batch_size))
    return found


def _trace_phase(phase, method, student, teacher, batch, teacher_output):
    """What `step.Step` does before the gradients."""
    batch = {**batch, **method.draw(batch)}
    if phase.trains_student:
        output = method.student_forward(student, teacher, batch, teacher_output)
    else:
        output = student(batch["image"], training=False, with_taps=True)
    phase.loss(step_lib.cast_output(output), teacher_output, batch)


def _batch_spec(image_shape, batch_size):
    of_each = {
        "image": ((*image_shape,), tf.float32),
        "label": ((), tf.int32),
        "index": ((), tf.int32),
    }
    return {
        **{
            name: tf.TensorSpec([batch_size, *shape], dtype)
            for name, (shape, dtype) in of_each.items()
        },
        "epoch": tf.TensorSpec([], tf.float32),
        "progress": tf.TensorSpec([], tf.float32),
        "seed": tf.TensorSpec([2], tf.int32),
    }
