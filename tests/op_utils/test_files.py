import json
import os

import pytest

from op_utils import files


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


def test_the_new_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(files, "sync", lambda path: events.append(path.name))
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda *paths: (events.append("replace"), replace(*paths))
    )
    files.write_atomically(tmp_path / "a.txt", write("new"))
    assert events == [f".a.{os.getpid()}.txt", "replace", tmp_path.name]


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


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b"nothing"])
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
