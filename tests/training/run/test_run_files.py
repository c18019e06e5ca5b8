import hashlib

import pytest

from common import files
from options import user_code
from tests.training import tiny
from training.run import fingerprint, run_files, run_result
from training.run.run_folder import RunFolder

CONTENT = {"metrics.csv": "a,b\n", "student.keras": "net", "teacher.keras": "net"}


def no_load(path):
    raise AssertionError("the files tell without it")


@pytest.fixture
def folder(tmp_path):
    """A finished run."""
    folder = RunFolder(tmp_path)
    for name, text in CONTENT.items():
        (tmp_path / name).write_text(text)
    files.write_json(folder.result, {"files": run_files.digests(tmp_path)})
    return folder


def test_digests_are_of_what_is_there(folder):
    assert run_files.digests(folder.path) == {
        name: "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        for name, text in CONTENT.items()
    }


def test_a_finished_run_is_believed(folder, capsys):
    assert run_result.confirmed(folder, "teacher", no_load) is folder
    told = f"teacher: {folder.path} is finished, there is nothing to train.\n"
    assert capsys.readouterr().out == told


@pytest.mark.parametrize("name", CONTENT)
def test_each_file_is_checked_if_it_is_there(folder, name, capsys):
    path = folder.path / name
    path.write_text("nex")
    found = hashlib.sha256(b"nex").hexdigest()[:12]
    expected = hashlib.sha256(CONTENT[name].encode()).hexdigest()[:12]
    words = rf"{name} is not what the run wrote.*{expected}.*{found}\. Bring .* or move"
    with pytest.raises(ValueError, match=words):
        run_result.confirmed(folder, "student", no_load)
    assert not capsys.readouterr().out
    path.unlink()
    run_result.confirmed(folder, "student", no_load)


@pytest.fixture
def earlier(folder):
    """The same, of a version that recorded the weights' digest alone."""
    digest = fingerprint.net_digest(tiny.Linear(0))
    files.write_json(folder.result, {"student": {"weights_sha256": digest}})
    return folder


def test_an_earlier_run_s_weights_are_checked(earlier):
    run_result.confirmed(earlier, "student", lambda path: tiny.Linear(0))
    with pytest.raises(ValueError, match="student.keras .* SHA-256 of weights in "):
        run_result.confirmed(earlier, "student", lambda path: tiny.Linear(1))
    earlier.student.unlink()
    run_result.confirmed(earlier, "student", no_load)


def test_what_recorded_nothing_is_believed(folder):
    files.write_json(folder.result, {})
    run_result.confirmed(folder, "student", no_load)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": []}', '{"files": {"a": 1}}'])
def test_a_damaged_result_is_named(folder, text):
    folder.result.write_text(text)
    with pytest.raises(ValueError, match=r"result\.json is damaged"):
        run_result.confirmed(folder, "student", no_load)


def test_a_run_of_another_file_of_the_user_s_is_told(folder, tmp_path, capsys):
    path = tmp_path / "my_method.py"
    path.write_text("A = 1\n")
    inputs = {"inputs": {f"--imports={path}": user_code.digest(str(path))}}
    files.write_json(folder.result, {**files.read_json(folder.result), **inputs})
    run_result.confirmed(folder, "student", no_load)
    assert "note:" not in capsys.readouterr().out
    path.write_text("A = 22\n")
    run_result.confirmed(folder, "student", no_load)
    told = f"note: {folder.path} was made with another {path}, and is of that one; "
    assert told in capsys.readouterr().out
