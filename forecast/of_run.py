"""How long a run will take and what it needs, from a few of its own steps."""

import dataclasses
import pathlib
import re
import resource
import statistics
import sys
import time
from collections.abc import Mapping

import tensorflow as tf

from common.interruption import StopSignals
from forecast import of_cache as cache_forecast
from forecast.of_cache import CacheForecast
from training.trainer import PhaseRun, Trainer

# Steps are measured in a few blocks. A block is so long that what the input pipeline
# has ready beforehand does not carry it.
_BLOCKS, _BLOCK_SECONDS, _BLOCK_STEPS = 3, 0.6, 100
# What a run keeps of its state: two checkpoints, and a third while it is written.
_CHECKPOINTS = 3
_NETS = 3  # the student of the last and of the best epoch, and one that is written


@dataclasses.dataclass(frozen=True)
class PhaseForecast:
    """What is left of a phase.

    Attributes:
        name: the phase's.
        length: "init" or "train", see `distiller.framework.base.Phase`.
        steps: that are left.
        step_seconds: of one of them.
        start_seconds: of tracing, compiling and the first step.
    """

    name: str
    length: str
    steps: int
    step_seconds: float
    start_seconds: float

    @property
    def seconds(self) -> float:
        """Of all steps that are left."""
        return self.steps * self.step_seconds


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What is left of a run.

    Attributes:
        phases: those that are not over.
        evaluations: how many epochs will be evaluated.
        evaluation_seconds: of one of them.
        last_seconds: of the final measurement of student and teacher.
        disk: bytes of checkpoints and nets.
        cache: of the teacher cache; None if nothing is taken from it.
    """

    phases: tuple[PhaseForecast, ...]
    evaluations: int
    evaluation_seconds: float
    last_seconds: float
    disk: int
    cache: CacheForecast | None

    @property
    def training_seconds(self) -> float:
        """Of the steps alone."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def evaluating_seconds(self) -> float:
        """Of all evaluations."""
        return self.evaluations * self.evaluation_seconds + self.last_seconds

    @property
    def starting_seconds(self) -> float:
        """Of tracing, compiling and first steps."""
        return sum(phase.start_seconds for phase in self.phases)

    @property
    def cache_seconds(self) -> float:
        """Of filling the teacher cache."""
        return self.cache.seconds if self.cache else 0.0

    @property
    def seconds(self) -> float:
        """Of all that; reading the data and building the nets comes before."""
        return (
            self.starting_seconds
            + self.training_seconds
            + self.evaluating_seconds
            + self.cache_seconds
        )


def measure(
    *, student, teacher, method, recipe, data, evaluator, checkpoints, plan, settings
) -> Forecast:
    """Takes some steps of each phase that is left, as the run would take them.

    Nothing is written. The nets and the method are changed and must not be used for
    the run itself.

    Args:
        student: as for `trainer.Trainer`.
        teacher: the same.
        method: the same.
        recipe: the same.
        checkpoints: the same; None measures from the start.
        data: a `dataloader.TrainingData`.
        evaluator: the run's `evaluation.Evaluator`.
        plan: the run's `teacher_cache.plan.CachePlan`.
        settings: the run's `settings.Options`.

    Raises:
        NonFiniteLoss: already these steps diverge.
        ValueError: the checkpoints are damaged or another training's.
    """
    trainer = Trainer(
        student=student,
        teacher=teacher,
        method=method,
        recipe=recipe,
        batches=data.batches,
        evaluate=evaluator.accuracies,
        checkpoints=checkpoints,
    )
    found = checkpoints and checkpoints.newest(lambda text: None)
    checkpoint, position = found or (None, {"phase": 0, "step": 0})
    rehearsal = cache_forecast.rehearsed(
        plan, settings, data, teacher, recipe, position
    )
    with rehearsal as (cache, batches_of):
        phases, state = _phases(trainer, checkpoint, position, batches_of)
    evaluation = evaluator.seconds(trainer.deployed)
    last = evaluator.seconds(trainer.deployed, "test")
    if teacher is not None:
        last += evaluator.seconds(teacher, "test")
    evaluations = sum(
        _evaluations(phase, recipe, position if index == position["phase"] else None)
        for index, phase in enumerate(trainer.phases)
        if index >= position["phase"]
    )
    disk = _CHECKPOINTS * state + _NETS * _bytes(trainer.deployed.variables)
    return Forecast(tuple(phases), evaluations, evaluation, last, disk, cache)


def _phases(trainer: Trainer, checkpoint, position, batches_of) -> tuple[list, int]:
    """What is left of each phase, and the bytes of the largest state."""
    phases, state, first_step = [], 0, 0
    for index, phase in enumerate(trainer.phases):
        if index >= position["phase"]:
            trainer.batches = batches_of(index)
            run = PhaseRun(trainer, index, first_step, StopSignals())
            phases.append(_phase(run, checkpoint))
            state = max(state, _bytes(*run.groups().values()))
            checkpoint = None  # The next phase begins afresh.
        first_step += len(trainer.recipe.rates[phase.length])
    return phases, state


def _phase(run: PhaseRun, checkpoint) -> PhaseForecast:
    began = time.perf_counter()
    position, many_steps = run.start(checkpoint)
    step, end = position["step"], len(run.rates)
    left = end - step
    if not left:  # trained, but not yet evaluated
        return PhaseForecast(run.phase.name, run.phase.length, 0, 0.0, 0.0)
    once = run.timed(many_steps, step, 1)
    step += 1
    start_seconds = time.perf_counter() - began
    if step < end:
        once = run.timed(many_steps, step, 1)
        step += 1
    block = min(max(1, int(_BLOCK_SECONDS / once)), _BLOCK_STEPS)
    speeds = []
    while step < end and len(speeds) < _BLOCKS:
        n = min(block, end - step)
        speeds.append(run.timed(many_steps, step, n) / n)
        step += n
    seconds = statistics.median(speeds) if speeds else once
    return PhaseForecast(run.phase.name, run.phase.length, left, seconds, start_seconds)


def _evaluations(phase, recipe, position: Mapping | None) -> int:
    """How many epochs will be evaluated of a phase, from a position in it on."""
    if phase.length != "train":
        return 0
    done = 0
    if position is not None:
        done = position["step"] // recipe.steps_per_epoch
        done -= position.get("epoch_is_open", False)
    total = len(recipe.rates[phase.length]) // recipe.steps_per_epoch
    every = recipe.evaluate_every
    return sum(epoch > done for epoch in {*range(every, total, every), total})


def _bytes(*groups) -> int:
    return sum(
        int(tf.TensorShape(v.shape).num_elements()) * tf.as_dtype(v.dtype).size
        for group in groups
        for v in group
        if tf.as_dtype(v.dtype).size  # of strings, say, it is not known
    )


def peak_memory() -> dict[str, int]:
    """Bytes that were used at most so far: of the process, and of each GPU."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # getrusage may tell of the process that started this one
        kib = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    else:
        kib = None
    if kib:
        peak = int(kib[1]) * 1024
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
    found = {"memory": peak}
    for number in range(len(tf.config.list_logical_devices("GPU"))):
        name = f"GPU:{number}"
        found[name] = tf.config.experimental.get_memory_info(name)["peak"]
    return found
