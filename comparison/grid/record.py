"""What is known of one cell of a grid: its place in it, and its run if there is one."""

import dataclasses
import math
import pathlib
import statistics
from typing import Any

import distiller
from common import files
from common.errors import wrong
from training.observers import metrics_table
from training.run import provenance, run_files
from training.run.run_folder import RunFolder

FINISHED, FAILED, MISSING = "finished", "failed", "missing"
_STUDENT_PASSES = "student_forward_passes"
# Phases of FT and MHGD that neither train nor read the student. Its pass is never run,
# but earlier versions counted it.
_WITHOUT_STUDENT = ("paraphrase", "attention")
_TEXTS = "net", "weights_sha256"  # all else that a result has of a net is a number,
_OF_CHANNELS = "mean", "std"  # or one for each channel


@dataclasses.dataclass(frozen=True)
class Record:
    """One cell.

    Attributes:
        dataset: name.
        teacher: as the grid names it; "" for methods that have none.
        student: as the grid names it.
        method: the method's label in the grid, such as "AT" or "VID+Soft_logits"; with
            " (FILE)" where several flag files are of one method.
        varied: (name, value) of what else the grid varies, in its order, as text.
        fraction: share of the training data.
        seed: of the student.
        folder: the run folder.
        state: FINISHED, FAILED or MISSING (not begun, or begun and not ended).
        reason: one line on why it failed.
        result: `result.json` of a finished run.
        rows: its `metrics.csv`, one dict of text an epoch.
    """

    dataset: str
    teacher: str
    student: str
    method: str
    varied: tuple[tuple[str, str], ...]
    fraction: float
    seed: int
    folder: pathlib.Path
    state: str = MISSING
    reason: str = ""
    result: dict[str, Any] | None = None
    rows: tuple[dict[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The method with what is varied of it, e.g. "AT weight=10"."""
        return " ".join((self.method, *(f"{n}={v}" for n, v in self.varied)))

    @property
    def varied_names(self) -> frozenset[str]:
        """Names of the settings that the grid varies of this cell."""
        return frozenset(
            name for joined, _ in self.varied for name in joined.split("/")
        )

    @property
    def method_name(self) -> str:
        """The method's own name, without its flag file's."""
        return self.method.partition(" (")[0]

    @property
    def last(self) -> float | None:
        """Top-1 on the test split after the last epoch, 0 to 1."""
        return self.result["student"]["top1"] if self.result else None

    @property
    def best(self) -> float | None:
        """Top-1 on the test split at the epoch that is best on the validation split."""
        found = self.result and self.result["best_on_validation"]
        return found["test_accuracy"] if found else None

    @property
    def best_validation(self) -> float | None:
        """The highest top-1 on the validation split."""
        found = self.result and self.result["best_on_validation"]
        return found["validation_accuracy"] if found else None

    @property
    def epochs(self) -> int | None:
        """Epochs of all phases together, and of the runs that this one continues."""
        return len(self.rows) + self.epochs_before or None if self.result else None

    @property
    def epochs_before(self) -> int:
        """Epochs of the runs that this one continues; 0 if it began afresh."""
        return self.result.get("continues", {}).get("epochs", 0) if self.result else 0

    @property
    def seconds(self) -> float | None:
        """Training alone: all epochs at the median speed of their phase.

        The sum of the epochs would leave out what a killed process had done of one.
        """
        if not self.result or not self.rows:
            return None
        total = 0.0
        for phase in dict.fromkeys(row["phase"] for row in self.rows):
            own = [row for row in self.rows if row["phase"] == phase]
            speeds = [float(x) for row in own if (x := row.get("images_per_second"))]
            if not speeds:
                return None
            total += self._images_per_epoch * len(own) / statistics.median(speeds)
        return total

    @property
    def wall_seconds(self) -> float | None:
        """Of training with compiling, evaluations and checkpoints, in one go.

        None of a run that was interrupted, or of an earlier version.
        """
        return self.result.get("wall_seconds") if self.result else None

    @property
    def _images_per_epoch(self) -> int:
        return int(self.rows[0]["step"]) * self.result["settings"]["batch_size"]

    @property
    def data_seed(self) -> int | None:
        """Of the finished run's subset, order and augmentation; None: unknown."""
        return self._setting("data_seed")

    @property
    def split_seed(self) -> int | None:
        """What cut the finished run's validation split; None: it cut none."""
        if not self._setting("validation"):
            return None
        found = self._setting("validation_seed")
        return self.data_seed if found is None else found

    @property
    def teacher_data_seed(self) -> int | None:
        """Of the data of a teacher that was trained for the finished run."""
        is_trained = self.has_fixed_teacher and self._setting("teacher")
        if not is_trained:
            return None
        found = self._setting("teacher_data_seed")
        return self.data_seed if found is None else found

    def _setting(self, name: str):
        return self.result["settings"].get(name) if self.result else None

    @property
    def has_fixed_teacher(self) -> bool:
        """Whether a teacher that was trained before taught the finished run."""
        if not self.result or "teacher" not in self.result:
            return False
        parts = {*self.result["settings"]["distiller"].split("+")}
        known = parts & {*distiller.names()}
        return not any(distiller.resolve(name).trains_teacher for name in known)

    @property
    def reads_cache(self) -> bool:
        """Whether the finished run took outputs of its teacher from the cache."""
        if not self.result or "teacher" not in self.result:
            return False
        if self.result.get("teacher_cache", False):
            return True
        # Earlier versions told it of the last session alone, or not at all.
        if (self.forward_passes or {}).get("teacher") == 0:
            return True
        asked: dict[str, set[bool]] = {}
        for row in self.rows:
            if passes := row.get("teacher_forward_passes"):
                asked.setdefault(row["phase"], set()).add(float(passes) > 0)
        return any(len(answers) > 1 for answers in asked.values())

    @property
    def forward_passes(self) -> dict[str, float] | None:
        """Role ("student", "teacher") -> forward passes for each training image."""
        found = self.result.get("forward_passes") if self.result else None
        if not found or self._counts_what_ran:
            return found
        counts = [
            (row["phase"].rpartition(".")[2], float(row[_STUDENT_PASSES]))
            for row in self.rows
            if _STUDENT_PASSES in row
        ]
        pruned = sum(count for phase, count in counts if phase in _WITHOUT_STUDENT)
        if not pruned:
            return found
        return {**found, "student": found["student"] - pruned / len(counts)}

    @property
    def _counts_what_ran(self) -> bool:
        """Whether no version had a part in it that counted passes as traced."""
        entries = provenance.history(self.result)
        return all("sources_sha256" in entry for entry in entries)

    @property
    def hyperparameters(self) -> tuple[str, ...] | None:
        """The method's, all of them, as "name=value"."""
        return tuple(self.result["settings"]["hparam"]) if self.result else None


def read(record: Record, reason: str = "") -> Record:
    """The record with what its folder holds.

    Args:
        record: its place in the grid.
        reason: why the last try failed; "" if it did not.

    Raises:
        ValueError: the folder is damaged, or holds other files than its run wrote.
    """
    folder = RunFolder(record.folder)
    if not folder.is_finished:
        state = FAILED if reason else MISSING
        return dataclasses.replace(record, state=state, reason=reason)
    result = files.read_json(folder.result)
    rows = tuple(metrics_table.read(folder.metrics))
    found = dataclasses.replace(record, state=FINISHED, result=result, rows=rows)
    try:
        _read_all(found)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise wrong(
            f"{folder.result} or {folder.metrics.name} is damaged",
            expected="what a run writes",
            received=f"{type(error).__name__}: {error}",
        ) from error
    run_files.check(folder.path, result)
    if folder.config.exists():
        digest = files.read_json(folder.config).get("data_sha256")
        found = dataclasses.replace(found, result={**result, "data_sha256": digest})
    return found


def _read_all(record: Record) -> None:
    """Reads all that a report is made of, so that what is wrong shows here."""
    result, settings = record.result, record.result["settings"]
    tables = [result["student"], result.get("teacher", {"top1": 0.0})]
    tables += [result["best_on_validation"] or {}, record.forward_passes or {}]
    for table in tables:
        for name, value in table.items():
            for number in value if name in _OF_CHANNELS else [value]:
                if name not in _TEXTS:
                    _check_number(name, number)
    needed = [table["top1"] for table in tables[:2]]
    needed += [record.last, settings["batch_size"], settings.get("task_weight", 1.0)]
    if result["best_on_validation"]:
        needed += [record.best, record.best_validation]
    for value in needed:
        _check_number("a result or setting", value)
    names = "test_accuracy", "validation_accuracy", "images_per_second"
    for row in record.rows:
        for name in names:
            _check_number(name, float(row.get(name, 0)))
    _check_epochs(record)
    for value in (record.seconds, record.wall_seconds):
        if value is not None:
            _check_number("seconds", value)
    texts = [*record.hyperparameters, settings["distiller"]]
    texts += [row["phase"] for row in record.rows]
    for entry in provenance.history(result):
        texts += provenance.conditions(entry).values()
    texts += result.get("inputs", {}).values()
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"a text was expected among {texts}")


def _check_number(name: str, value) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"a finite number was expected as {name}, not {value!r}")


def _check_epochs(record: Record) -> None:
    """Raises ValueError if rows are missing, as in a file that was copied in part."""
    steps = [int(row["step"]) for row in record.rows]
    if not steps or steps != sorted(set(steps)) or steps[0] < 1:
        raise ValueError(f"steps that rise from 1 or more were expected, not {steps}")
    if "epochs" in record.result:
        are_all = record.result["epochs"] == len(steps)
    else:  # Earlier versions did not record how many there are.
        are_all = record.rows[-1].get("test_accuracy") == repr(record.last)
    if not are_all:
        raise ValueError(f"all epochs were expected, not {len(steps)} of them")
