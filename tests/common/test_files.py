import ast
import json
import os
import pathlib
import subprocess
import sys

import pytest

from common import files


def write(text):
    return lambda path: path.write_text(text)


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.txt"
    files.write_atomically(path, write("old"))
    files.write_atomically(path, write("new"))
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_temporary_file_is_beside_it_and_keeps_the_suffix(tmp_path):
    seen = []
    files.write_atomically(
        tmp_path / "net.keras", lambda path: (seen.append(path), path.write_text(""))
    )
    (temporary,) = seen
    assert temporary.parent == tmp_path
    assert temporary.suffix == ".keras"
    assert temporary.name.startswith(".")


@pytest.mark.parametrize("text", ["", "half"])
def test_a_failed_write_leaves_the_old_file(tmp_path, text):
    def fail(path):
        if text:
            path.write_text(text)
        raise KeyboardInterrupt

    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def check(temporary):
        temporary.write_text("new")
        assert path.read_text() == "old"

    files.write_atomically(path, check)
    assert path.read_text() == "new"


def test_the_new_file_is_on_the_disk_before_it_gets_its_name(tmp_path, disk):
    files.write_atomically(tmp_path / "a.txt", write("new"))
    temporary = f".a.{os.getpid()}.txt"
    assert disk == [("sync", temporary), ("replace", "a.txt"), ("sync", tmp_path.name)]


def test_new_folders_are_on_the_disk(tmp_path, disk):
    files.make_folder(tmp_path / "runs" / "teachers" / "one")
    assert (tmp_path / "runs/teachers/one").is_dir()
    names = {tmp_path.name, "runs", "teachers"}
    assert {name for _, name in disk} == names
    disk.clear()
    files.make_folder(tmp_path / "runs")
    assert disk == []


# What killed processes leave


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def touch(folder, *names):
    for name in names:
        (folder / name).touch()
    return set(names)


def test_what_a_killed_writer_left_is_removed(tmp_path, dead):
    touch(tmp_path, f".net.{dead}.keras", ".net.99999999999999999999.keras")
    other = touch(
        tmp_path,
        f".net.{os.getppid()}.keras",  # another process at work
        ".net.1.keras",  # another user's
        f".other.{dead}.keras",
        f".net.{dead}.json",
        f"net.{dead}.keras",
        ".net.keras",
        f".best.net.{dead}.keras",
    )
    files.write_atomically(tmp_path / "net.keras", write("new"))
    assert set(os.listdir(tmp_path)) == {"net.keras", *other}


def test_who_is_alone_removes_what_any_writer_left(tmp_path, dead):
    touch(tmp_path, f".a[1].{dead}.txt", f".a[1].{os.getppid()}.txt")
    others = touch(tmp_path, f".a1.{dead}.txt", ".lock", "a[1].txt")
    files.remove_leftovers(tmp_path / "a[1].txt", is_alone=True)
    assert set(os.listdir(tmp_path)) == others


def test_what_cannot_be_removed_stops_no_writer(tmp_path, dead, monkeypatch):
    def forbidden(path, missing_ok=False):
        if str(dead) in path.name:
            raise PermissionError

    touch(tmp_path, f".a.{dead}.txt")
    monkeypatch.setattr(pathlib.Path, "unlink", forbidden)
    files.write_atomically(tmp_path / "a.txt", write("new"))
    assert (tmp_path / "a.txt").read_text() == "new"


# All of the project's files

# Where names are given to files or folders elsewhere, and why.
OWN_RENAMES = {
    "common/files.py": "the writer",
    "training/checkpoint.py": "a whole folder, whose files are synced before",
    "teacher_cache/array_file.py": "a stream of gigabytes, synced before",
}
# Where files are written without it, and why.
OWN_WRITES = {
    "speed/input_pipeline.py": "images for one measurement",
    "comparison/report/plots/drawing.py": "into memory",
}
RENAMES = "os.replace", "os.rename", ".rename"
WRITES = ".write_text", ".write_bytes", ".savetxt", ".savez", ".savefig"
ROOT = pathlib.Path(__file__).parents[2]
ROOMS = [path.parent for path in sorted(ROOT.glob("*/__init__.py"))]
SOURCES = sorted([*ROOT.glob("*.py"), *(p for r in ROOMS for p in r.rglob("*.py"))])


def calls_outside_lambdas(tree):
    """What is called, but for what is in a lambda, which a writer may be given."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        yield from calls_outside_lambdas(node)


@pytest.mark.parametrize(
    ("endings", "exceptions"), [(RENAMES, OWN_RENAMES), (WRITES, OWN_WRITES)]
)
def test_there_is_one_writer(endings, exceptions):
    assert len(SOURCES) > 150
    found = {}
    for path in SOURCES:
        calls = calls_outside_lambdas(ast.parse(path.read_text()))
        if own := [call for call in calls if call.endswith(endings)]:
            found[path.relative_to(ROOT).as_posix()] = own
    assert found.keys() == exceptions.keys(), found


# JSON


def test_json_is_read_back(tmp_path):
    value = {"a": [1, 0.1, None, True, "ä"]}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text()) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number(tmp_path, value):
    path = tmp_path / "a.json"
    files.write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": value})
    assert files.read_json(path) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b'{"a": 1', b"\xff\xfe\x00", b"nothing", b"[" * 100_000, b"1" * 5000],
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is damaged.*Received"):
        files.read_json(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        files.write_json(tmp_path / "no" / "a.json", 1)
