"""About how long cells take, from those that are finished and what methods cost."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

import distiller
from comparison.cells import Cell
from comparison.record import Record

# Steps of Soft_logits that a step takes, where it is more than about one (it is less
# where no teacher is asked); docs/performance.md has the measurements. BSS' attacks
# depend on the data; this is the most it can be.
_STEPS = {"VID": 1.1, "FT": 1.1, "LwM": 1.4, "KD_SVD": 1.4, "MHGD": 1.4}
_STEPS |= {"KD_EID": 1.5, "DML": 2.3, "Sobolev": 2.3, "MLKD": 3.7, "BSS": 6.4}
_REPEATS = 5
# Settings, besides the nets, that decide how long an epoch takes.
_SPEED = ("batch_size", "image_size", "precision", "xla")


class Estimates:
    """Seconds of cells, without evaluation and start.

    Args:
        records: of the grid; the finished ones are the measurements.
        measure: settings -> seconds that an epoch of all of the data takes (alone, by
            Soft_logits), or None; for nets of which nothing is finished. Without it
            their time is unknown.
    """

    def __init__(self, records: Sequence[Record], measure: Callable | None = None):
        self._measure, self._measured = measure, {}
        self._speeds: dict[tuple, dict[str, list[float]]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learns from a record, if it is finished."""
        if record.seconds:
            speed = record.seconds / (record.epochs * record.fraction)
            settings = record.result["settings"]
            methods = self._speeds.setdefault(_key(record, settings), {})
            methods.setdefault(record.method_name, []).append(speed)

    def seconds(self, cell: Cell) -> float | None:
        """About how long the cell trains; None if nothing is known."""
        epoch = self._epoch(cell)
        if epoch is None:
            return None
        return epoch * _epochs(cell.settings) * cell.record.fraction

    def teacher_seconds(self, cell: Cell) -> float | None:
        """About how long the training of the cell's teacher takes; None if unknown."""
        settings = cell.settings.for_teacher()
        epoch = self._measure_once((settings.train_dir,), settings)
        return None if epoch is None else epoch * settings.epochs

    def _epoch(self, cell: Cell) -> float | None:
        """Seconds of an epoch of all of the data."""
        record = cell.record
        if cell.settings is None:
            return None
        key = _key(record, dataclasses.asdict(cell.settings))
        known = self._speeds.get(key, {})
        if record.method_name in known:
            return statistics.median(known[record.method_name])
        relative = [s / _steps(name) for name in known for s in known[name]]
        if relative:
            return statistics.median(relative) * _steps(record.method_name)
        epoch = self._measure_once(key, cell.settings)
        return None if epoch is None else epoch * _steps(record.method_name)

    def _measure_once(self, nets: tuple, settings) -> float | None:
        if nets not in self._measured:
            self._measured[nets] = self._measure and self._measure(settings)
        return self._measured[nets]


def step_seconds(student, teacher, batch_size: int) -> float:
    """Measures a step: the student forward and backward, the teacher forward.

    Args:
        student: a net.
        teacher: a net, or None.
        batch_size: images a step.
    """
    images = tf.zeros([batch_size, *student.image_shape])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(student(images, training=True))
        gradients = tape.gradient(loss, student.trainable_variables)
        outputs = [] if teacher is None else [teacher(images, training=False)]
        return [tf.reduce_sum(x) for x in (*gradients, *outputs)]

    step()
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        [x.numpy() for x in step()]
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def as_text(seconds: float | None) -> str:
    """A duration in words, such as "3 h 05 min"."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours = f"{minutes // 60} h {minutes % 60:02d} min"
    return hours if minutes >= 90 else f"{minutes} min"


def _epochs(settings) -> int:
    """Of all phases; of a variant without an initialising one it may be too many."""
    if settings.equal_epochs:
        return settings.epochs
    parts = settings.distiller.split("+")
    count = sum(distiller.resolve(part).has_init_phase for part in parts)
    return settings.epochs + count * settings.init_epochs


def _key(record: Record, settings: Mapping) -> tuple:
    """What has a speed of its own."""
    place = record.dataset, record.teacher, record.student
    return (*place, *(settings.get(name) for name in _SPEED))


def _steps(method: str) -> float:
    return max(_STEPS.get(part, 1.0) for part in method.split("+"))
