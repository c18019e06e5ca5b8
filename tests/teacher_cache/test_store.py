import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from teacher_cache import array_facts, array_file
from teacher_cache.store import CacheFolder, SetAside
from tests.teacher_cache.test_stored_array import as_before

ROOT = pathlib.Path(__file__).parents[2]
SIZE, SHAPES = 10, {"logits": (3,), "stage1": (2, 2, 4)}
BOTH, EVERY = frozenset(SHAPES), np.arange(SIZE)
WANTED = {0: BOTH, 3: frozenset({"logits"})}


def rows(version, name):
    seed = [version, len(name)]
    return np.random.default_rng(seed).normal(size=(SIZE, *SHAPES[name])).astype("f")


class Source:
    """Gives rows in batches of 4, the last one filled up; counts what it gave."""

    def __init__(self):
        self.asked = []

    def __call__(self, version, names):
        self.asked.append((version, sorted(names)))
        for start in range(0, SIZE, 4):
            index = np.minimum(np.arange(start, start + 4), SIZE - 1)
            yield {name: rows(version, name)[index] for name in names}


def folder(path, precision="float32", log=None):
    return CacheFolder(
        path / "key", SHAPES, SIZE, precision, log or (lambda text: None)
    )


def filled(path, wanted=WANTED, source=None, log=None):
    found = folder(path, log=log)
    missing = found.missing(wanted)
    if missing:
        found.fill(missing, {"made": "of this"}, source or Source())
    return found


def test_rows_come_back(tmp_path):
    found = filled(tmp_path)
    index = np.array([7, 0, 9, 9])
    for version, names in WANTED.items():
        for name in names:
            expected = rows(version, name)[index]
            np.testing.assert_array_equal(found.rows(version, name, index), expected)
    assert json.loads((tmp_path / "key/key.json").read_text()) == {"made": "of this"}


def test_only_what_is_missing_is_computed(tmp_path):
    filled(tmp_path)
    source = Source()
    filled(tmp_path, source=source)
    assert source.asked == []
    filled(tmp_path, {3: BOTH, 4: BOTH}, source)
    assert source.asked == [(3, ["stage1"]), (4, ["logits", "stage1"])]


def test_an_array_that_is_cut_off_is_named_and_computed_again(tmp_path):
    path = filled(tmp_path).array(0, "stage1")
    path.write_bytes(path.read_bytes()[:-1])
    source, lines = Source(), []
    found = filled(tmp_path, source=source, log=lines.append)
    assert source.asked == [(0, ["stage1"])]
    assert [str(path) in line and "damaged" in line for line in lines][0]
    assert_has(found)


def assert_has(found, version=0, name="stage1", index=EVERY):
    np.testing.assert_array_equal(
        found.rows(version, name, index), rows(version, name)[index]
    )


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the last row
    path.write_bytes(data)


@pytest.fixture
def rows_are_blocks(monkeypatch):
    monkeypatch.setattr(array_facts, "BLOCK_BYTES", 1)


def test_a_damaged_row_is_set_aside_when_it_is_read(tmp_path, rows_are_blocks):
    flip(filled(tmp_path).array(0, "stage1"))
    source, lines = Source(), []
    found = filled(tmp_path, source=source, log=lines.append)
    path = found.array(0, "stage1")
    assert_has(found, index=np.arange(SIZE - 1))
    assert (source.asked, lines, found.set_aside) == ([], [], None)
    with pytest.raises(SetAside, match=f"{path} is damaged .*rows 9 to 9") as raised:
        found.rows(0, "stage1", EVERY)
    assert found.set_aside is raised.value
    assert not path.exists() and not path.with_suffix(".json").exists()
    assert_has(filled(tmp_path, source=source))
    assert source.asked == [(0, ["stage1"])]


def test_what_another_process_computed_again_is_read(tmp_path, rows_are_blocks):
    flip(filled(tmp_path).array(0, "stage1"))
    found, other = filled(tmp_path), filled(tmp_path)
    with pytest.raises(SetAside):
        other.rows(0, "stage1", EVERY)
    filled(tmp_path)
    assert_has(found)
    assert found.set_aside is None
    with pytest.raises(SetAside):  # says nothing of what it has not seen
        flip(found.array(0, "stage1"))
        filled(tmp_path).rows(0, "stage1", EVERY)


