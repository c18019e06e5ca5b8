import json
import shutil
import subprocess
import time

import pytest

from training.run import provenance

SOURCES = ("room", "script.py")


@pytest.fixture
def tree(tmp_path):
    """A small project."""
    (tmp_path / "room/inner").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    for name in ("room/a.py", "room/inner/b.py", "script.py", "docs/c.py", "test.py"):
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


def digest(tree):
    return provenance.sources_digest(tree, SOURCES)


def test_the_sources_of_this_project_are_there():
    for name in provenance.SOURCES:
        assert (provenance.ROOT / name).exists(), name
    assert {"nets", "dataloader", "distiller", "op_utils"} <= {*provenance.SOURCES}
    assert not {"docs", "tests", "comparison", "results"} & {*provenance.SOURCES}


@pytest.mark.parametrize("name", ["room/a.py", "room/inner/b.py", "script.py"])
def test_a_byte_of_a_source_changes_the_digest(tree, name):
    before = digest(tree)
    path = tree / name
    path.write_text(path.read_text().replace("#", "$"))
    assert digest(tree) != before


def test_a_new_source_and_another_name_change_it(tree):
    found = [digest(tree)]
    (tree / "room/new.py").touch()
    found.append(digest(tree))
    (tree / "room/new.py").rename(tree / "room/newer.py")
    found.append(digest(tree))
    assert len(set(found)) == 3


def test_a_line_that_moves_to_the_next_file_changes_it(tree):
    before = digest(tree)
    moved = (tree / "room/a.py").read_text()
    (tree / "room/a.py").write_text("")
    (tree / "room/inner/b.py").write_text(moved + "# room/inner/b.py\n")
    assert digest(tree) != before


@pytest.mark.parametrize(
    "name",
    [
        "docs/c.py",
        "test.py",
        "room/README.md",
        "room/__pycache__/a.cpython-311.pyc",
        "room/.#a.py",
        "room/.ipynb_checkpoints/a.py",
        ".git/HEAD",
    ],
)
def test_other_files_do_not(tree, name):
    before = digest(tree)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("other")
    assert digest(tree) == before


def test_it_is_the_same_in_a_copy(tree, tmp_path):
    copy = shutil.copytree(tree, tmp_path / "elsewhere" / "copy")
    assert digest(copy) == digest(tree)


def git(tree, *arguments):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", "-C", str(tree), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_commit_is_gits_with_a_mark_where_sources_differ(tree):
    def commit():
        return provenance.commit(tree, SOURCES)

    assert commit() == ""  # no repository
    git(tree, "init", "-q")
    assert commit() == ""  # no commit
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "first")
    head = git(tree, "rev-parse", "HEAD").strip()
    assert commit() == head
    (tree / "docs/c.py").write_text("other")
    assert commit() == head
    (tree / "room/new.py").touch()
    assert commit() == head + "+"
    assert provenance.commit(tree / "room", ["."]) == ""  # a part is no repository


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("git"),
        subprocess.TimeoutExpired("git", 1),
        subprocess.CalledProcessError(128, "git"),
    ],
)
def test_without_git_the_commit_is_unknown(monkeypatch, error):
    def fail(*_, **options):
        assert options["timeout"] <= 1
        raise error

    monkeypatch.setattr("subprocess.run", fail)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: True)
    assert provenance.commit() == ""


def test_versions_are_those_installed(monkeypatch):
    import keras
    import ml_dtypes
    import numpy as np
    import scipy
    import tensorflow as tf

    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    found = provenance.versions()
    assert found.pop("python").startswith("3.")
    assert found == {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "ml_dtypes": ml_dtypes.__version__,
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }


def test_a_library_under_another_name_tells_its_version(monkeypatch):
    import tensorflow as tf

    def unknown(name):
        raise provenance.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(provenance.metadata, "version", unknown)
    assert provenance.versions()["tensorflow"] == tf.__version__


def test_hardware(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    found = provenance.hardware()
    assert str(found["threads"]) == "7"
    assert found["switches"]["ONEDNN_MAX_CPU_ISA"] == "SSE41"
    assert len(found["devices"]) > 0 and found["processor"]["features"]


def test_a_processor_that_hides_features_is_another(monkeypatch):
    text = "model name : one\nflags : avx2 fma\n"
    found = []
    for cpuinfo in (text, text.replace(" fma", "")):
        monkeypatch.setattr("pathlib.Path.read_text", lambda path, t=cpuinfo: t)
        found.append(provenance.processor())
    assert found[0] != found[1] and found[0]["model"] == found[1]["model"] == "one"


def test_facts_are_json_and_found_at_once():
    times = []
    for _ in range(3):  # The others are for a machine that does something else.
        began = time.perf_counter()
        found = provenance.facts()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.1
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert list(found) == ["sources_sha256", "commit", "versions", "hardware"]


def test_a_number_of_threads_is_the_same_from_the_environment():
    before, now = ({"hardware": {"threads": n}} for n in (2, "2"))
    assert provenance.other_hardware(before, now) == []


def test_the_words_for_other_sources_tell_commits():
    before = {"sources_sha256": "a" * 64, "commit": "c" * 40 + "+"}
    now = {"sources_sha256": "b" * 64, "commit": ""}
    [text] = provenance.other_code(before, now)
    assert text == (
        "the sources' SHA-256 was aaaaaaaaaaaa (commit ccccccc+) and is now "
        "bbbbbbbbbbbb"
    )


def test_what_one_does_not_tell_is_no_difference():
    whole = provenance.facts()
    for part in ({}, {"versions": {}}, {"commit": ""}):
        for pair in ((part, whole), (whole, part)):
            assert not provenance.other_code(*pair)
            assert not provenance.other_hardware(*pair)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"provenance": [{"commit": "a"}]}, [{"commit": "a"}]),
        ({"versions": {"keras": "3"}}, [{"versions": {"keras": "3"}}]),
        ({}, [{"versions": {}}]),
    ],
)
def test_history_of_this_and_earlier_versions(record, found):
    assert provenance.history(record) == found
