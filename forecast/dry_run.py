"""What --dry_run tells of a run: a forecast, in a few lines."""

import time
from collections.abc import Mapping

import dataloader
from common import before_tensorflow, quantities
from forecast.of_run import Forecast, measure, peak_memory
from nets import saving
from training.evaluation import evaluator_of
from training.run import run_inputs, run_result


class DryRun:
    """Tells what a run would do, and how long it would take.

    A teacher that is trained before is told of first.
    """

    def __init__(self):
        self.seconds = 0.0
        self._has_teacher = True  # as the run will have it
        self._mark = before_tensorflow.BEGAN

    def tell(
        self,
        role: str,
        folder,
        config: Mapping,
        defaults: Mapping,
        student,
        teacher,
        method,
        recipe,
        data,
        plan,
        settings,
    ):
        """Measures and tells of one run; of a finished one, that it is.

        Args:
            role: "teacher" or "student".
            folder: the `run_folder.RunFolder`; returned.
            config: as for its `open`.
            defaults: the same.
            student: see `measure`.
            teacher: the same.
            method: the same.
            recipe: the same.
            data: the same.
            plan: the same.
            settings: the same.

        Raises:
            ValueError: the run would be refused.
        """
        folder.check(config, defaults, settings.allow_other_code)
        if folder.is_finished:
            return run_result.confirmed(folder, role, saving.load)
        known = teacher if self._has_teacher else None
        folder.check_same(run_inputs.digests(settings, method, known, student))
        self._has_teacher = role == "student"
        building = time.perf_counter() - self._mark
        evaluator = evaluator_of(student, data, dataloader.eval_batches)
        found = measure(
            student=student,
            teacher=teacher,
            method=method,
            recipe=recipe,
            data=data,
            evaluator=evaluator,
            checkpoints=folder.checkpoints,
            plan=plan,
            settings=settings,
        )
        self._mark = time.perf_counter()
        self.seconds += building + found.seconds
        state = "to be gone on with" if folder.config.exists() else "a new run"
        print(f"{role}: {folder.path}, {state}")
        print("\n".join(f"  {line}" for line in _lines(found, building)), flush=True)
        if role == "student":  # Its teacher was told of before.
            self._end()
        return folder

    def _end(self) -> None:
        """Tells of all runs together."""
        memory = ", ".join(
            f"{'' if name == 'memory' else f'{name} '}{quantities.size(peak)}"
            for name, peak in peak_memory().items()
        )
        print(f"memory: {memory} at the peak of these steps")
        print(f"in all: about {quantities.duration(self.seconds)}; nothing was written")


def _lines(found: Forecast, building: float):
    for phase in found.phases:
        yield (
            f"{phase.name}: {phase.steps:,} steps of {1000 * phase.step_seconds:.3g} "
            f"ms, {quantities.duration(phase.seconds)}"
        )
    yield (
        f"{found.evaluations:,} evaluations of {found.evaluation_seconds:.2g} s and "
        f"the final one, {quantities.duration(found.evaluating_seconds)}"
    )
    start = building + found.starting_seconds
    yield f"start, reading and compiling: {quantities.duration(start)}"
    yield f"checkpoints and nets: {quantities.size(found.disk)} of disk at most"
    if found.cache:
        yield (
            f"teacher cache: {quantities.size(found.cache.needed)} of disk "
            f"({quantities.size(found.cache.free)} free), "
            f"{quantities.duration(found.cache.seconds)}, in {found.cache.folder}"
        )
