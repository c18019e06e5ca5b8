"""What a dry run prints: the runs of a grid, and about how long they take."""

from collections.abc import Callable, Iterator, Sequence

from common import quantities
from comparison.grid import estimate
from comparison.grid.cells import Cell
from comparison.grid.progress import place_of
from comparison.grid.record import FAILED, FINISHED


def lines(
    cells: Sequence[Cell], measure: Callable, start: float = 0.0
) -> Iterator[str]:
    """One for each teacher that is not trained yet, one for each run, and the sum.

    Args:
        cells: of the grid.
        measure: see `estimate.Estimates`.
        start: see `estimate.Estimates`.
    """
    records = [cell.read() for cell in cells]
    estimates = estimate.Estimates(records, measure, start)
    left = [
        cell
        for cell, record in zip(cells, records, strict=True)
        if record.state != FINISHED and not cell.problem
    ]
    times, bare = [], 0
    for cell in {cell.teacher: cell for cell in left if cell.lacks_teacher}.values():
        times.append(estimates.teacher_seconds(cell))
        yield f"teacher {cell.record.teacher}: missing, {_about(times[-1])}"
    for cell, record in zip(cells, records, strict=True):
        words = record.state if record.state != FAILED else f"failed: {record.reason}"
        if cell in left:
            training, others = estimates.seconds(cell), estimates.other_seconds(cell)
            times.append(training if training is None else training + (others or 0.0))
            bare += training is not None and others is None
            words += f", {_about(times[-1])}"
        yield f"{place_of(record)}: {words}"
    known = [time for time in times if time is not None]
    texts = [f"{len(cells)} runs"]
    if known or not times:
        texts.append(f"{_about(sum(known))} left, one by one")
    if bare:
        texts.append(f"start and evaluations of {bare} are not in it")
    if known != times:
        texts.append(f"{len(times) - len(known)} {_about(None)}")
    yield "; ".join(texts)
    needed = _cache_bytes(left, estimates)
    if needed:
        yield f"teacher cache: about {quantities.size(needed)} of disk if it is empty"
    if estimates.memory:
        yield f"memory: up to about {quantities.size(estimates.memory)} a run"


def _cache_bytes(cells: Sequence[Cell], estimates) -> float:
    """What the teacher cache of all cells takes: each teacher's of each share once."""
    found: dict[tuple, float] = {}
    for cell in cells:
        measured = cell.settings.teacher_cache and estimates.measured(cell)
        if measured:
            record = cell.record
            place = record.dataset, record.teacher, record.fraction
            place += (cell.settings.data_seed, cell.settings.augmentation_period)
            needed = measured.cache * record.fraction
            found[place] = max(found.get(place, 0.0), needed)
    return sum(found.values())


def _about(seconds: float | None) -> str:
    known = seconds is not None
    return f"about {quantities.duration(seconds)}" if known else "of unknown length"
