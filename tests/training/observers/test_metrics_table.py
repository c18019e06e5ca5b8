import csv
import os

import numpy as np
import pytest

from training.observers import metrics_table
from training.observers.metrics_table import MetricsTable
from training.observers.observer import Moment


def moment(step, phase="distill"):
    return Moment(phase, step, 100, step, step // 10, 0.1)


def row(step, **values):
    return {"phase": "distill", "epoch": step // 10, "step": step, **values}


def add(table, *rows):
    for values in rows:
        table.epoch_finished(moment(values["step"]), values)


def steps(path):
    return [int(values["step"]) for values in metrics_table.read(path)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def test_numbers_are_read_back_exactly(path):
    values = [1 / 3, 1e-300, -0.0, 123456789.123456789, 5e-324, float(np.float32(0.1))]
    add(MetricsTable(path), *[row(10 * i, loss=v) for i, v in enumerate(values)])
    found = [float(values["loss"]) for values in metrics_table.read(path)]
    assert [v.hex() for v in found] == [v.hex() for v in values]


def test_numpy_floats_are_written_as_numbers(path):
    add(MetricsTable(path), row(10, loss=np.float64(1 / 3)))
    assert metrics_table.read(path)[0]["loss"] == repr(1 / 3)


def test_columns_are_the_union_and_cells_may_be_empty(path):
    add(MetricsTable(path), row(10, hint=1.5), row(20, kl=0.5, note="a, b"))
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["phase", "epoch", "step", "hint", "kl", "note"],
        ["distill", "1", "10", "1.5", "", ""],
        ["distill", "2", "20", "", "0.5", "a, b"],
    ]
    assert metrics_table.read(path)[1] == {
        "phase": "distill",
        "epoch": "2",
        "step": "20",
        "kl": "0.5",
        "note": "a, b",
    }


def test_a_row_without_times_changes_no_order(path):
    with_times = row(10, loss=1.0, seconds=2.0, images_per_second=3.0)
    last = row(20, loss=1.0, seconds=2.0, images_per_second=3.0, test_accuracy=0.5)
    headers = []
    for first in (with_times, row(10, loss=1.0)):
        path.unlink(missing_ok=True)
        add(MetricsTable(path), first, last)
        headers.append(path.read_text().splitlines()[0])
    expected = "phase,epoch,step,loss,test_accuracy,seconds,images_per_second"
    assert headers == [expected, expected]


@pytest.mark.parametrize("step", [10, 20, 30, 40])
def test_rows_beyond_the_checkpoint_are_made_again(path, step):
    """Also the row at it, if the restart repeats the evaluation of that epoch."""
    add(MetricsTable(path), *[row(step, first=1) for step in (10, 20, 30, 40)])
    table = restarted(path, 4)
    table.phase_started(moment(step - 7))
    add(table, row(step, again=1))
    assert steps(path) == list(range(10, step + 1, 10))
    rows = metrics_table.read(path)
    assert [list(values)[-1] for values in rows[:-1]] == ["first"] * (step // 10 - 1)
    assert rows[-1] == {"phase": "distill", **as_text(row(step, again=1))}


def as_text(values):
    return {name: str(value) for name, value in values.items()}


def test_the_next_phase_keeps_the_rows(path):
    table = MetricsTable(path)
    table.phase_started(moment(0))
    add(table, row(10), row(20))
    table.phase_started(moment(20, "next"))
    add(table, row(30))
    assert steps(path) == [10, 20, 30]


def test_a_resumed_table_is_the_same_file(path, tmp_path):
    rows = [row(10, loss=0.1), row(20, loss=1 / 3, kl=2.0), row(30, loss=1e-9)]
    add(MetricsTable(path), *rows[:2])
    table = restarted(path, 2)
    table.phase_started(moment(20))
    add(table, rows[2])
    other = tmp_path / "other.csv"
    add(MetricsTable(other), *rows)
    assert path.read_bytes() == other.read_bytes()


def test_a_crash_while_writing_leaves_the_old_table(path, monkeypatch):
    table = MetricsTable(path)
    add(table, row(10))

    def crash(source, target):
        raise SystemExit

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(SystemExit):
        add(table, row(20))
    assert steps(path) == [10]
    assert os.listdir(path.parent) == ["metrics.csv"]


def test_the_best_epoch_is_the_first_of_the_best(path):
    accuracies = [(0.5, 0.4), (0.75, 0.6), (0.75, 0.9), (0.25, 1.0)]
    add(
        MetricsTable(path),
        row(10),
        *[
            row(20 + 10 * i, validation_accuracy=validation, test_accuracy=test)
            for i, (validation, test) in enumerate(accuracies)
        ],
    )
    assert metrics_table.best_epoch(path) == {
        "epoch": 3,
        "validation_accuracy": 0.75,
        "test_accuracy": 0.6,
    }


def test_without_validation_there_is_no_best_epoch(path):
    add(MetricsTable(path), row(10, test_accuracy=0.5))
    assert metrics_table.best_epoch(path) is None


FOREIGN = {
    "no steps": b"what\nis this\n",
    "a word": b"step\nten\n",
    "no step": b"step,a\n,1\n",
    "a cell too many": b"step,a\n1,2,3\n",
    "a cell too few": b"step,a\n1\n",
    "cut off": b"step,a\n1,2\n2,3",
    "no text": b"step,a\n1,\xff\n",
    "quotes": b'step,a\n1,"2" 3\n',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"metrics\.csv is damaged"):
        metrics_table.read(path)


# Checkpoints of earlier versions, which hold no table


def restarted(path, epochs):
    table = MetricsTable(path)
    table.restored(path.parent / "checkpoint of an earlier version", epochs, -1.0)
    return table


@pytest.mark.parametrize("epochs", [0, 1, 3, 4])
def test_then_the_file_gives_the_rows_up_to_them(path, epochs):
    rows = [row(10 * i, loss=1 / i, phase="warm up") for i in range(1, 5)]
    add(MetricsTable(path), *rows)
    table = restarted(path, epochs)
    assert table.rows == [as_text(values) for values in rows[:epochs]]
    if epochs:
        assert metrics_table.read(path) == table.rows
        add(table, *rows[epochs:])
        assert metrics_table.read(path) == [as_text(values) for values in rows]


def without_lines(*numbers):
    def damage(content):
        lines = content.splitlines(keepends=True)
        return b"".join(line for i, line in enumerate(lines) if i not in numbers)

    return damage


DAMAGES = {
    "cut in half": (lambda content: content[: len(content) // 2], "1 to 4"),
    "last rows gone": (without_lines(3, 4), "3 to 4"),
    "rows between gone": (without_lines(1, 3), "1 to 4"),
    "another step": (lambda content: content.replace(b",20,", b",21,"), "1 to 4"),
    "no number": (lambda content: content.replace(b"0.25", b"0.:5"), "1 to 4"),
    "emptied": (lambda content: b"", "1 to 4"),
    "garbage": (lambda content: np.random.default_rng(0).bytes(100), "1 to 4"),
    "gone": (None, "1 to 4"),
}


@pytest.mark.parametrize(("damage", "epochs"), DAMAGES.values(), ids=DAMAGES)
def test_then_lost_epochs_are_named(path, damage, epochs):
    add(MetricsTable(path), *[row(10 * i, loss=1 / i) for i in range(1, 5)])
    content = path.read_bytes()
    path.unlink()
    if damage:
        assert damage(content) != content
        path.write_bytes(damage(content))
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    message = (
        rf"metrics\.csv has lost the rows of epochs {epochs} and.*Nothing was chang"
    )
    with pytest.raises(ValueError, match=message) as info:
        restarted(path, 4)
    assert "\n" not in str(info.value)
    assert {p: p.read_bytes() for p in path.parent.iterdir()} == before


def test_forward_passes_are_the_mean_over_the_epochs(path):
    rows = [
        row(10, student_forward_passes=1.0, teacher_forward_passes=4.0),
        row(20, student_forward_passes=1.0),
        row(30, student_forward_passes=4.0, teacher_forward_passes=1.0),
    ]
    add(MetricsTable(path), *rows)
    assert metrics_table.forward_passes(path) == {"student": 2.0, "teacher": 2.5}


@pytest.mark.parametrize(
    ("sessions", "expected"), [((True, False), True), ((False, False), False)]
)
def test_the_cache_is_remembered_of_a_session_before_the_last(path, sessions, expected):
    for i, is_cached in enumerate(sessions, 1):
        own = {metrics_table.CACHED: 1} if is_cached else {}
        add(restarted(path, i - 1), row(10 * i, **own))
    assert metrics_table.reads_cache(path) == expected
