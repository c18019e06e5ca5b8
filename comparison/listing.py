"""What a dry run prints: the runs of a grid, and about how long they take."""

from collections.abc import Callable, Iterator, Sequence

from comparison import estimate
from comparison.cells import Cell
from comparison.progress import place_of
from comparison.record import FAILED, FINISHED


def lines(cells: Sequence[Cell], measure: Callable) -> Iterator[str]:
    """One for each teacher that is not trained yet, one for each run, and the sum.

    Args:
        cells: of the grid.
        measure: see `estimate.Estimates`.
    """
    records = [cell.read() for cell in cells]
    estimates = estimate.Estimates(records, measure)
    left = [
        cell
        for cell, record in zip(cells, records, strict=True)
        if record.state != FINISHED and not cell.problem
    ]
    times = []
    for cell in {cell.teacher: cell for cell in left if cell.lacks_teacher}.values():
        times.append(estimates.teacher_seconds(cell))
        yield f"teacher {cell.record.teacher}: missing, {_about(times[-1])}"
    for cell, record in zip(cells, records, strict=True):
        words = record.state if record.state != FAILED else f"failed: {record.reason}"
        if cell in left:
            times.append(estimates.seconds(cell))
            words += f", {_about(times[-1])}"
        yield f"{place_of(record)}: {words}"
    known = [time for time in times if time is not None]
    texts = [f"{len(cells)} runs"]
    if known or not times:
        texts.append(f"{_about(sum(known))} of training left, one by one")
    if known != times:
        texts.append(f"{len(times) - len(known)} {_about(None)}")
    yield "; ".join(texts)


def _about(seconds: float | None) -> str:
    known = seconds is not None
    return f"about {estimate.as_text(seconds)}" if known else "of unknown length"
