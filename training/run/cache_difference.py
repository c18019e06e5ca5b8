"""How far what a run takes from a cache is from what its teacher says.

Usually nothing: then a run with the cache equals one without it. A gap that is not 0 is
part of the run's settings, beside them in config.json.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from common import files
from training import teacher_outputs

KEY = "teacher_cache_gap"  # of config.json and result.json: output -> largest gap
_BATCHES = 2  # of each phase


def measured(cache, restored, phases: Sequence[range]) -> dict[str, float]:
    """Asks the teacher for shuffled batches as the run will read them.

    That a row's place in a batch changes no bit was measured, not proved; and that the
    arrays are this teacher's is what their key and digests say, until it is asked.

    Args:
        cache: a `teacher_cache.TeacherCache`.
        restored: from what batches bring along to the teacher's outputs by name.
        phases: the epochs of each that are left. Of each the first and, if it shows
            another version of the images, the last one are asked for: what is read at
            once, and what is the farthest from it.

    Returns:
        Output -> the largest absolute difference.

    Raises:
        ValueError: one is not finite.
    """
    gaps = {}
    for epochs in phases:
        version = cache.data.augmentation.version
        chosen = {version(epoch): epoch for epoch in (epochs[-1], epochs[0])}
        for epoch in chosen.values():
            for batch in cache.batches(epoch, 1, 0).take(_BATCHES // len(chosen)):
                live = cache.forward(batch["image"])
                for name, kept in restored(batch[teacher_outputs.KEY]).items():
                    gap = _largest(live[name].numpy(), kept.numpy())
                    gaps[name] = max(gaps.get(name, 0.0), gap)
    strange = [name for name, gap in gaps.items() if not np.isfinite(gap)]
    if strange:
        raise ValueError(
            f"the teacher cache {cache.folder.path} does not hold what the teacher "
            f"says. Expected finite differences. Received: {', '.join(strange)} with "
            "inf or nan. Remove the folder, and it is computed again."
        )
    return gaps


def _largest(live: np.ndarray, kept: np.ndarray) -> float:
    differ = (live != kept) & ~(np.isnan(live) & np.isnan(kept))
    gaps = np.abs(live[differ].astype(np.float64) - kept[differ])
    return float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0.0))


def claim(folder, gap: Mapping[str, float], precision: str, has_begun: bool) -> None:
    """Notes the gap of this session; refuses one that began with another.

    Which batches are compared depends on where the run is, so that only whether there
    is a gap can be compared. In float16 and bfloat16 there is one by intention, and the
    precision is a setting.

    Args:
        folder: the `run_folder.RunFolder`, which is open.
        gap: what `measured` returned; {} for a run that asks its teacher.
        precision: of the arrays.
        has_begun: whether the run has trained a step that it goes on from.

    Raises:
        ValueError: the run began without a gap and now has one, or the other way round.
    """
    config = folder.read_config()
    before = config.pop(KEY, {}) if has_begun else {}
    if has_begun and precision == "float32" and is_gap(before) != is_gap(gap):
        raise ValueError(
            f"the run in {folder.path} cannot go on with other outputs of its teacher. "
            "Expected the gap between the teacher cache and the teacher as it began: "
            f"{words(before) or 0}. Received: {words(gap) or 0}. Give the old "
            "--teacher_cache and --teacher_cache_dir, or another --train_dir. The run "
            "was not changed."
        )
    largest = {
        name: max(before.get(name, 0.0), gap.get(name, 0.0))
        for name in {**before, **gap}
    }
    config.pop(KEY, None)
    found = {**config, KEY: largest} if largest else config
    if found != folder.read_config():
        files.write_json(folder.config, found)


def is_gap(gap: Mapping[str, float] | None) -> bool:
    """Whether any output differs."""
    return any((gap or {}).values())


def words(gap: Mapping[str, float]) -> str:
    """What differs, for people."""
    return ", ".join(f"{name} by up to {x:.2g}" for name, x in gap.items() if x)
