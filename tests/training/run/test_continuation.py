"""What a run that continues another takes from it, and what it refuses."""

import dataclasses
import json
import types

import numpy as np
import pytest
import tensorflow as tf

from common import files
from common.digests import file_digest
from options.settings import Options
from tests.training import tiny
from training.checkpoint import Checkpoints
from training.run import continuation, fingerprint
from training.run.run_folder import RunFolder

DATA = types.SimpleNamespace(digest="of the images")
OLD = Options(
    teacher="",
    distiller="AT",
    hparam=("weight=1000.0", "taps=stages"),
    task_weight=1.0,
    epochs=9,
    validation=0.1,
    decay_points=(0.25, 0.5),
    schedule="step",
)


class Method(tiny.Method):
    """Two phases, and a variable of its own."""

    def __init__(self, value=0.0):
        super().__init__()
        self.own = tf.Variable([value, value])

    def phases(self):
        first = dataclasses.replace(self.phase, name="hint", length="init")
        return first, self.phase


def make_run(path, old=OLD, student=None, teacher=None, method=None, before=0):
    """A finished run's folder."""
    path.mkdir()
    student = student or tiny.Net(3)
    (path / "student.keras").write_bytes(b"the student's file")
    config = {"format": 1, **old.config(), "data_sha256": DATA.digest, "versions": {}}
    files.write_json(path / "config.json", config)
    result = {"student": {"weights_sha256": fingerprint.net_digest(student)}}
    if teacher is not None:
        result["teacher"] = {"weights_sha256": fingerprint.net_digest(teacher)}
    if before:
        result["continues"] = {"run": "earlier", "student_sha256": "", "epochs": before}
    files.write_json(path / "result.json", {**result, "epochs": 12})
    if method is not None:
        groups = {"student": student.variables, "method": method.variables}
        groups["progress"] = [tf.Variable(3)]
        Checkpoints(path / "checkpoints").save(12, groups, {"phase": 1})
    return path


def inherited(path, **given):
    settings = Options(**{"continue_from": str(path), **given})
    return continuation.inherited(settings, {"continue_from": str(path), **given})


def test_settings_are_the_runs_but_for_what_is_given(tmp_path):
    path = make_run(tmp_path / "old")
    found = inherited(path, epochs=20, hparam=("weight=5",), log_every=7)
    assert found == dataclasses.replace(
        OLD,
        epochs=20,
        hparam=("weight=5", "taps=stages"),
        log_every=7,
        continue_from=str(path),
    )
    assert inherited(path).epochs == 9
    assert continuation.inherited(Options(), {}) == Options()


def test_the_student_is_that_of_the_folder(tmp_path):
    path = make_run(tmp_path / "old")
    settings = inherited(path)
    assert settings.net("student")["file"] == str(path / "student.keras")
    digest = file_digest(str(path / "student.keras"))
    assert settings.config()["continue_from"] == digest
    assert settings.default_train_dir() != OLD.default_train_dir()


def test_without_it_nothing_changes():
    usual = Options()
    assert usual.config()["continue_from"] == ""
    assert continuation.record(usual) == {}
    method = Method()
    taken = continuation.taken_on(usual, DATA, tiny.Net(), None, method)
    assert taken is method
    # The folders of runs of before are still found.
    assert usual.default_train_dir() == "runs/digits-resnet8-Soft_logits-44136fa3"


@pytest.mark.parametrize(
    "given",
    [{"student": "resnet14"}, {"distiller": "SP"}, {"data_fraction": 0.5},
     {"validation": 0.2}, {"data_seed": 4}, {"teacher": "resnet56"},
     {"normalisation": "teacher"}],
)  # fmt: skip
def test_another_training_is_refused(tmp_path, given):
    path = make_run(tmp_path / "old")
    [(name, value)] = given.items()
    with pytest.raises(ValueError, match=f"Received: --{name}={value}"):
        inherited(path, **given)


def test_what_is_given_again_is_no_change(tmp_path):
    path = make_run(tmp_path / "old")
    same = {"student": "ResNet-8", "distiller": "at", "validation": 0.1}
    assert inherited(path, **same) == inherited(path)


