"""metrics.csv: one row an epoch, rewritten whole so that it is never half."""

import csv
import io
import os
import pathlib
import statistics

from op_utils import files
from op_utils.observer import Moment, Observer

# A column of the epochs whose batches brought outputs of the teacher along.
CACHED = "reads_teacher_cache"
_TIMING = ("seconds", "images_per_second")


class MetricsTable(Observer):
    """Keeps the metrics of all epochs in a CSV file.

    After a restart, rows beyond the checkpoint are made again.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: os.PathLike):
        self.path = pathlib.Path(path)
        self.rows: list[dict] = read(path) if self.path.exists() else []

    def epoch_finished(self, moment: Moment, row: dict) -> None:
        """Appends the row, in place of those made from here on before a restart."""
        self.rows = [old for old in self.rows if int(old["step"]) < moment.step]
        self.rows.append({key: repr_exact(value) for key, value in row.items()})
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        # A row may lack them, which must not change the order of the columns.
        columns.sort(key=lambda name: name in _TIMING)
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_atomically(self.path, lambda p: p.write_text(text.getvalue()))


def repr_exact(value) -> str:
    """Text from which the same number is read back."""
    return repr(float(value)) if isinstance(value, float) else str(value)


def read(path: os.PathLike) -> list[dict]:
    """The rows of a metrics table, as text, without empty cells.

    Raises:
        ValueError: the file is no metrics table.
    """
    with open(path, newline="") as file:
        rows = [
            {k: v for k, v in row.items() if v != ""} for row in csv.DictReader(file)
        ]
    steps = [row.get("step") for row in rows]
    if not all(step and step.isdecimal() for step in steps):
        raise ValueError(
            f"{path} is damaged: expected a number as the step of every row. "
            f"Received: {steps}."
        )
    return rows


def best_epoch(path: os.PathLike) -> dict | None:
    """Epoch and accuracies where the validation accuracy was highest, if measured."""
    rows = [row for row in read(path) if "validation_accuracy" in row]
    if not rows:
        return None
    best = max(rows, key=lambda row: float(row["validation_accuracy"]))
    return {
        "epoch": int(best["epoch"]),
        "validation_accuracy": float(best["validation_accuracy"]),
        "test_accuracy": float(best["test_accuracy"]),
    }


def forward_passes(path: os.PathLike) -> dict[str, float]:
    """Role -> forward passes for each training image, the mean over the epochs."""
    rows, suffix = read(path), "_forward_passes"
    names = dict.fromkeys(key for row in rows for key in row if key.endswith(suffix))
    return {
        name.removesuffix(suffix): statistics.fmean(
            float(row[name]) for row in rows if name in row
        )
        for name in names
    }


def reads_cache(path: os.PathLike) -> bool:
    """Whether any epoch took outputs of the teacher from the teacher cache."""
    return any(CACHED in row for row in read(path))
