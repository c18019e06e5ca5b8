"""About how long cells take: from cells that are finished, else from measured steps."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence

import distiller
from comparison.grid.cells import Cell
from comparison.grid.record import Record

# Settings, besides the nets, that decide how long an epoch takes.
_SPEED = ("batch_size", "image_size", "precision", "xla")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a few steps told of the cells of a method.

    Attributes:
        epochs: (a phase's length, "init" or "train"; seconds that an epoch of all of
            the data takes in it), one for each phase.
        evaluation: seconds that it takes to evaluate an epoch.
        beside: seconds of all else: start, compiling, cache, the final measurement.
        cache: bytes of the teacher cache for all of the data; 0 if none is used.
        memory: bytes that the process had in use at most, with all before.
    """

    epochs: tuple[tuple[str, float], ...]
    evaluation: float = 0.0
    beside: float = 0.0
    cache: int = 0
    memory: int = 0

    def training(self, settings, fraction: float) -> float:
        """Seconds of training."""
        lengths = {"init": settings.init_epochs, "train": self._last_phase(settings)}
        return fraction * sum(lengths[name] * epoch for name, epoch in self.epochs)

    def others(self, settings) -> float:
        """Seconds of all else."""
        number = -(-self._last_phase(settings) // settings.evaluate_every)
        return number * self.evaluation + self.beside

    def _last_phase(self, settings) -> int:
        """Its epochs, see `recipe.learning_rates`."""
        count = sum(name == "init" for name, _ in self.epochs)
        before = count * settings.init_epochs if settings.equal_epochs else 0
        return settings.epochs - before


class Estimates:
    """Seconds of cells.

    What is finished tells of its method on its nets, at any fraction. For the others
    some steps are measured. Without `measure` they take what they took on other nets,
    against methods that are known on both; else their time is unknown.

    Args:
        records: of the grid; the finished ones are the measurements.
        measure: settings -> `Measured` for the method and the nets of these settings,
            or None if that cannot be.
        start: seconds until a process trains; what is recorded does not have them.
    """

    def __init__(
        self,
        records: Sequence[Record],
        measure: Callable | None = None,
        start: float = 0.0,
    ):
        self._measure, self._measured, self._start = measure, {}, start
        self._speeds: dict[tuple, dict[str, list[float]]] = {}
        self._others: dict[tuple, list[float]] = {}  # beside training
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learns from a record, if it is finished."""
        if not record.seconds:
            return
        key = _key(record, record.result["settings"])
        speed = record.seconds / (len(record.rows) * record.fraction)
        methods = self._speeds.setdefault(key, {})
        methods.setdefault(record.method_name, []).append(speed)
        if record.wall_seconds is not None:
            others = max(0.0, record.wall_seconds - record.seconds)
            self._others.setdefault(key, []).append(others)

    def seconds(self, cell: Cell) -> float | None:
        """About how long the cell trains; None if nothing is known."""
        if cell.settings is None:
            return None
        record, key = cell.record, self._key(cell)
        known = self._speeds.get(key, {})
        if record.method_name in known:
            epoch = statistics.median(known[record.method_name])
            return epoch * _epochs(cell.settings) * record.fraction
        measured = self.measured(cell)
        if measured is not None:
            return measured.training(cell.settings, record.fraction)
        ratios = list(self._ratios(known, record.method_name))
        if not ratios:
            return None
        return statistics.median(ratios) * _epochs(cell.settings) * record.fraction

    def other_seconds(self, cell: Cell) -> float | None:
        """About how long the cell takes beside training; None if unknown.

        Of what is finished on its nets, else of what was measured for `seconds`.
        """
        if cell.settings is None:
            return None
        key = self._key(cell)
        if key in self._others:
            return self._start + statistics.median(self._others[key])
        measured = self._measured.get((key, cell.record.method_name))
        return measured and measured.others(cell.settings)

    def teacher_seconds(self, cell: Cell) -> float | None:
        """About how long the training of the cell's teacher takes; None if unknown."""
        settings = cell.settings.for_teacher()
        measured = self._measure_once((settings.train_dir,), settings)
        if measured is None:
            return None
        return measured.training(settings, 1.0) + measured.others(settings)

    @property
    def memory(self) -> int:
        """Bytes that the measured cells took at most; 0 if none was measured."""
        found = [measured.memory for measured in self._measured.values() if measured]
        return max(found, default=0)

    def measured(self, cell: Cell) -> Measured | None:
        """What a few steps of the cell's method on its nets tell, measured once."""
        place = self._key(cell), cell.record.method_name
        return self._measure_once(place, cell.settings)

    def _ratios(self, known: Mapping, method: str):
        """Seconds of an epoch of a method, by what is known of it on other nets."""
        for other in self._speeds.values():
            for name in known.keys() & other.keys() if method in other else ():
                ratio = statistics.median(other[method]) / statistics.median(
                    other[name]
                )
                yield statistics.median(known[name]) * ratio

    def _key(self, cell: Cell) -> tuple:
        return _key(cell.record, dataclasses.asdict(cell.settings))

    def _measure_once(self, place: tuple, settings) -> Measured | None:
        if place not in self._measured:
            self._measured[place] = self._measure and self._measure(settings)
        return self._measured[place]


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
