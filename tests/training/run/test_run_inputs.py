import hashlib
import types

import pytest

from common import files
from options import user_code
from options.settings import Options
from tests.training import tiny
from training.run import fingerprint, run_files, run_inputs

METHOD = types.SimpleNamespace(trains_teacher=False)
ALONG = types.SimpleNamespace(trains_teacher=True)
TEACHER, STUDENT = tiny.Linear(0), tiny.Linear(1)


def digests(method=METHOD, teacher=TEACHER, **settings):
    return run_inputs.digests(Options(**settings), method, teacher, STUDENT)


def test_the_teacher_s_weights():
    weights = fingerprint.net_digest(TEACHER)
    assert digests() == {"the teacher's weights": weights}
    assert digests(teacher=None) == digests(ALONG) == {}


@pytest.mark.parametrize("flag", ["teacher_checkpoint", "student"])
def test_a_given_file_of_a_finished_run_is_what_that_run_wrote(tmp_path, flag):
    path, record = tmp_path / "student.keras", tmp_path / "result.json"
    path.write_text("a net")
    files.write_json(record, {"files": run_files.digests(tmp_path)})
    digests(**{flag: str(path)})
    path.write_text("another")
    with pytest.raises(ValueError, match="student.keras is not what the run wrote"):
        digests(**{flag: str(path)})
    for text in ("{}", "[]", "no run's"):  # or a run of before
        record.write_text(text)
        digests(**{flag: str(path)})
    record.unlink()
    digests(**{flag: str(path)})


def test_weights_of_the_network_count_and_fresh_ones_do_not():
    found = digests(teacher=None, student_weights="imagenet")
    weights = fingerprint.net_digest(STUDENT)
    assert found == {"the student's first weights": weights}
    assert digests(teacher=None, student_weights="none") == {}


def test_a_user_s_file_counts_by_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my_nets.py"
    path.write_text("A = 1\n")
    found = digests(teacher=None, imports=("my_nets.py",))
    digest = "sha256:" + hashlib.sha256(b"A = 1\n").hexdigest()
    assert found == {"--imports=my_nets.py": digest}


@pytest.mark.parametrize("changed", ["__init__.py", "inner/b.py"])
def test_a_package_counts_with_all_of_its_files(tmp_path, monkeypatch, changed):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / f"my_package_{changed[:2]}"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/b.py"):
        (package / name).touch()
    before = user_code.digest(package.name)
    (package / changed).write_text("A = 1\n")
    assert user_code.digest(package.name) != before


def test_a_module_counts_by_its_file_and_a_part_of_python_does_not(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_module_of_nets.py").write_text("A = 1\n")
    assert user_code.digest("my_module_of_nets").startswith("sha256:")
    assert user_code.digest("sys") == ""


def test_a_user_s_file_that_changed_since_a_run_is_known(tmp_path):
    path = tmp_path / "my_method_before.py"
    path.write_text("A = 1\n")
    name = str(path)
    result = {"inputs": digests(imports=(name,))}
    assert len(result["inputs"]) == 2  # the teacher's weights, too
    assert run_inputs.changed_code(result) == ()
    path.write_text("A = 22\n")
    assert run_inputs.changed_code(result) == (name,)
    path.unlink()
    assert run_inputs.changed_code(result) == (name,)
    assert run_inputs.changed_code({}) == ()  # of an earlier version
