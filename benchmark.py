"""Compares methods: a grid of runs, their results side by side.

python benchmark.py --flagfile=configs/grids/smoke.flags. See docs/benchmark.md. All
flags of train_w_distill.py are known, too, and count for every run of the grid.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import functools
import pathlib
import shlex
import sys
import time
from collections.abc import Iterator

from absl import flags

import dataloader
from common import before_tensorflow
from common.errors import NonFiniteLoss, wrong
from comparison.grid import cells as cells_lib
from comparison.grid import estimate, listing, search
from comparison.grid import flags as grid_flags
from comparison.grid.progress import Progress
from comparison.grid.record import FAILED, FINISHED, MISSING
from comparison.grid.runner import Runner
from comparison.report import references
from comparison.report import report_files as report
from forecast import of_run as forecast
from options import command_line
from options import flags as option_flags
from teacher_cache import plan as cache_plan
from train_w_distill import build_net, build_pair, canonical
from training.evaluation import evaluator_of
from training.recipe import recipe_of

grid_flags.define()
flags.DEFINE_string("output", "runs/benchmark", "Folder of runs and report.")
flags.DEFINE_string("report_dir", "", "Folder of the report; default: --output.")
flags.DEFINE_integer("jobs", 1, "Runs side by side.", lower_bound=1)
flags.declare_key_flag("dry_run")  # of train_w_distill.py
flags.DEFINE_bool("report_only", False, "Write the report of what is there.")
flags.DEFINE_string(
    "reference", "none", "Row or method that the others are compared with."
)
flags.DEFINE_bool("published", False, "Show published numbers beside ours.")

START = (
    time.perf_counter() - before_tensorflow.BEGAN
)  # seconds that every run takes, too


@functools.cache
def print_once(text: str) -> None:
    """Prints what a search, for one, would say of each round."""
    print(text)


@functools.cache
def prepared(**options):
    """The data; None, with a note, if they are not here.

    A grid may be planned on another machine than it is run on.
    """
    try:
        if dataloader.is_here(options["name"], options["data_dir"]):
            return dataloader.prepare(**options)
        reason = f"{options['name']} is not on this machine"
    except ValueError as error:
        reason = str(error)
    print(f"note: times cannot be estimated: {reason}")
    return None


@functools.cache
def check_data_set(name: str, data_dir: str | None, is_planned: bool) -> None:
    """Raises ValueError if there is no such data set, so that not every run fails."""
    is_here = dataloader.is_here(name, data_dir)
    if dataloader.is_path(name) and not (is_here or is_planned):
        raise wrong(
            "The data are not on this machine",
            expected="the path of an existing file or folder",
            received=f"--dataset={name}",
        )


def check_data(cells) -> None:
    """Checks the data sets of what is not finished."""
    if flags.FLAGS.report_only:
        return
    for cell in cells:
        if cell.settings and not cell.folder.is_finished:
            data = cell.settings.data()
            check_data_set(data["name"], data["data_dir"], flags.FLAGS.dry_run)


def canonical_cell(settings):
    """`canonical`, for a run of a grid, which begins afresh."""
    if settings.continue_from:
        raise wrong(
            "A grid compares runs that begin afresh",
            expected="train_w_distill.py --continue_from for a single one",
            received=f"--continue_from={settings.continue_from}",
        )
    return canonical(settings)


def measure(settings) -> estimate.Measured | None:
    """Measures a few steps of the settings' method on its nets, and an evaluation."""
    data = prepared(**{**settings.data(), "fraction": 1.0})
    if data is None:
        return None
    names = ":".join(filter(None, (settings.teacher, settings.student)))
    print(f"measuring {settings.distiller} on {names}", file=sys.stderr)
    began, teacher = time.perf_counter(), None
    try:
        if settings.uses_teacher:
            teacher = build_net(settings.net("teacher"), settings, data, 0)
        student, teacher, method = build_pair(settings, data, teacher)
        building = time.perf_counter() - began
        found = forecast.measure(
            student=student,
            teacher=teacher,
            method=method,
            recipe=recipe_of(settings, data, student, method.phases()),
            data=data,
            evaluator=evaluator_of(student, data, dataloader.eval_batches),
            checkpoints=None,
            plan=cache_plan.plan(settings, data, method, student, teacher),
            settings=settings,
        )
    except (ValueError, NonFiniteLoss) as error:
        print(f"note: {settings.distiller} on {names} cannot be measured: {error}")
        return None
    return estimate.Measured(
        epochs=tuple(
            (phase.length, phase.step_seconds * data.steps_per_epoch)
            for phase in found.phases
        ),
        evaluation=found.evaluation_seconds,
        beside=START + building + found.starting_seconds + found.last_seconds,
        cache=found.cache.total if found.cache else 0,
        memory=forecast.peak_memory()["memory"],
    )


