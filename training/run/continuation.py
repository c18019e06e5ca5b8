"""A finished run that is trained longer: a new run from its weights."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from common import files
from common.digests import file_digest
from common.errors import wrong
from options import user_code
from options.settings import TEACHER_MODEL, Options
from training.observers import metrics_table
from training.run import fingerprint
from training.run.run_folder import RunFolder

# What a longer training has in common with the run: who learns what, by which images.
# Others for validation or test than before would be images that the student has seen.
_FIXED = ("distiller", "student", "student_taps", "student_scaling", "student_weights")
_FIXED += ("teacher", "teacher_epochs", "teacher_seed", "teacher_data_seed")
_FIXED += (*TEACHER_MODEL, "normalisation", "data_fraction", "data_seed", "validation")
_FIXED += ("validation_seed", "merge_valid", "image_size")
_DIGEST = "sha256:"


class _Finished:
    """A run that ended, as its folder tells of it.

    Raises:
        ValueError: the run has not ended, or its folder is damaged.
    """

    def __init__(self, path: str):
        self.folder = RunFolder(path)
        if not self.folder.is_finished:
            raise wrong(
                "There is no finished run to continue",
                expected="the folder of a run with its result.json",
                received=f"--continue_from={path}",
            )
        self.config = self.folder.read_config()
        result = files.read_json(self.folder.result)
        try:
            self.weights = {
                "student": result["student"].get("weights_sha256"),
                "teacher": result.get("teacher", {}).get("weights_sha256"),
            }
            before = result.get("continues", {}).get("epochs", 0)
            self.epochs = before + _epochs(result, self.folder)
            self.data = self.config["data_sha256"]
        except (AttributeError, KeyError, TypeError) as error:
            raise wrong(
                f"{self.folder.result} is damaged",
                expected="what a run writes",
                received=f"{type(error).__name__}: {error}",
            ) from error

    def settings(self, usual: Options) -> Options:
        """The run's settings; those that decide no number as in `usual`."""
        return dataclasses.replace(
            usual,
            **{
                field.name: tuple(value) if isinstance(value, list) else value
                for field in dataclasses.fields(Options)
                if not field.metadata["is_number_free"]
                for value in [self.config.get(field.name, field.default)]
            },
        )


def _epochs(result: Mapping, folder: RunFolder) -> int:
    if "epochs" in result:
        return int(result["epochs"])
    return len(metrics_table.read(folder.metrics))  # of an earlier version


def inherited(settings: Options, given: Mapping) -> Options:
    """The settings of a run that continues another one, if they name one.

    They are those of the run that is continued, but for what is given. A teacher that
    was trained before the run is named by its file.

    Args:
        settings: as the command line says, with defaults where it says nothing.
        given: what the command line says, option -> value.

    Raises:
        ValueError: the run has not ended, is damaged, or does not fit what is given.
    """
    if not settings.continue_from:
        return settings
    run = _Finished(settings.continue_from)
    old = run.settings(settings)
    values = dataclasses.asdict(old)
    values |= {n: getattr(settings, n) for n in given if n not in _FIXED}
    values["hparam"] = _joined(old.hparam, given.get("hparam", ()))
    for name in _FIXED:
        is_file = name == "teacher" and settings.teacher_checkpoint
        if name in given and not is_file:
            _check_same(name, getattr(old, name), given[name])
    if old.student.startswith(_DIGEST):
        values["student"] = str(run.folder.student)
    values |= {"student_weights": "", **_teacher(run, old, settings)}
    user_code.load(values["imports"])
    return Options(**values)


