"""Kill -9 at any step and the same command again: the same bits."""

import csv
import os
import pathlib
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

import commands
from nets import saving

STEPS_PER_EPOCH = 11  # 718 digits, batches of 64
INIT_STEPS = 2 * STEPS_PER_EPOCH


def command(teacher, folder, **changes):
    settings = {
        "train_dir": "run",
        "student": "resnet8",
        "teacher_checkpoint": teacher,
        "distiller": "FitNet",
        "data_fraction": 0.5,
        "validation": 0.1,
        "epochs": 3,
        "init_epochs": 2,
        "checkpoint_every": 4,
        "nesterov": True,
        **changes,
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return commands.Command("train_w_distill.py", *flags, cwd=folder)


def newest_step(folder: pathlib.Path) -> int:
    names = [p.name for p in folder.glob("run/checkpoints/step-*")]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def stop_at(process, folder, step, number=signal.SIGKILL):
    deadline = time.monotonic() + 300  # a hung run, not a slow machine
    while newest_step(folder) < step:
        assert time.monotonic() < deadline, "the run does not get anywhere"
        time.sleep(0.002)
    os.kill(process.pid, number)
    return process.wait()


def final_state(folder):
    """Every variable of the last checkpoint, the student's weights, the metrics."""
    [*_, newest] = sorted(folder.glob("run/checkpoints/step-*"))
    prefix = str(newest / "variables")
    state = {
        name: tf.train.load_variable(prefix, name)
        for name, _ in tf.train.list_variables(prefix)
        if "OBJECT_GRAPH" not in name
    }
    student = saving.load(folder / "run/student.keras")
    state |= {v.path: v.numpy() for v in student.variables}
    with open(folder / "run/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"], row["images_per_second"]
    return state, rows


@pytest.fixture(scope="module")
def trained(teacher, tmp_path_factory):
    """The folder of a run that no one disturbs; it is left as it is."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    finished = command(teacher, folder).wait()
    assert finished.code == 0, finished.err
    return folder


@pytest.fixture(scope="module")
def uninterrupted(trained):
    return final_state(trained)


def assert_same(left, right):
    assert left[1] == right[1]
    assert left[0].keys() == right[0].keys()
    for name, value in left[0].items():
        np.testing.assert_array_equal(value, right[0][name], err_msg=name)


def test_killed_once_in_each_phase(uninterrupted, teacher, tmp_path):
    for step in (4, INIT_STEPS + 2):
        killed = stop_at(command(teacher, tmp_path), tmp_path, step)
        assert killed.code == -signal.SIGKILL
        assert not (tmp_path / "run/result.json").exists()
    # The file is not what the metrics are read from.
    metrics = tmp_path / "run/metrics.csv"
    os.truncate(metrics, metrics.stat().st_size // 2)
    # Another rhythm of checkpoints changes no number.
    finished = command(teacher, tmp_path, checkpoint_every=7).wait()
    assert finished.code == 0, finished.err
    assert "going on at step" in finished.err
    assert_same(final_state(tmp_path), uninterrupted)


@pytest.mark.slow  # tests/common/test_interruption.py has it in process
def test_sigterm_saves_between_checkpoints(uninterrupted, teacher, tmp_path):
    process = command(teacher, tmp_path, checkpoint_every=6)
    stopped = stop_at(process, tmp_path, 6, signal.SIGTERM)
    assert stopped.code == 128 + signal.SIGTERM
    assert len(stopped.error_lines) == 1 and "all is saved" in stopped.err
    assert command(teacher, tmp_path).wait().code == 0
    assert_same(final_state(tmp_path), uninterrupted)


@pytest.mark.slow  # tests/training/test_checkpoint.py has it in process
def test_damaged_newest_checkpoint_is_passed_by(uninterrupted, teacher, tmp_path):
    stop_at(command(teacher, tmp_path), tmp_path, INIT_STEPS + 4)
    [*_, newest] = sorted(tmp_path.glob("run/checkpoints/step-*"))
    data = newest / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    finished = command(teacher, tmp_path).wait()
    assert finished.code == 0
    assert f"skipping the damaged checkpoint {newest.relative_to(tmp_path)}" in (
        finished.err
    )
    assert_same(final_state(tmp_path), uninterrupted)


@pytest.mark.slow  # tests/training/test_checkpoint.py has it in process
def test_all_checkpoints_damaged_is_an_error(teacher, tmp_path):
    stop_at(command(teacher, tmp_path), tmp_path, 8)
    for manifest in tmp_path.glob("run/checkpoints/*/manifest.json"):
        manifest.write_text("{}")
    finished = command(teacher, tmp_path).wait()
    assert finished.code == 2
    assert "no checkpoint in run/checkpoints can be read" in finished.error_lines[-1]


def test_finished_run_is_left_alone(trained, teacher):
    files = [p for p in trained.glob("run/*") if p.is_file() and p.name != ".lock"]
    before = {p: p.stat().st_mtime_ns for p in files}
    again = command(teacher, trained).wait()
    assert again.code == 0
    assert "finished, there is nothing to train" in again.out
    assert before == {p: p.stat().st_mtime_ns for p in files}
