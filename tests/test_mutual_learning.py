"""DML end to end: a teacher that starts and learns together with its student."""

import csv
import json
import os
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

import commands
from nets import saving

SETTINGS = {
    "train_dir": "run",
    "distiller": "dml",
    "teacher": "resnet8",
    "student": "resnet8",
    "data_fraction": 0.25,
    "batch_size": 32,
    "epochs": 2,
}


def command(folder, **changes):
    flags = [f"--{name}={value}" for name, value in {**SETTINGS, **changes}.items()]
    return commands.Command("train_w_distill.py", *flags, cwd=folder)


def weights(path):
    return [v.numpy() for v in saving.load(path).variables]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutual")
    # A schedule that a teacher of --teacher_epochs=1 could not have.
    process = command(folder, teacher_epochs=1, teacher_seed=5)
    result = process.wait()
    assert result.code == 0, result.err
    return folder, result


def test_the_teacher_is_trained_here_and_saved(finished):
    folder, output = finished
    assert not (folder / "runs").exists(), "no teacher is trained before"
    student, teacher = (
        weights(folder / f"run/{name}.keras") for name in ("student", "teacher")
    )
    # Equal nets from different weights, that is as good as no entry alike.
    kernels = [pair for pair in zip(student, teacher, strict=True) if pair[0].ndim > 1]
    assert kernels
    for one, other in kernels:
        assert not np.any(one == other)
    result = json.loads((folder / "run/result.json").read_text())
    for role in ("teacher", "student"):
        assert result[role]["net"] == "resnet8"
        assert result[role]["top1"] > 0.3  # of 10 classes
    assert result["teacher"]["loss"] != result["student"]["loss"]
    with open(folder / "run/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["loss/kl"]) > 0 and float(row["loss/teacher_kl"]) > 0
        total = sum(float(row[f"loss/{x}"]) for x in ("kl", "teacher_kl", "task"))
        np.testing.assert_allclose(float(row["loss"]), total, rtol=1e-4)
    notes = [line for line in output.out.splitlines() if line.startswith("note: ")]
    assert [note.split()[1] for note in notes] == ["--teacher_epochs", "--teacher_seed"]


def test_the_teachers_figures_are_those_of_the_saved_net(finished):
    folder, _ = finished
    checked = commands.run(
        "test.py",
        "--checkpoint=run/teacher.keras",
        "--output=figures.json",
        cwd=folder,
    )
    assert checked.code == 0, checked.err
    figures = json.loads((folder / "figures.json").read_text())
    result = json.loads((folder / "run/result.json").read_text())["teacher"]
    assert (figures["top1"], figures["loss"]) == (result["top1"], result["loss"])


@pytest.mark.slow
def test_killed_and_resumed_is_the_same(finished, tmp_path):
    # Without the flags that decide nothing here: the run is the same.
    process = command(tmp_path, checkpoint_every=3)
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("run/checkpoints/step-*3")):
        assert time.monotonic() < deadline, "the run does not get anywhere"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run/result.json").exists()
    resumed = command(tmp_path).wait()
    assert resumed.code == 0, resumed.err
    assert "going on at step" in resumed.err
    folder, _ = finished
    for name in ("student", "teacher"):
        pair = (weights(f / f"run/{name}.keras") for f in (folder, tmp_path))
        for one, other in zip(*pair, strict=True):
            np.testing.assert_array_equal(one, other)
    # The momentum of both nets, too.
    [*_, first], [*_, second] = (
        sorted(f.glob("run/checkpoints/step-*")) for f in (folder, tmp_path)
    )
    names = [
        name
        for name, _ in tf.train.list_variables(str(first / "variables"))
        if "OBJECT_GRAPH" not in name
    ]
    assert sum("teacher" in name for name in names) > 20
    for name in names:
        np.testing.assert_array_equal(
            *(
                tf.train.load_variable(str(f / "variables"), name)
                for f in (first, second)
            )
        )


@pytest.mark.slow
def test_another_seed_starts_both_nets_anew(finished, tmp_path):
    other = command(tmp_path, seed=1, epochs=1).wait()
    assert other.code == 0, other.err
    folder, _ = finished
    for name in ("student", "teacher"):
        pair = (weights(f / f"run/{name}.keras") for f in (folder, tmp_path))
        for one, another in zip(*pair, strict=True):
            assert one.ndim < 2 or not np.any(one == another)
