"""A run's teacher cache: opened before its training, watched while it trains."""

import functools

from teacher_cache import evaluation_logits
from teacher_cache.batches import TeacherCache
from teacher_cache.plan import CachePlan
from teacher_cache.store import SetAside
from training.run import cache_difference


def open_cache(plan: CachePlan, settings, data, teacher, recipe, folder, evaluator):
    """The cache of a run, filled for what is left of it.

    A run that takes something from a cache takes the teacher's logits on the test
    images, too.

    Args:
        plan: what each phase takes.
        settings: the `settings.Options`.
        data: a `dataloader.TrainingData`.
        teacher: the net.
        recipe: the run's `recipe.Recipe`.
        folder: the run's `run_folder.RunFolder`, whose checkpoints say how far it is.
        evaluator: the run's `evaluation.Evaluator`.

    Returns:
        What gives the training batches: a `TeacherCache`, or the data themselves if
        nothing is taken from a cache.

    Raises:
        ValueError: the run began with another gap, see `cache_difference.claim`; or the
            arrays do not fit on the disk, or are not what the teacher says.
        OSError: the disk cannot be written.
    """
    if not plan.is_used and cache_difference.KEY not in folder.read_config():
        return data
    # The training tells of damage.
    found = folder.checkpoints.newest(lambda text: None)
    claim = functools.partial(
        cache_difference.claim,
        folder,
        precision=settings.teacher_cache_precision,
        has_begun=found is not None,
    )
    if not plan.is_used:
        claim({})
        return data
    per_epoch = recipe.steps_per_epoch
    cache = TeacherCache(
        plan,
        [len(recipe.rates[length]) // per_epoch for length in plan.lengths],
        data,
        teacher,
        mean=recipe.mean,
        std=recipe.std,
        directory=settings.teacher_cache_dir,
        precision=settings.teacher_cache_precision,
    )
    position = found[1] if found else {"phase": 0, "step": 0}
    cache.fill(position["phase"], position["step"] // per_epoch)
    if cache.gap is not None:  # Otherwise nothing is left to take.
        claim(cache.gap)
    evaluation_logits.keep(evaluator, data, teacher, settings.teacher_cache_dir)
    return cache


def run_with(source, trainer) -> None:
    """Runs a trainer by the batches of what `open_cache` returned.

    Raises:
        ValueError: a kept array was damaged; it is computed again at the next start.
    """
    if not isinstance(source, TeacherCache):
        trainer.run()
        return
    try:
        with source.damage_told():
            trainer.run()
    except SetAside as error:
        raise ValueError(
            f"an array of the teacher cache is lost: {error}. No step took anything "
            "of what is damaged. The newest checkpoint is kept, and the same command "
            "computes the array again and goes on."
        ) from error