def run_cells(cells) -> None:
    """Runs what is not finished."""
    cells = cells_lib.runs(cells)
    records = [cell.read() for cell in cells]
    waiting = [
        cell
        for cell, record in zip(cells, records, strict=True)
        if record.state != FINISHED and not cell.problem
    ]
    done, jobs = len(cells) - len(waiting), flags.FLAGS.jobs
    estimates = estimate.Estimates(records)
    progress = Progress(len(cells), done, waiting, jobs, estimates)
    try:
        told = progress.started, progress.ended, progress.message
        Runner(waiting, jobs, *told).run()
    finally:
        progress.close()


def plan(grid, ranges, expand) -> tuple[list, list]:
    """What is searched, and the grids of what is run as it is."""
    if not ranges:
        return [], [grid]
    made, others = search.studies(grid, ranges)
    made, idle = search.with_effect(made, expand)
    labels = dict.fromkeys(method.label for part in idle for method in part.methods)
    if labels:
        print(f"note: what is searched changes no run of {', '.join(labels)}")
    return made, [*([others] if others else []), *idle]


def run_search(made, expand, run) -> Iterator[list]:
    """Runs the trials of all studies, round by round; yields each round's cells."""
    for grids in search.rounds(made, flags.FLAGS.trials):
        rounds = [expand(grid) for grid in grids]
        cells = [cell for own in rounds for cell in own]
        yield cells
        run(cells)
        for study, own in zip(made, rounds, strict=True):
            records = [cell.read() for cell in own]
            if any(record.state == MISSING for record in records):
                return  # What comes next would be another search.
            study.tell(records)


def read_reference(cells) -> str:
    """The row to compare with, as the rows spell it; ValueError if it is none."""
    if not flags.FLAGS["reference"].present:
        return references.ALONE  # Also of a grid without it, where nothing is compared.
    return references.resolve(flags.FLAGS.reference, [cell.record for cell in cells])


def write_report(cells, folder: pathlib.Path, reference: str) -> list:
    """Writes the report and returns the records it is about."""
    records = [cell.read() for cell in cells]
    report.write(
        records,
        folder,
        title=f"Benchmark: {', '.join(dict.fromkeys(r.dataset for r in records))}",
        command=shlex.join(["python", *sys.argv]),
        published=flags.FLAGS.published,
        searched=bool(flags.FLAGS.search),
        reference=reference,
    )
    print(f"saved {folder / 'report.md'}, report.html, cells.csv, report.json")
    return records


def check_none_failed(records) -> None:
    """Ends with exit code 1 if a run failed."""
    failed = sum(record.state == FAILED for record in records)
    if failed:
        sys.exit(f"error: {failed} of {len(records)} runs failed: see the report")


def main() -> None:
    """Runs what the flags say."""
    shard, ranges = grid_flags.read_shard(), grid_flags.read_search()
    settings = option_flags.read()
    output = pathlib.Path(option_flags.path("output"))
    grid, names = grid_flags.read(settings), set(option_flags.given())

    def expand(part):
        found = cells_lib.expand(part, settings, names, canonical_cell, output)
        for note in cells_lib.notes(found):
            print_once(note)
        check_data(found)
        return found

    made, grids = plan(grid, ranges, expand)
    cells = [cell for part in grids for cell in expand(part)]
    if not made:
        cells_lib.check_any(cells)
    reference = read_reference(cells)
    if flags.FLAGS.dry_run:
        for trials in run_search(made, expand, lambda cells: None):
            cells += trials
        for line in listing.lines(cells_lib.runs(cells)[shard], measure, START):
            print(line, flush=True)
        if made:
            print(f"of {flags.FLAGS.trials} trials; the results choose the others")
        return
    run = (lambda cells: None) if flags.FLAGS.report_only else run_cells
    output.mkdir(parents=True, exist_ok=True)
    try:
        run(cells_lib.runs(cells)[shard])
        for trials in run_search(made, expand, run):
            cells += trials
    finally:
        # A search may propose the same again.
        places = {cell.record: cell for cell in cells}
        folder = pathlib.Path(option_flags.path("report_dir") or output)
        records = write_report(places.values(), folder, reference)
    if not flags.FLAGS.report_only:
        own = {cell.record.folder for cell in cells_lib.runs(cells)[shard]}
        check_none_failed([record for record in records if record.folder in own])


if __name__ == "__main__":
    command_line.run(main)
