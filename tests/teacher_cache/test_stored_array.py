import hashlib
import json
import threading

import ml_dtypes
import numpy as np
import pytest

from common import files
from teacher_cache import array_facts, stored_array
from teacher_cache.array_facts import Damaged
from tests.teacher_cache.test_array_file import ROWS, write

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
HEADER = 128
ALL = np.arange(len(ROWS))


@pytest.fixture(autouse=True)
def blocks_of_three_rows(monkeypatch):
    monkeypatch.setattr(array_facts, "BLOCK_BYTES", 3 * ROWS[0].nbytes + 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "v00001-logits.npy"


def opened(path, shape=ROWS.shape, precision="float32", **options):
    return stored_array.opened(path, shape, precision, **options)


@pytest.mark.parametrize("parts", [(4, 4, 2), (10,), (1,) * 10])
def test_what_is_written_is_read_as_a_memory_map(path, parts):
    write(path, parts=parts)
    found = opened(path)
    np.testing.assert_array_equal(found.rows(ALL), ROWS)
    np.testing.assert_array_equal(
        found.rows(np.array([7, 0, 9, 9])), ROWS[[7, 0, 9, 9]]
    )
    assert isinstance(found._rows, np.memmap)


def test_only_what_is_read_is_verified_and_that_once(path, monkeypatch):
    write(path)
    found, hashed = opened(path), []
    sha256 = hashlib.sha256
    monkeypatch.setattr(
        hashlib, "sha256", lambda data: hashed.append(len(data)) or sha256(data)
    )
    assert found.is_verified.tolist() == [False] * 4
    for _ in range(2):
        found.rows(np.array([4, 9, 3]))
        assert found.is_verified.tolist() == [False, True, False, True]
    assert hashed == [3, 1]  # rows


@pytest.mark.parametrize("precision", TYPES)
def test_the_stated_errors_are_true(path, precision):
    write(path, precision=precision)
    kept = opened(path, precision=precision).rows(ALL)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, ROWS.astype(TYPES[precision]))
    gap = np.abs(kept.astype(np.float64) - ROWS)
    assert gap.max() > 0
    stated = array_facts.errors(path)
    np.testing.assert_allclose(stated, (gap.max(), (gap / np.abs(ROWS)).max()))
    assert path.stat().st_size < ROWS.nbytes / 2 + 200


def test_there_is_none_until_both_files_are_there(path):
    assert opened(path) is None
    write(path)
    path.with_suffix(".json").rename(path.parent / "elsewhere")
    assert opened(path) is None


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_found_when_its_block_is_read(path):
    write(path)
    flip(path, HEADER + 5 * ROWS[0].nbytes)  # of row 5, in block 1
    found = opened(path)
    others = np.delete(ALL, [3, 4, 5])
    np.testing.assert_array_equal(found.rows(others), ROWS[others])
    for row in (3, 4, 5):  # again and again
        with pytest.raises(Damaged, match="SHA-256 of rows 3 to 5"):
            found.rows(np.array([0, row]))


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_every_byte_of_both_files_is_guarded(step, path):
    write(path)
    facts = path.with_suffix(".json")
    before = {p: p.read_bytes() for p in (path, facts)}
    for file in (path, facts):
        for place in range(0, len(before[file]), step):
            flip(file, place)
            if file == facts and _is_as_before(file, before[file]):
                file.write_bytes(before[file])  # a space that became another
                continue
            with pytest.raises(Damaged):
                found = opened(path)
                found.rows(ALL)
            file.write_bytes(before[file])
    np.testing.assert_array_equal(opened(path).rows(ALL), ROWS)


def _is_as_before(file, before):
    try:
        return json.loads(file.read_bytes()) == json.loads(before)
    except ValueError:
        return False


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"0")


def forget_the_digests(path):
    facts = path.with_suffix(".json")
    facts.write_text(json.dumps({**files.read_json(facts), "blocks_sha256": []}))


def break_the_facts(path):
    path.with_suffix(".json").write_text("[]")


def cut_off_the_facts(path):
    path.with_suffix(".json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: flip(path, 20), "header's SHA-256"),
        (cut_off, "expected 368 bytes, received 367"),
        (lengthen, "expected 368 bytes, received 369"),
        (forget_the_digests, "facts' SHA-256"),
        (break_the_facts, "list"),
        (cut_off_the_facts, "expected JSON"),
    ],
)
def test_damage_is_found_at_once_where_that_is_cheap(path, damage, words):
    write(path)
    damage(path)
    with pytest.raises(Damaged, match=words):
        opened(path)
    write(path)  # over what is damaged
    np.testing.assert_array_equal(opened(path).rows(ALL), ROWS)


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_one_that_another_process_removes_meanwhile_is_none(path, suffix, monkeypatch):
    write(path)

    def read(name):
        path.with_suffix(suffix).unlink()
        return read_json(name)

    read_json = files.read_json
    monkeypatch.setattr(files, "read_json", read)
    assert opened(path) is None


@pytest.mark.parametrize(
    ("shape", "precision"), [((10, 2, 4), "float32"), (ROWS.shape, "float16")]
)
def test_an_array_of_another_kind_is_not_taken(path, shape, precision):
    write(path)
    with pytest.raises(Damaged, match="expected .* received"):
        opened(path, shape, precision)


def test_threads_read_at_once(path):
    rows = np.random.default_rng(1).normal(size=(600, 2, 3)).astype(np.float32)
    write(path, rows, parts=(600,))
    found, wrong = opened(path, rows.shape), []
    start = threading.Barrier(8)

    def read(seed):
        start.wait()
        for index in np.random.default_rng(seed).integers(0, 600, (50, 16)):
            if not np.array_equal(found.rows(index), rows[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Arrays of the earlier format.


def as_before(path):
    """Facts as the version before wrote them."""
    facts = files.read_json(path.with_suffix(".json"))
    kept = ("shape", "precision", "bytes")
    kept += ("largest_absolute_error", "largest_relative_error")
    old = {"format": 1, **{key: facts[key] for key in kept}}
    old["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    files.write_json(path.with_suffix(".json"), old)


@pytest.mark.parametrize("precision", ["float32", *TYPES])
def test_one_of_the_earlier_format_is_verified_once(path, precision, monkeypatch):
    monkeypatch.setattr(stored_array, "_AT_ONCE", 100)
    write(path, precision=precision)
    expected, told = path.with_suffix(".json").read_text(), []
    as_before(path)
    for _ in range(2):
        found = opened(
            path, precision=precision, before_whole=lambda: told.append("all")
        )
        kept = found.rows(ALL)
        np.testing.assert_array_equal(kept, ROWS.astype(TYPES.get(precision, "f")))
    assert told == ["all"]
    assert files.read_json(path.with_suffix(".json")) == json.loads(expected)


def test_damage_in_the_earlier_format_is_found(path):
    write(path)
    as_before(path)
    for place in (3, HEADER + 1, -1):
        flip(path, place)
        with pytest.raises(Damaged, match="its SHA-256 is not"):
            opened(path)
        flip(path, place)
    assert opened(path) is not None


def test_where_nothing_may_be_written_all_is_verified_again(path, monkeypatch):
    write(path)
    as_before(path)

    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(files, "write_json", refuse)
    told = []
    for _ in range(2):
        found = opened(path, before_whole=lambda: told.append("all"))
        np.testing.assert_array_equal(found.rows(ALL), ROWS)
    assert len(told) == 2
