import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from op_utils import files, report
from op_utils.run_folder import RunFolder

CONFIG = {"student": "resnet8", "epochs": 3, "hparam": ["a=1"]}


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "one")


def enter(folder, config=CONFIG, **arguments):
    with folder.open(config, **arguments) as opened:
        assert opened is folder


@pytest.fixture
def holder(folder):
    """Another process that holds the folder's lock until its stdin is closed."""
    enter(folder)
    code = (
        "import filelock, sys; lock = filelock.FileLock(sys.argv[1]);"
        "lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.stdin.close()
    process.wait(10)


def test_a_new_folder_is_made_with_its_parents(folder):
    enter(folder)
    assert files.read_json(folder.config) == {
        "format": 1,
        **CONFIG,
        "versions": report.versions(),
    }
    assert not folder.is_finished
    assert folder.checkpoints.directory.parent == folder.path


def test_an_empty_folder_may_be_given(folder):
    folder.path.mkdir(parents=True)
    enter(folder)
    assert folder.config.exists()


def test_a_setting_that_an_earlier_version_lacked_was_its_default(folder):
    enter(folder)
    later = {**CONFIG, "mixup": 0.0}
    with pytest.raises(ValueError, match="--mixup was None and is now 0.0"):
        enter(folder, later)
    enter(folder, later, defaults={"mixup": 0.0, "epochs": 7})
    with pytest.raises(ValueError, match="--mixup was 0.0 and is now 0.2"):
        enter(folder, {**later, "mixup": 0.2}, defaults={"mixup": 0.0})


def test_the_result_marks_the_end(folder):
    enter(folder)
    files.write_json(folder.result, {})
    assert folder.is_finished


def test_what_killed_processes_left_is_removed(folder):
    enter(folder)
    (folder.checkpoints.directory / ".writing-7").mkdir(parents=True)
    names = "best_student.7.keras", "student.8.keras", f"metrics.{os.getppid()}.csv"
    for name in (*names, "train_indices.7.txt", "result.7.json", "config.7.json"):
        (folder.path / f".{name}").touch()
    # Not of the run's process, but of test.py, which may be at work.
    (folder.path / f".student.{os.getppid()}.json").touch()
    before = sorted(os.listdir(folder.path))
    with pytest.raises(ValueError, match="other settings"):
        enter(folder, {})
    assert sorted(os.listdir(folder.path)) == before, "nothing was changed"
    enter(folder)
    left = {".lock", "checkpoints", "config.json", f".student.{os.getppid()}.json"}
    assert set(os.listdir(folder.path)) == left
    assert os.listdir(folder.checkpoints.directory) == []


def test_the_indices_are_written_one_a_line(folder):
    enter(folder)
    folder.write_indices(np.array([3, 1, 20]))
    assert folder.indices.read_text() == "3\n1\n20\n"


def test_the_same_settings_enter_again(folder):
    enter(folder)
    before = folder.config.stat().st_mtime_ns
    enter(folder, dict(reversed(CONFIG.items())))
    assert folder.config.stat().st_mtime_ns == before


def test_a_folder_of_other_things_is_refused_and_left_alone(folder):
    folder.path.mkdir(parents=True)
    for name in ("thesis.tex", ".git", "data", "zoo"):
        (folder.path / name).mkdir()
    with pytest.raises(ValueError, match=r"runs/one is not a run folder.*data.*Noth"):
        enter(folder)
    assert sorted(os.listdir(folder.path)) == [".git", "data", "thesis.tex", "zoo"]


@pytest.mark.parametrize("leftovers", [[".lock"], [".lock", ".config.123.json"]])
def test_a_process_killed_at_its_start_does_not_block_the_next(folder, leftovers):
    folder.path.mkdir(parents=True)
    for name in leftovers:
        (folder.path / name).touch()
    enter(folder)
    assert files.read_json(folder.config)["epochs"] == 3


@pytest.mark.parametrize("name", [".config.json", ".config.1.json.bak", "x.lock"])
def test_only_such_leftovers_are_ours(folder, name):
    folder.path.mkdir(parents=True)
    (folder.path / name).touch()
    with pytest.raises(ValueError, match="not a run folder"):
        enter(folder)


def test_a_file_is_refused(folder):
    folder.path.parent.mkdir()
    folder.path.write_text("precious")
    with pytest.raises(ValueError, match=r"--train_dir=.*one is a file"):
        enter(folder)
    assert folder.path.read_text() == "precious"


def test_a_path_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        enter(RunFolder(tmp_path / "file" / "run"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_os_error(folder):
    folder.path.mkdir(parents=True)
    folder.path.chmod(0o500)
    with pytest.raises(OSError, match="lock"):
        enter(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 4}, r"other settings: --epochs was 3 and is now 4\. Exp"),
        ({"hparam": []}, r"--hparam was \['a=1'\] and is now \[\]"),
        ({"new": 0}, r"--new was None and is now 0"),
        (
            {"epochs": 4, "student": "vgg"},
            r"--student was 'resnet8' and is now 'vgg'; --epochs was 3 and is now 4",
        ),
    ],
)
def test_changed_settings_are_named(folder, changes, message):
    enter(folder)
    before = folder.config.read_bytes()
    with pytest.raises(ValueError, match=message):
        enter(folder, CONFIG | changes)
    assert folder.config.read_bytes() == before
    enter(folder)


