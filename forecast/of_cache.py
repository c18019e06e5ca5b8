"""What the teacher cache of a run will take, without filling it."""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

from teacher_cache.batches import TeacherCache, forward_function

_EPOCHS = 10_000  # of one batch, more than anybody measures
_MEASURED = 3  # batches


@dataclasses.dataclass(frozen=True)
class CacheForecast:
    """What is not yet there of a run's cache.

    Attributes:
        folder: where it will be.
        total: bytes of all that the run takes.
        needed: bytes of what is not there yet.
        free: bytes that the disk has.
        seconds: about how long the teacher takes to compute it.
    """

    folder: str
    total: int
    needed: int
    free: int
    seconds: float


@contextlib.contextmanager
def rehearsed(
    plan, settings, data, teacher, recipe, position
) -> Iterator[tuple[CacheForecast | None, Callable]]:
    """Context with the forecast, and with training batches for each phase.

    The batches are as those of a run whose cache is filled. Where it is not yet, they
    are of the images of one batch, over and over, whose outputs are kept in a temporary
    folder: a step costs the same, and the run's cache is not touched.

    Args:
        plan: what each phase takes, a `teacher_cache.plan.CachePlan`.
        settings: the `settings.Options`.
        data: a `dataloader.TrainingData`.
        teacher: the net, or None.
        recipe: the run's `recipe.Recipe`.
        position: `phase` and `step` of it where the run stands.

    Yields:
        The forecast, None if the run takes nothing from a cache; and (phase) -> a
        function as `data.batches`.
    """
    if not plan.is_used:
        yield None, lambda phase: data.batches
        return

    def cache(of_data, lengths, directory):
        return TeacherCache(
            plan,
            lengths,
            of_data,
            teacher,
            mean=recipe.mean,
            std=recipe.std,
            directory=str(directory),
            precision=settings.teacher_cache_precision,
            log=lambda text: None,
        )

    per_epoch = recipe.steps_per_epoch
    lengths = [len(recipe.rates[length]) // per_epoch for length in plan.lengths]
    own = cache(data, lengths, settings.teacher_cache_dir)
    place = position["phase"], position["step"] // per_epoch
    wanted = own.wanted(*place)
    missing = own.folder.missing(wanted)
    sizes = [own.folder.bytes_of(pieces) for pieces in (wanted, missing)]
    seconds = 0.0
    if missing:
        seconds = len(missing) * _version_seconds(data, teacher, recipe)
    found = CacheForecast(
        str(own.folder.path), *sizes, own.folder.free_bytes(), seconds
    )
    if not missing:
        own.fill(*place)  # finds all of it
        yield found, lambda phase: own.batches
        return
    with tempfile.TemporaryDirectory() as directory:
        small = cache(_one_batch(data), [_EPOCHS] * len(lengths), directory)
        small.fill()
        yield found, lambda phase: lambda *_: small.batches(phase * _EPOCHS, _EPOCHS, 0)


def _one_batch(data):
    """The first images alone, always in the same version."""
    first = np.arange(data.batch_size)
    return dataclasses.replace(
        data,
        indices=data.indices[first],
        train=data.train.take(first),
        augmentation=dataclasses.replace(data.augmentation, period=1),
    )


def _version_seconds(data, teacher, recipe) -> float:
    """About how long the teacher takes for all training images in one version."""
    forward = forward_function(teacher, recipe.mean, recipe.std, data)
    times, batches = [], iter(data.version(0))
    images = next(batches)["image"]
    for _ in range(1 + _MEASURED):
        began = time.perf_counter()
        [x.numpy() for x in forward(images).values()]
        images = next(batches, {"image": images})["image"]
        times.append(time.perf_counter() - began)
    # The first time is longer.
    return statistics.median(times[1:]) * -(-len(data.train) // data.batch_size)
