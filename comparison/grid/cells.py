"""The cells of a grid: what each trains, where, and what must be there before."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Sequence

import distiller
from common import files
from common.errors import wrong
from comparison.grid import block_seeds, idle_axes
from comparison.grid import record as record_lib
from comparison.grid.definition import Grid, Method
from comparison.grid.record import FAILED, Record
from nets import given, saving
from options.settings import MAY_BE_UNUSED, Options
from training.run import run_inputs
from training.run.run_folder import RunFolder, differences

FOLDER, LOGS = "cells", "logs"


@dataclasses.dataclass(frozen=True)
class Cell:
    """A run of the grid.

    Attributes:
        record: its place in the grid.
        settings: of the run; None if there can be no such run.
        problem: why not.
        teacher: run folder of the teacher that is trained before; "" if there is none,
            or it comes with its weights.
        log: file for what the run prints.
        failure: JSON file with the reason if the last try failed.
    """

    record: Record
    settings: Options | None
    problem: str
    teacher: str
    log: pathlib.Path
    failure: pathlib.Path

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.record.folder)

    @property
    def lacks_teacher(self) -> bool:
        """Whether its teacher is not trained yet."""
        return bool(self.teacher) and not RunFolder(self.teacher).is_finished

    def read(self) -> Record:
        """The record with what is there of the run by now.

        A folder that is damaged or another version's is a failure: the others count.
        """
        try:
            check_is_the_cells(self.folder, self.settings)
            reason = self.problem
            if not (reason or self.folder.is_finished) and self.failure.exists():
                reason = _reason(self.failure)
            return record_lib.read(self.record, reason)
        except (OSError, ValueError) as error:
            return dataclasses.replace(self.record, state=FAILED, reason=str(error))


def expand(
    grid: Grid, settings: Options, given_names, canonical: Callable, output
) -> list[Cell]:
    """The cells of a grid, one for each place in it.

    The student alone, for one, is in one place for all its teachers, and a method whose
    runs are the same whatever an axis says is in one place for all of its values.

    Args:
        grid: what is compared.
        settings: of all runs, but for what the grid says.
        given_names: options that were set by hand; a method's flag file does not
            change them. What it says of the seeds never counts.
        canonical: settings -> the same with one spelling of every name; ValueError if
            there can be no such run.
        output: folder of the grid.

    Raises:
        ValueError: two methods, or two values of an axis, give one run.
    """
    cells, seeds = {}, block_seeds.read(grid.pairs, settings, given_names)
    for method, pair, fraction, seed, varied in grid.cells():
        own = {k: v for k, v in method.settings.items() if k not in given_names}
        if "imports" in method.settings:  # It needs its own beside those of all.
            both = (*settings.imports, *method.settings["imports"])
            own["imports"] = tuple(dict.fromkeys(both))
        own |= {"data_fraction": fraction, "seed": seed, **seeds.of(seed)}
        own["distiller"] = method.name
        hparams = dict(text.split("=", 1) for text in method.settings.get("hparam", ()))
        for _, _, options, changed in varied:
            own |= options
            hparams |= dict(text.split("=", 1) for text in changed)
        own["hparam"] = tuple(f"{name}={value}" for name, value in hparams.items())
        cell = _cell(settings, own, method, pair, varied, canonical, output)
        cells.setdefault(cell.record, cell)
    return idle_axes.left_out(list(cells.values()))


def runs(cells: Sequence[Cell]) -> list[Cell]:
    """One cell for each run, in their order."""
    found = {}
    for cell in cells:
        found.setdefault(cell.record.folder, cell)
    return list(found.values())


def notes(cells: Sequence[Cell]) -> list[str]:
    """What a user may not expect of the grid, a line each."""
    folders: dict[str, set] = {}
    for cell in cells:
        if cell.teacher:
            place = f"{cell.record.teacher} on {cell.record.dataset}"
            folders.setdefault(place, set()).add(cell.teacher)
    found = [
        f"note: what is varied is varied of the teacher's training, too: several "
        f"{place} are trained. To hold it, train it first and name its .keras file"
        for place, own in folders.items()
        if len(own) > 1
    ]
    if any(map(_has_run_of_data_seed_0, cells)):
        found.append(
            "note: the folder has runs of these seeds with data seed 0, as earlier "
            "versions made them for all; --data_seed=0 takes those"
        )
    changed: dict[str, int] = {}
    for cell in runs(cells):
        for name in _changed_code(cell):
            changed[name] = changed.get(name, 0) + 1
    found += [
        f"note: {count} finished runs were made with another {name}, and are of that "
        "one; another --output trains anew"
        for name, count in changed.items()
    ]
    return found


def _changed_code(cell: Cell) -> tuple[str, ...]:
    """The user's files that are not what they were when the run was made."""
    if not (cell.settings and cell.settings.imports):
        return ()
    return run_inputs.changed_code(cell.read().result or {})