def test_a_teacher_of_a_file_must_be_the_same(tmp_path):
    one, other = tmp_path / "one.keras", tmp_path / "other.keras"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    old = dataclasses.replace(OLD, teacher_checkpoint=str(one))
    path = make_run(tmp_path / "old", old)
    with pytest.raises(ValueError, match="Expected --teacher=FILE, sha256:"):
        inherited(path)
    with pytest.raises(ValueError, match="--teacher_checkpoint=sha256:"):
        inherited(path, teacher_checkpoint=str(other))
    found = inherited(path, teacher_checkpoint=str(one))
    assert found.teacher_checkpoint == str(one)


def test_a_teacher_that_was_trained_before_is_not_trained_again(tmp_path):
    """Not even where the recipe changes, on which its own training would depend."""
    old = dataclasses.replace(OLD, teacher="resnet20", teacher_dir=str(tmp_path))
    path = make_run(tmp_path / "old", old)
    given = {"teacher_dir": str(tmp_path), "learning_rate": 0.001}
    with pytest.raises(ValueError, match="Expected --teacher_dir with digits-resnet20"):
        inherited(path, **given)
    trained = RunFolder(old.for_teacher().train_dir)
    make_run(trained.path)
    found = inherited(path, **given)
    assert (found.teacher, found.teacher_checkpoint) == ("", str(trained.student))
    assert found.learning_rate == 0.001


@pytest.mark.parametrize("name", ["result.json", "config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"student": 3}'])
def test_a_damaged_run_is_refused(tmp_path, name, text):
    path = make_run(tmp_path / "old")
    (path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        inherited(path)


def test_a_run_that_has_not_ended_is_refused(tmp_path):
    path = make_run(tmp_path / "old")
    (path / "result.json").unlink()
    for place in (path, tmp_path / "absent"):
        with pytest.raises(ValueError, match=f"Received: --continue_from={place}"):
            inherited(place)


def test_epochs_add_up(tmp_path):
    path = make_run(tmp_path / "old", before=30)
    record = continuation.record(inherited(path))["continues"]
    assert (record["run"], record["epochs"]) == ("old", 30 + 12)
    result = json.loads((path / "result.json").read_text())
    assert record["student_sha256"] == result["student"]["weights_sha256"]


def taken_on(path, student, method, teacher=None, data=DATA):
    return continuation.taken_on(inherited(path), data, student, teacher, method)


def test_the_method_is_as_the_run_left_it(tmp_path):
    student = tiny.Net(3)
    path = make_run(tmp_path / "old", student=student, method=Method(5.0))
    before = tiny.values(student.variables)
    method = Method()
    found = taken_on(path, student, method)
    np.testing.assert_array_equal(method.own, [5.0, 5.0])
    tiny.assert_equal(before, tiny.values(student.variables))
    assert [phase.name for phase in found.phases()] == ["distill"]
    assert found.variables == method.variables
    assert found.overrides("phases")


def test_other_images_nets_and_methods_are_refused(tmp_path):
    student, teacher = tiny.Net(3), tiny.Net(4)
    nets = {"student": student, "teacher": teacher}
    path = make_run(tmp_path / "old", **nets, method=Method())
    other = types.SimpleNamespace(digest="of others")
    with pytest.raises(ValueError, match="Expected those of of the images"):
        taken_on(path, student, Method(), teacher, other)
    with pytest.raises(ValueError, match="The student is not as the run"):
        taken_on(path, tiny.Net(5), Method(), teacher)
    with pytest.raises(ValueError, match="The teacher is not as the run"):
        taken_on(path, student, Method(), tiny.Net(5))
    wider = Method()
    wider.more = tf.Variable(1.0)
    with pytest.raises(ValueError, match="belongs to another training"):
        taken_on(path, student, wider, teacher)
    taken_on(path, student, Method(), teacher)


def test_the_methods_variables_must_be_those_of_the_end(tmp_path):
    student = tiny.Net(3)
    path = make_run(tmp_path / "old", student=student)
    with pytest.raises(ValueError, match="Received: no checkpoint"):
        taken_on(path, student, Method())
    taken_on(path, student, tiny.Method())  # which has none
    groups = {"student": tiny.Net(5).variables, "method": Method().variables}
    Checkpoints(path / "checkpoints").save(10, groups, {"phase": 0})
    with pytest.raises(ValueError, match="step-0000000010 with others"):
        taken_on(path, student, Method())