def test_a_setting_that_is_gone_is_named(folder):
    enter(folder)
    with pytest.raises(ValueError, match="--epochs was 3 and is now None"):
        enter(folder, {k: v for k, v in CONFIG.items() if k != "epochs"})


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ('{"format": 2}', "format=2"),
        ('{"name": "other"}', "format=None"),
        ("[1, 2]", r"format=\[1, 2\]"),
    ],
)
def test_another_format_is_refused(folder, content, received):
    folder.path.mkdir(parents=True)
    folder.config.write_text(content)
    with pytest.raises(ValueError, match=f"another program or version.*{received}"):
        enter(folder)
    assert folder.config.read_text() == content


def test_a_damaged_config_is_named(folder):
    folder.path.mkdir(parents=True)
    folder.config.write_text('{"format": 1')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        enter(folder)


def test_a_folder_in_use_is_refused(folder, holder):
    with pytest.raises(ValueError, match=r"runs/one is in use.*another --train_dir"):
        enter(folder)


def test_waiting_ends_when_the_other_process_does(folder, holder):
    lines = []

    def log(text):
        lines.append(text)
        threading.Timer(0.3, holder.stdin.close).start()

    enter(folder, wait=True, log=log)
    assert len(lines) == 1
    assert "waiting" in lines[0]
    assert holder.wait(10) == 0


def test_an_unfinished_run_does_not_go_on_with_other_versions(folder, monkeypatch):
    enter(folder)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "other")
    with pytest.raises(ValueError, match="settings: versions was .*now .*'other'"):
        enter(folder)
    files.write_json(folder.result, {})
    enter(folder)  # What is finished stays valid.
    with pytest.raises(ValueError, match="--epochs"):
        enter(folder, CONFIG | {"epochs": 4})


def test_waiting_is_not_announced_when_there_is_nobody(folder):
    lines = []
    enter(folder, wait=True, log=lines.append)
    assert lines == []


def test_the_lock_is_given_back_after_an_error(folder):
    with pytest.raises(KeyError), folder.open(CONFIG):
        raise KeyError
    with pytest.raises(ValueError, match="other settings"):
        enter(folder, {})
    enter(folder)


def test_settings_changed_while_waiting_are_seen(folder, holder):
    """The other process decides what the folder is."""

    def log(_):
        files.write_json(folder.config, {"format": 1, **CONFIG, "epochs": 9})
        holder.stdin.close()

    with pytest.raises(ValueError, match="--epochs was 9 and is now 3"):
        enter(folder, wait=True, log=log)
