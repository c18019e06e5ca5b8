"""train_w_distill.py --continue_from: a finished run that is trained longer."""

import os
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

import commands
from common import files
from nets import saving
from training.observers import metrics_table

SCRIPT = "train_w_distill.py"
OLD = {
    "student": "wrn_10_1",
    "distiller": "FitNet",
    "data_fraction": 0.3,
    "validation": 0.1,
    "epochs": 2,
    "init_epochs": 1,
    "learning_rate": 0.02,
    "train_dir": "old",
}


def arguments(**settings):
    return [f"--{name}={value}" for name, value in settings.items()]


@pytest.fixture(scope="module")
def folder(teacher, tmp_path_factory):
    """A folder with a finished run "old" and its teacher's file."""
    path = tmp_path_factory.mktemp("continue")
    shutil.copy(teacher, path / "teacher.keras")
    given = arguments(**OLD, teacher="teacher.keras")
    finished = commands.run(SCRIPT, *given, cwd=path)
    assert finished.code == 0, finished.err
    return path


def longer(folder, **settings):
    given = {"continue_from": "old", "teacher": "teacher.keras", "epochs": 3}
    return commands.Command(SCRIPT, *arguments(**given | settings), cwd=folder)


def contents(path):
    return {p.name: p.read_bytes() for p in path.rglob("*") if p.is_file()}


def state(path):
    """The variables of the newest checkpoint, by name."""
    [*_, newest] = sorted(path.glob("checkpoints/step-*"))
    prefix = str(newest / "variables")
    return {
        name: tf.train.load_variable(prefix, name)
        for name, _ in tf.train.list_variables(prefix)
        if "OBJECT_GRAPH" not in name
    }


# With it a step moves no weight, so that the run ends with those that it began with.
STILL = {"learning_rate": 1e-30, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def continued(folder):
    before = contents(folder / "old")
    finished = longer(folder, train_dir="new", **STILL).wait()
    assert finished.code == 0, finished.err
    assert contents(folder / "old") == before
    return folder / "new", finished


def test_it_begins_with_the_runs_weights_and_the_methods_own(folder, continued):
    old, new = (
        saving.load(path / "student.keras") for path in (folder / "old", continued[0])
    )
    for one, other in zip(
        old.trainable_variables, new.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    before, after = state(folder / "old"), state(continued[0])
    own = [name for name in before if name.startswith("method/")]
    assert own  # FitNet's regressor
    for name in own:
        np.testing.assert_array_equal(before[name], after[name])


def test_the_last_phase_alone_is_trained(continued):
    rows = metrics_table.read(continued[0] / "metrics.csv")
    assert [row["phase"] for row in rows] == ["distill"] * 3
    # Already the first epoch is one of a trained student.
    assert float(rows[0]["train_accuracy"]) > 0.5


def test_its_settings_are_the_runs_but_for_what_is_given(folder, continued):
    old, new = (
        files.read_json(p / "config.json") for p in (folder / "old", continued[0])
    )
    changed = {name for name in old if old[name] != new[name]}
    assert changed == {
        "epochs", "learning_rate", "weight_decay", "continue_from",
        "init_epochs",  # it has no such phase
    }  # fmt: skip
    assert new.keys() - old.keys() == {"continues"}


def test_it_is_recorded_as_such(folder, continued):
    new, finished = continued
    config, result = (files.read_json(new / f"{n}.json") for n in ("config", "result"))
    old = files.read_json(folder / "old/result.json")
    expected = {
        "run": "old",
        "student_sha256": old["student"]["weights_sha256"],
        "epochs": 3,  # one of which initialised
    }
    assert config["continues"] == result["continues"] == expected
    assert result["settings"]["continue_from"].startswith("sha256:")
    assert "continues old: 6 epochs in all" in finished.out


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bits(folder):
    given = {"checkpoint_every": 2, "hparam": "weight=50.0"}
    assert longer(folder, train_dir="straight", **given).wait().code == 0
    process = longer(folder, train_dir="killed", **given)
    while len(list(folder.glob("killed/checkpoints/step-*"))) < 2:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "killed/result.json").exists()
    assert longer(folder, train_dir="killed", **given).wait().code == 0
    straight, killed = (state(folder / name) for name in ("straight", "killed"))
    assert straight.keys() == killed.keys()
    for name in straight:
        np.testing.assert_array_equal(straight[name], killed[name])
    results = [
        files.read_json(folder / n / "result.json") for n in ("straight", "killed")
    ]
    assert results[0]["student"] == results[1]["student"]
    assert results[1]["wall_seconds"] is None


@pytest.mark.slow
def test_a_teacher_that_learned_along_is_taken_on_too(tmp_path):
    given = arguments(distiller="DML", teacher="wrn_10_1", student="wrn_10_1", epochs=1,
                      data_fraction=0.3, train_dir="old")  # fmt: skip
    assert commands.run(SCRIPT, *given, cwd=tmp_path).code == 0
    given = arguments(continue_from="old", epochs=2, train_dir="new", **STILL)
    finished = commands.run(SCRIPT, *given, cwd=tmp_path)
    assert finished.code == 0, finished.err
    for role in ("student", "teacher"):
        old, new = (saving.load(tmp_path / n / f"{role}.keras") for n in ("old", "new"))
        for one, other in zip(
            old.trainable_variables, new.trainable_variables, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    (tmp_path / "old/teacher.keras").unlink()
    finished = commands.run(SCRIPT, *given, "--train_dir=third", cwd=tmp_path)
    assert finished.code == 2 and len(finished.error_lines) == 1
    assert not (tmp_path / "third").exists()
