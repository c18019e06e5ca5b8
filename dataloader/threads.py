"""Many files read at once, with a line on the terminal that tells how far it is."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures

import tqdm


def in_threads(
    function: Callable, tasks: Sequence, label: str, unit: str, sizes: Sequence[int]
) -> Iterator:
    """Yields function(task) of all tasks, in their order.

    Args:
        function: spends its time outside of Python's lock: reading, hashing, decoding.
        tasks: its arguments.
        label: what the progress line calls them; there is one only if it takes long and
            stderr is a terminal.
        unit: what the line counts.
        sizes: how many units each task is.
    """
    bar = tqdm.tqdm(
        total=sum(sizes),
        desc=label,
        unit=unit,
        delay=3,
        leave=False,
        disable=not sys.stderr.isatty(),
    )
    pool = futures.ThreadPoolExecutor()
    try:
        with bar:
            for result, size in zip(pool.map(function, tasks), sizes, strict=True):
                yield result
                bar.update(size)
    finally:
        pool.shutdown(cancel_futures=True)