def _joined(hparams: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Settings "name=value"; those that are given take the place of others."""
    return tuple({text.partition("=")[0]: text for text in (*hparams, *given)}.values())


def _check_same(name: str, before, now) -> None:
    def plain(value):
        return str(value).lower().replace("-", "").replace("_", "")

    is_file = isinstance(before, str) and before.startswith(_DIGEST)
    if is_file and pathlib.Path(now).is_file():
        now = file_digest(now)
    if plain(before) != plain(now):
        raise wrong(
            "A run is trained longer as it began; to train its student otherwise, "
            "begin with --student=RUN_FOLDER/student.keras",
            expected=f"--{name}={before}, or nothing",
            received=f"--{name}={now}",
        )


def _teacher(run: _Finished, old: Options, settings: Options) -> dict:
    """The settings that name the run's teacher; a new one is never trained."""
    if old.teacher_checkpoint:
        file = settings.teacher_checkpoint
        if not file:
            raise wrong(
                "The run's teacher came from a file, of which its content is known "
                "alone",
                expected=f"--teacher=FILE, {old.teacher_checkpoint}",
                received=f"--continue_from={settings.continue_from} alone",
            )
        _check_same("teacher_checkpoint", old.teacher_checkpoint, file)
        return {"teacher": "", "teacher_checkpoint": file}
    if old.teacher_weights.startswith(_DIGEST):
        file = settings.teacher_weights
        _check_same("teacher_weights", old.teacher_weights, file)
        return {"teacher_weights": file}
    is_along = run.folder.teacher.exists()  # it was trained with the student
    if is_along or not old.teacher or old.has_trained_teacher:
        return {}
    file = settings.teacher_checkpoint
    if not file:
        folder = RunFolder(old.for_teacher().train_dir)
        if not folder.is_finished or not folder.student.exists():
            raise wrong(
                "The run's teacher is not where teachers are trained",
                expected=f"--teacher_dir with {folder.path.name}, or --teacher=FILE",
                received=f"--teacher_dir={settings.teacher_dir}",
            )
        file = str(folder.student)
    unused = dict.fromkeys(TEACHER_MODEL, "")  # the file says it itself
    return {"teacher": "", "teacher_checkpoint": file, **unused}


def record(settings: Options) -> dict:
    """What config.json and result.json say of the run that is continued.

    Returns:
        {"continues": {"run": its folder's name, "student_sha256": of its student's
        weights, "epochs": that it and those before it had trained in all phases}}; {}
        of a run that continues none.
    """
    if not settings.continue_from:
        return {}
    run = _Finished(settings.continue_from)
    return {
        "continues": {
            "run": run.folder.path.resolve().name,
            "student_sha256": run.weights["student"],
            "epochs": run.epochs,
        }
    }


class _LastPhase:
    """A method of which only the last phase is left."""

    def __init__(self, method):
        self._method = method

    def __getattr__(self, name):
        return getattr(self._method, name)

    def phases(self):
        return self._method.phases()[-1:]


def taken_on(settings: Options, data, student, teacher, method):
    """The method as the run that is continued left it, without initialising phases.

    Args:
        settings: the run's.
        data: a `dataloader.TrainingData`.
        student: with the weights of the run that is continued, which stay as they are.
        teacher: the same, or the teacher that it had; or None.
        method: a `distiller.framework.base.Distiller`; its variables are set.

    Returns:
        The method; as it is if nothing is continued.

    Raises:
        ValueError: data, nets or method are not that run's, or its checkpoint, which
            has the method's variables, is gone or damaged.
    """
    if not settings.continue_from:
        return method
    run = _Finished(settings.continue_from)
    if data.digest != run.data:
        raise wrong(
            "A run is trained longer on its own images",
            expected=f"those of {run.data}",
            received=f"--dataset={settings.dataset} with {data.digest}",
        )
    for role, net in (("student", student), ("teacher", teacher)):
        expected = run.weights.get(role)
        received = None if net is None else fingerprint.net_digest(net)
        if expected and received != expected:
            raise wrong(
                f"The {role} is not as the run {run.folder.path} ended",
                expected=f"weights with SHA-256 {expected}",
                received=received,
            )
    if method.variables:
        _restore(run, student, method)
    return _LastPhase(method)


def _restore(run: _Finished, student, method) -> None:
    """Reads the method's variables from the last checkpoint."""
    checkpoints, digest = run.folder.checkpoints, fingerprint.net_digest(student)
    found = checkpoints.newest(lambda text: None)
    if found is None:
        raise wrong(
            "The method has variables of its own, which are in the run's checkpoints",
            expected=f"them in {checkpoints.directory}",
            received="no checkpoint",
        )
    groups = {"student": student.variables, "method": method.variables}
    checkpoints.restore(found[0], groups, are_all=False)
    if fingerprint.net_digest(student) != digest:  # of an earlier step
        raise wrong(
            f"The last checkpoint of {run.folder.path} is damaged",
            expected=f"the weights of {run.folder.student.name} in it",
            received=f"{found[0].name} with others ({json.dumps(found[1])})",
        )
