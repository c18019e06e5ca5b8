"""metrics.csv: one row an epoch, rewritten whole so that it is never half."""

import csv
import io
import os
import pathlib
import statistics

from common import files
from training.observers.observer import Moment, Observer

# A column of the epochs whose batches brought outputs of the teacher along.
CACHED = "reads_teacher_cache"
_TIMING = ("seconds", "images_per_second")


class MetricsTable(Observer):
    """Keeps the metrics of all epochs in a CSV file.

    Checkpoints carry a copy, and are verified: after a restart the rows up to the
    checkpoint are read from there, and those beyond it are made again. What has become
    of the file itself does not matter.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: os.PathLike):
        self.path = pathlib.Path(path)
        self.rows: list[dict] = []

    def epoch_finished(self, moment: Moment, row: dict) -> None:
        """Appends the row, in place of those made from here on before a restart."""
        self.rows = [old for old in self.rows if int(old["step"]) < moment.step]
        self.rows.append({key: repr_exact(value) for key, value in row.items()})
        self._write(self.path)

    def saving(self, checkpoint: pathlib.Path) -> None:
        """Adds the table to the checkpoint."""
        if self.rows:
            self._write(checkpoint / self.path.name)

    def restored(self, checkpoint: pathlib.Path, epochs: int, best: float) -> None:
        """Goes on from the rows of the epochs that are over.

        Raises:
            ValueError: the checkpoint, of an earlier version, holds none, and rows of
                the file are lost; names the epochs.
        """
        if not epochs:
            return
        copy = checkpoint / self.path.name
        self.rows = read(copy) if copy.exists() else self._own_rows(epochs)
        self._write(self.path)

    def _own_rows(self, epochs: int) -> list[dict]:
        """The first rows of the file, as far as it can be told that they are whole."""
        try:
            rows = read(self.path)[:epochs]
            length = int(rows[0]["step"]) if rows else 0
            found = [_checked(row, i, i * length) for i, row in enumerate(rows, 1)]
            reason = f"it has the rows of {len(found)} of them"
        except (OSError, ValueError) as error:
            found, reason = [], str(error)
        if len(found) < epochs:
            raise ValueError(
                f"{self.path} has lost the rows of epochs {len(found) + 1} to {epochs} "
                "and the checkpoint, of an earlier version, has no copy. Expected one "
                "row for each epoch. Put a copy of the file back, or delete the run "
                f"folder to start afresh. Nothing was changed. Received: {reason}"
            )
        return found

    def _write(self, path: pathlib.Path) -> None:
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        # A row may lack them, which must not change the order of the columns.
        columns.sort(key=lambda name: name in _TIMING)
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_atomically(path, lambda p: p.write_text(text.getvalue()))


def _checked(row: dict, epoch: int, step: int) -> dict:
    """The row, if it is of this epoch and all its metrics are numbers.

    Raises:
        ValueError: it is not.
    """
    numbers = {name: float(value) for name, value in row.items() if name != "phase"}
    if (numbers.get("epoch"), numbers["step"]) != (epoch, step):
        raise ValueError(
            f"a row of epoch {row.get('epoch')} and step {row['step']} where epoch "
            f"{epoch} and step {step} were expected"
        )
    return row


def repr_exact(value) -> str:
    """Text from which the same number is read back."""
    return repr(float(value)) if isinstance(value, float) else str(value)


def read(path: os.PathLike) -> list[dict]:
    """The rows of a metrics table, as text, without empty cells.

    Raises:
        ValueError: the file is no metrics table, or is damaged where that shows.
    """
    try:
        with open(path, newline="") as file:
            lines = file.readlines()
            rows = list(csv.DictReader(lines, restkey="", strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: expected CSV. Received: {error}.") from (
            error
        )
    if lines and not lines[-1].endswith("\n"):
        raise ValueError(
            f"{path} is damaged: expected a line's end as its last character. "
            f"Received: {lines[-1][-40:]!r}."
        )
    for row in rows:  # more or fewer cells than columns
        if "" in row or None in row.values():
            raise ValueError(
                f"{path} is damaged: expected as many cells in every row as there are "
                f"columns. Received: {list(row.values())}."
            )
    rows = [{k: v for k, v in row.items() if v != ""} for row in rows]
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
