"""What a cache gives is compared with the teacher at every start, and accounted for."""

import shutil

import numpy as np
import pytest

from common import files
from teacher_cache import array_facts
from teacher_cache.array_file import ArrayWriter
from tests.teacher_cache import cached_runs
from tests.training import tiny
from tests.training.test_trainer import At, Killed, kill
from training.run import cache_difference
from training.run.run_folder import RunFolder

TEACHER = cached_runs.teacher()
ZERO, SOME = {"logits": 0.0}, {"logits": 0.5, "embedding": 0.0}


def rewrite(pattern, change):
    """Other numbers in arrays that are as they were written."""
    paths = sorted(pattern.parent.glob(pattern.name))
    assert paths
    for path in paths:
        rows = np.load(path)
        with ArrayWriter(path, rows.shape, "float32") as writer:
            writer.append(change(rows))


def cache(folder, data=None, **options):
    data = data or cached_runs.data(period=3)
    return cached_runs.cache(data, folder, of_teacher=TEACHER, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One that is copied, and its gap."""
    folder = tmp_path_factory.mktemp("made")
    return folder, cache(folder).gap


@pytest.fixture
def kept(made, tmp_path):
    """A folder of caches in which all is to be found."""
    return shutil.copytree(made[0], tmp_path / "kept")


def test_who_finds_all_arrays_compares_them_too(kept, made):
    lines = []
    found = cache(kept, log=lines.append)
    assert found.gap == made[1] == {"logits": 0.0, "embedding": 0.0}
    [line] = lines
    assert "all that is needed is in" in line
    rewrite(found.folder.path / "v00000-logits.npy", lambda rows: rows + 0.5)
    found = cache(kept, log=lines.append)
    assert found.gap == {"logits": pytest.approx(0.5, abs=1e-5)}
    assert "because outputs differ: logits by up to 0.5" in lines[-1]


def test_the_version_that_the_run_ends_with_is_compared(kept):
    [key] = kept.iterdir()
    rewrite(key / "v00002-*.npy", lambda rows: rows * 1.01)
    assert cache(kept).gap["embedding"] > 0


def test_numbers_that_are_none_are_refused(kept):
    [key] = kept.iterdir()
    rewrite(key / "v00000-*.npy", lambda rows: rows * np.nan)
    with pytest.raises(ValueError, match=f"{key} .*logits.* inf or nan"):
        cache(kept)


def test_a_teacher_that_says_nan_itself_has_no_gap():
    live = np.array([np.nan, 1, np.inf], np.float32)
    assert cache_difference._largest(live, live.copy()) == 0
    assert cache_difference._largest(live, np.float32([np.nan, 1.5, np.inf])) == 0.5
    for kept in ([0, 1, np.inf], [np.nan, np.nan, np.inf], [np.nan, 1, -np.inf]):
        assert cache_difference._largest(live, np.float32(kept)) == np.inf


def test_a_start_reads_little_of_the_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(array_facts, "BLOCK_BYTES", 1)  # a row each
    many = np.tile(np.arange(cached_runs.SIZE), 20)
    data = cached_runs.data(4, indices=many, period=3)
    cache(tmp_path, data)
    found = cache(tmp_path, data)
    verified = {
        version: array.is_verified
        for (version, name), array in found.folder._open.items()
        if name == "embedding"
    }
    assert [len(rows) for rows in verified.values()] == [840] * 3
    # A batch of the first and last version, and what is read ahead of it.
    assert all(4 <= sum(verified[version]) <= 80 for version in (0, 2))
    assert not any(verified[1])


# In the settings of a run.


@pytest.fixture
def folder(tmp_path):
    found = RunFolder(tmp_path)
    files.write_json(found.config, {"format": 1, "seed": 3})
    return found


def claim(folder, gap, precision="float32", has_begun=True):
    cache_difference.claim(folder, gap, precision, has_begun)
    config = folder.read_config()
    assert config.pop("seed") == 3 and config.pop("format") == 1
    return config


@pytest.mark.parametrize(("first", "then"), [({}, ZERO), (ZERO, {}), (ZERO, ZERO)])
def test_without_a_gap_the_cache_may_come_and_go(first, then, folder):
    noted = {"teacher_cache_gap": first} if first else {}
    assert claim(folder, first, has_begun=False) == noted
    assert claim(folder, then) == {"teacher_cache_gap": ZERO}


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ({}, SOME, "as it began: 0. Received: logits by up to 0.5."),
        (ZERO, SOME, "as it began: 0. Received: logits by up to 0.5."),
        (SOME, ZERO, "as it began: logits by up to 0.5. Received: 0."),
        (SOME, {}, "as it began: logits by up to 0.5. Received: 0."),
    ],
)
def test_a_gap_may_neither_come_nor_go(first, then, words, folder):
    claim(folder, first, has_begun=False)
    before = folder.config.read_bytes()
    with pytest.raises(ValueError, match="cannot go on") as raised:
        claim(folder, then)
    assert words in str(raised.value) and str(folder.path) in str(raised.value)
    assert folder.config.read_bytes() == before
    claim(folder, then, has_begun=False)  # who has trained nothing may


def test_the_largest_gap_of_all_sessions_is_noted(folder):
    claim(folder, SOME, has_begun=False)
    claim(folder, {"logits": 0.25, "stage1": 0.125})
    noted = {"logits": 0.5, "embedding": 0.0, "stage1": 0.125}
    assert claim(folder, SOME) == {"teacher_cache_gap": noted}


def test_half_precision_is_a_setting_of_its_own(folder):
    claim(folder, ZERO, "float16", has_begun=False)
    assert claim(folder, SOME, "float16") == {"teacher_cache_gap": SOME}


def test_opening_a_folder_does_not_mind_the_gap(folder):
    config = {"seed": 3}
    folder.config.unlink()
    with folder.open(config):
        cache_difference.claim(folder, SOME, "float32", has_begun=False)
    with folder.open(config):
        assert folder.read_config()["teacher_cache_gap"] == SOME
    with pytest.raises(ValueError, match="--seed was 3 and is now 4"):
        with folder.open({"seed": 4}):
            pass


# In whole trainings.


def run(folder, data, is_cached=True):
    settings = cached_runs.settings(folder / "cache", teacher_cache=is_cached)
    return cached_runs.Run(settings, data, folder / "run")


def killed(a_run, step):
    with pytest.raises(Killed):
        a_run([At(step, kill)])


@pytest.mark.parametrize(
    "began_with_gap", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_resumed_run_with_another_gap_is_refused(began_with_gap, tmp_path):
    data = cached_runs.data()
    kept = cache(tmp_path / "cache", data, epochs=2).folder
    rewrite(kept.path / "v*-logits.npy", lambda rows: rows + 0.5)
    first, then = (run(tmp_path, data, is_cached=x) for x in (True, False))
    if not began_with_gap:
        first, then = then, first
    killed(first, data.steps_per_epoch)
    assert cache_difference.is_gap(first.gap) == began_with_gap
    with pytest.raises(ValueError, match="the gap .* as it began.*logits by up to 0.5"):
        then()


def damaged(path, data, epoch, place):
    """The row of a batch of the epoch, after a bit of it was flipped in the array."""
    row = int(list(data.batches(epoch, 1, 0))[place]["index"][-1])
    content = bytearray(path.read_bytes())
    content[128 + row * 64 * 4] ^= 64
    path.write_bytes(content)
    return row


def test_damage_that_is_found_at_the_start_is_mended(kept):
    data, lines = cached_runs.data(period=3), []
    [path] = kept.glob("*/v00000-embedding.npy")
    before = path.read_bytes()
    damaged(path, data, 0, 0)
    assert cache(kept, log=lines.append).gap["embedding"] == 0
    assert any(f"{path} is damaged" in x and "computed again" in x for x in lines)
    assert path.read_bytes() == before


MANY = np.tile(np.arange(cached_runs.SIZE), 3)  # so that reading ahead ends before


@pytest.mark.parametrize(
    "to_the_end", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_damage_that_is_found_in_the_middle_costs_no_bit(
    to_the_end, tmp_path, monkeypatch
):
    monkeypatch.setattr(array_facts, "BLOCK_BYTES", 1)
    data = cached_runs.data(indices=MANY)
    path = cache(tmp_path / "cache", data, epochs=2).folder.array(1, "embedding")
    row = damaged(path, data, 1, -1)
    cached = run(tmp_path, data)
    with pytest.raises(ValueError) as raised:
        cached()
    told = str(raised.value)
    assert f"{path} is damaged (the SHA-256 of rows {row} to {row} is" in told
    assert "same command computes the array again and goes on" in told
    assert not path.exists()
    _, position = cached.run_folder.checkpoints.newest(print)
    assert position["step"] >= data.steps_per_epoch
    if to_the_end:
        tiny.assert_equal(cached(), run(tmp_path / "live", data, is_cached=False)())
        assert path.exists() and not cache_difference.is_gap(cached.gap)


def test_a_disk_that_keeps_nothing_ends_the_start(tmp_path, monkeypatch):
    def broken(self, block):
        raise array_facts.Damaged("as always")

    monkeypatch.setattr("teacher_cache.stored_array.KeptArray._verify", broken)
    with pytest.raises(ValueError, match="is damaged .as always"):
        cache(tmp_path)
