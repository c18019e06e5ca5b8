import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from common import files
from training.run import provenance
from training.run.run_folder import RunFolder

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
        "provenance": [provenance.facts()],
        "inputs": {},
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


# What a run is trained under.

OTHER = {"sources_sha256": "0123456789abcdef", "commit": "f" * 40}


@pytest.fixture
def machine(monkeypatch):
    """What `provenance.facts` tells, which a test may change."""
    found = provenance.facts()
    monkeypatch.setattr("training.run.provenance.facts", lambda: found)
    return found


@pytest.fixture
def begun(folder, machine):
    """A run that has trained something."""
    go_on(folder)
    (folder.checkpoints.directory / "step-0000000004").mkdir(parents=True)
    return folder


def go_on(folder, config=CONFIG, inputs=(), log=print, **arguments):
    with folder.open(config, log=log, **arguments):
        if not folder.is_finished:
            folder.check_inputs(dict(inputs), log)


def history(folder):
    return files.read_json(folder.config).get("provenance")


def test_other_sources_need_a_flag_and_are_recorded(begun, machine):
    [first], lines = history(begun), []
    before = begun.config.read_bytes()
    machine.update(OTHER)
    words = rf"{first['sources_sha256'][:12]}.*0123456789ab .*--allow_other_code"
    with pytest.raises(ValueError, match=f"runs/one was begun by other .*{words}"):
        go_on(begun)
    assert begun.config.read_bytes() == before
    go_on(begun, allow_other_code=True, log=lines.append)
    assert len(lines) == 1 and lines[0].startswith("note: ")
    assert "sources' SHA-256 was" in lines[0]
    assert history(begun) == [first, machine]
    go_on(begun, log=lines.append)  # It is what the run goes on under now.
    assert len(lines) == 1 and history(begun) == [first, machine]
    machine.update(first)
    with pytest.raises(ValueError, match="0123456789ab .*is now"):
        go_on(begun)


@pytest.mark.parametrize("name", ["tensorflow", "python", provenance.KERNELS])
def test_other_versions_need_it_too(begun, machine, name):
    [first] = history(begun)
    machine["versions"] = {**machine["versions"], name: "other"}
    was = re.escape(repr(first["versions"][name]))
    message = rf"version of {name} was {was} and is now 'other'.*--allow_other_code"
    with pytest.raises(ValueError, match=message):
        go_on(begun)
    go_on(begun, allow_other_code=True)
    assert history(begun) == [first, machine]


def test_another_commit_alone_is_nothing(begun, machine):
    before, lines = begun.config.read_bytes(), []
    machine["commit"] = "f" * 40
    go_on(begun, log=lines.append)
    assert begun.config.read_bytes() == before and not lines


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("threads", 99, "the number of threads was .* and is now 99"),
        ("devices", ["a GPU"], "the list of devices was .* and is now .'a GPU'"),
        (
            "switches",
            {"XLA_FLAGS": "x"},
            "the set of kernel switches was .*XLA_FLAGS",
        ),
        ("processor", {"model": "i9", "features": "0"}, "the processor's model was"),
    ],
)
def test_other_hardware_is_a_note_and_is_recorded(begun, machine, name, value, words):
    [first], lines = history(begun), []
    machine["hardware"] = {**machine["hardware"], name: value}
    go_on(begun, log=lines.append)
    assert re.search(f"^note: .*runs/one goes on, although {words}", lines[-1])
    assert history(begun) == [first, machine]


@pytest.mark.parametrize("versions", [{"tensorflow": "2.21.0"}, None])
def test_a_run_without_a_digest_is_a_note_and_recorded_from_now(
    begun, machine, versions
):
    machine["versions"] = {**machine["versions"], "tensorflow": "2.21.0"}
    old = {} if versions is None else {"versions": versions}
    files.write_json(begun.config, {"format": 1, **CONFIG, **old})
    lines = []
    go_on(begun, log=lines.append)
    [note] = lines
    assert note.startswith("note: ") and "recorded no digest of its sources" in note
    assert history(begun) == [{"versions": versions or {}}, machine]
    assert "versions" not in files.read_json(begun.config)
    go_on(begun, log=lines.append)
    assert len(lines) == 1


def test_its_versions_are_compared_all_the_same(begun):
    old = {"format": 1, **CONFIG, "versions": {"tensorflow": "1.15"}}
    files.write_json(begun.config, old)
    with pytest.raises(ValueError, match="version of tensorflow was '1.15' and is now"):
        go_on(begun)
    assert files.read_json(begun.config) == old


def test_where_nothing_is_trained_yet_it_begins_anew(folder, machine):
    go_on(folder, inputs={"x": "1"})
    machine.update(OTHER)
    go_on(folder, inputs={"x": "2"})
    assert history(folder) == [machine]
    assert files.read_json(folder.config)["inputs"] == {"x": "2"}


def test_what_is_finished_stays_valid(begun, machine):
    files.write_json(begun.result, {})
    before = begun.config.read_bytes()
    machine.update(OTHER)
    go_on(begun)
    assert begun.config.read_bytes() == before
    with pytest.raises(ValueError, match="--epochs"):
        go_on(begun, CONFIG | {"epochs": 4})


@pytest.mark.parametrize("name", ["provenance", "inputs"])
@pytest.mark.parametrize(
    "damage",
    [[], 1, "x", [1], {"x": 1}, [{"versions": 1}], [{"hardware": {"processor": 1}}]],
)
def test_a_damaged_record_is_named(begun, name, damage):
    config = files.read_json(begun.config)
    files.write_json(begun.config, {**config, name: damage})
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        go_on(begun)


# What a run takes from outside.


def test_other_input_is_an_error_with_both_digests(begun, machine):
    go_on(begun, inputs={"the teacher's weights": "a" * 64, "--imports=x.py": "c" * 64})
    before = begun.config.read_bytes()
    message = r"began with other input: the teacher's weights had SHA-256 a{12} and now"
    machine.update(OTHER)  # Nor is that recorded where nothing is trained under it.
    with pytest.raises(ValueError, match=rf"{message} has b{{12}}\. .*Nothing was"):
        go_on(begun, inputs={"the teacher's weights": "b" * 64}, allow_other_code=True)
    with pytest.raises(ValueError, match="--imports=x.py had"):
        go_on(begun, inputs={"--imports=x.py": "d" * 64}, allow_other_code=True)
    assert begun.config.read_bytes() == before


def test_what_was_not_recorded_is_a_note(begun):
    config, lines = files.read_json(begun.config), []
    go_on(begun, inputs={"the teacher's weights": "a"}, log=lines.append)
    [note] = lines
    assert note.startswith("note: ") and "did not record the teacher's weights" in note
    go_on(begun, inputs={"the teacher's weights": "a"}, log=lines.append)
    assert len(lines) == 1
    inputs = {"the teacher's weights": "a"}
    assert files.read_json(begun.config) == {**config, "inputs": inputs}


def test_a_new_run_records_without_a_word(folder):
    lines = []
    go_on(folder, inputs={"a": "1"}, log=lines.append)
    assert not lines
    assert folder.records() == {"provenance": history(folder), "inputs": {"a": "1"}}


# Others.


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