def _has_run_of_data_seed_0(cell: Cell) -> bool:
    """Whether only another rule for the seeds keeps a finished run from being found."""
    if cell.settings is None or not cell.settings.data_seed:
        return False
    if cell.folder.is_finished:
        return False
    fixed = dict(dict.fromkeys(block_seeds.NAMES), data_seed=0)
    before = dataclasses.replace(cell.settings, **fixed)
    parent = str(cell.record.folder.parent)
    return RunFolder(before.default_train_dir(parent)).is_finished


def check_any(cells: Sequence[Cell]) -> None:
    """Raises ValueError, with the first one's reason, if no cell can be run."""
    problems = [cell.problem for cell in cells]
    if problems and all(problems):
        raise ValueError(problems[0])


def check_is_the_cells(folder: RunFolder, settings: Options | None) -> None:
    """Raises ValueError if a finished folder is another version's or another run's.

    Args:
        folder: a run folder, finished or not.
        settings: of the run that is expected; None expects none in particular.
    """
    if not folder.is_finished or not folder.config.exists():
        return
    found = folder.read_config()
    expected = settings.config() if settings else {}
    usual = Options().config()
    # What a run does not use, as its data show, it leaves at its default.
    unused = {name for name in MAY_BE_UNUSED if found.get(name) == usual.get(name)}
    used = {
        name: found[name] for name in expected if name in found and name not in unused
    }
    changed = differences(used, {name: expected[name] for name in used})
    if changed:
        raise ValueError(
            f"{folder.path} holds a run with other settings: {'; '.join(changed)}. "
            "Expected the cell's. Move it away, or choose another --output."
        )


def _reason(path: pathlib.Path) -> str:
    """Why the last try failed, as the runner wrote it."""
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("reason"), str):
        raise wrong(f"{path} is damaged", expected="a reason", received=f"{found!r}")
    return found["reason"]


def _cell(settings, own, method, pair, varied, canonical, output) -> Cell:
    problem, run = "", None
    try:
        run = dataclasses.replace(settings, **{**own, **_nets(method, pair)})
        run = canonical(run)
        path = pathlib.Path(run.default_train_dir(str(output / FOLDER)))
        run = dataclasses.replace(run, train_dir=str(path))
    except ValueError as error:
        problem, run = str(error), None
        place = repr((method.label, pair, sorted(own.items())))
        key = hashlib.sha256(place.encode()).hexdigest()[:8]
        path = output / FOLDER / f"impossible-{method.name}-{key}"
    place = Record(
        dataset=own.get("dataset", settings.dataset),
        teacher=_name(pair[0]) if method.spec.uses_teacher else "",
        student=_name(pair[1]),
        method=method.label,
        varied=tuple((label, text) for label, text, _, _ in varied),
        fraction=own["data_fraction"],
        seed=own["seed"],
        folder=path,
    )
    return Cell(
        record=place,
        settings=run,
        problem=problem,
        teacher=_teacher(run, method.spec) if run else "",
        log=output / LOGS / f"{path.name}.log",
        failure=output / LOGS / f"{path.name}.json",
    )


def _name(net: str) -> str:
    """One spelling, so that a pair is one; of what there is not, as it is."""
    try:
        return given.canonical_name(net)
    except ValueError:
        return net


def _nets(method: Method, pair: tuple[str, str]) -> dict:
    """The options of a pair of nets."""
    teacher, student = pair
    if not given.is_file(teacher):
        return {"teacher": teacher, "teacher_checkpoint": "", "student": student}
    if method.spec.trains_teacher:  # It starts fresh, so the file only says which net.
        name = saving.name_of(teacher)
        return {"teacher": name, "teacher_checkpoint": "", "student": student}
    return {"teacher": "", "teacher_checkpoint": teacher, "student": student}


def _teacher(settings: Options, spec: distiller.Spec) -> str:
    is_first = settings.trains_teacher_first(spec)
    return settings.for_teacher().train_dir if is_first else ""