def test_what_another_process_is_computing_again_is_left_to_it(
    tmp_path, rows_are_blocks, monkeypatch
):
    flip(filled(tmp_path).array(0, "stage1"))
    found, other = filled(tmp_path), filled(tmp_path)
    with pytest.raises(SetAside):
        other.rows(0, "stage1", EVERY)
    monkeypatch.setattr(array_file, "remove", None)
    with pytest.raises(SetAside, match="rows 9 to 9"):
        found.rows(0, "stage1", EVERY)


def test_what_cannot_be_removed_is_told(tmp_path, rows_are_blocks, monkeypatch):
    flip(filled(tmp_path).array(0, "stage1"))
    found = filled(tmp_path)

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(array_file, "remove", refuse)
    with pytest.raises(SetAside, match="cannot be removed .Permission denied"):
        found.rows(0, "stage1", EVERY)


def test_arrays_of_the_earlier_format_are_taken_and_told_of(tmp_path):
    found = filled(tmp_path)
    for version, names in WANTED.items():
        for name in names:
            as_before(found.array(version, name))
    source, lines = Source(), []
    assert_has(filled(tmp_path, source=source, log=lines.append))
    assert source.asked == []
    [line] = lines
    assert "earlier version" in line and "verified as a whole, once" in line
    filled(tmp_path, log=lines.append)
    assert len(lines) == 1


def test_the_size_is_told_before_anything_is_written(tmp_path):
    lines = []
    filled(tmp_path, log=lines.append)
    bytes_ = 4 * SIZE * (3 + 16 + 3)
    assert lines == [
        "teacher cache: 10 images x 2 versions of logits, stage1: "
        f"{bytes_:.1f} bytes in {tmp_path / 'key'}"
    ]


def test_what_does_not_fit_is_not_begun(tmp_path, monkeypatch):
    full = types.SimpleNamespace(free=4 * SIZE * 22 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ValueError, match=r"Expected 880\.0 bytes free.*879\.0 bytes"):
        filled(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_middle_leaves_nothing_half(tmp_path):
    def fails(version, names):
        yield next(iter(Source()(version, names)))
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        filled(tmp_path, source=fails)
    assert {p.suffix for p in (tmp_path / "key").iterdir()} == {".json", ".lock"}
    filled(tmp_path)


# Processes. Each computes versions 0, 1, ..., slowly, and tells of each; if it is told
# so, it hangs in the middle of one.

BUILD = """
import pathlib, sys, time
from tests.teacher_cache import test_store as lib

class Slow(lib.Source):
    def __call__(self, version, names):
        with open(sys.argv[2], "a") as told:
            print(version, file=told)
        for batch in super().__call__(version, names):
            yield batch
            time.sleep(60 if str(version) == sys.argv[3] else 0.05)

lib.filled(pathlib.Path(sys.argv[1]), {i: lib.BOTH for i in range(6)}, Slow())
"""


def start(path, told, hangs_in=""):
    command = [sys.executable, "-c", BUILD, str(path), str(told), hangs_in]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def test_two_processes_share_the_work(tmp_path):
    told = [tmp_path / "a", tmp_path / "b"]
    processes = [start(tmp_path, path) for path in told]
    assert [process.wait(60) for process in processes] == [0, 0]
    versions = [path.read_text().split() for path in told if path.exists()]
    assert sorted(sum(versions, [])) == list("012345")  # none of them twice
    source = Source()
    filled(tmp_path, {i: BOTH for i in range(6)}, source)
    assert source.asked == []


def test_killed_at_any_moment_it_goes_on(tmp_path):
    told = tmp_path / "told"
    for version in ("0", "3"):
        process = start(tmp_path, told, version)
        while not told.exists() or told.read_text().split()[-1:] != [version]:
            time.sleep(0.01)
        time.sleep(0.1)  # it hangs after the first batch
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list((tmp_path / "key").glob(".v*-*.npy"))) == 2
    assert start(tmp_path, told).wait(60) == 0
    assert not list((tmp_path / "key").glob(".v*-*.npy"))
    found = folder(tmp_path)
    assert not found.missing({i: BOTH for i in range(6)})
    for version in range(6):
        np.testing.assert_array_equal(
            found.rows(version, "logits", np.arange(SIZE)), rows(version, "logits")
        )


def test_sixteen_bits_are_read_as_float32(tmp_path):
    found = folder(tmp_path, "bfloat16")
    found.fill(found.missing(WANTED), {}, Source())
    kept = found.rows(0, "logits", np.arange(SIZE))
    assert kept.dtype == np.float32
    gap = np.abs(kept - rows(0, "logits")).max()
    assert 0 < gap == found.errors({0: frozenset({"logits"})})["logits"][0]
