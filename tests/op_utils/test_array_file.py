import errno
import json

import ml_dtypes
import numpy as np
import pytest

from op_utils import array_file, files

ROWS = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float32)
TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def write(path, rows=ROWS, precision="float32", parts=(4, 4, 2)):
    with array_file.ArrayWriter(path, rows.shape, precision) as writer:
        for part in np.split(rows, np.cumsum(parts)[:-1]):
            writer.append(part)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "v00001-logits.npy"


def test_what_is_written_is_read_as_a_memory_map(path):
    write(path)
    found = array_file.verified(path, ROWS.shape, "float32")
    np.testing.assert_array_equal(found, ROWS)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(np.load(path), ROWS)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "v00001-logits.json",
        "v00001-logits.npy",
    ]


@pytest.mark.parametrize("precision", TYPES)
def test_the_stated_errors_are_true(path, precision):
    write(path, precision=precision)
    kept = array_file.verified(path, ROWS.shape, precision).astype(np.float64)
    np.testing.assert_array_equal(kept, ROWS.astype(TYPES[precision]))
    gap = np.abs(kept - ROWS)
    assert gap.max() > 0
    stated = array_file.errors(path)
    np.testing.assert_allclose(stated, (gap.max(), (gap / np.abs(ROWS)).max()))
    assert path.stat().st_size < ROWS.nbytes / 2 + 200


def test_float32_has_no_error(path):
    write(path)
    assert array_file.errors(path) == (0.0, 0.0)


def test_there_is_none_until_both_files_are_there(path):
    assert array_file.verified(path, ROWS.shape, "float32") is None
    write(path)
    path.with_suffix(".json").rename(path.parent / "elsewhere")
    assert array_file.verified(path, ROWS.shape, "float32") is None


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


def forget_the_hash(path):
    facts = path.with_suffix(".json")
    facts.write_text(json.dumps({**files.read_json(facts), "sha256": None}))


def break_the_facts(path):
    path.with_suffix(".json").write_text("[]")


def cut_off_the_facts(path):
    path.with_suffix(".json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_bit, "SHA-256"),
        (cut_off, "expected 368 bytes, received 367"),
        (forget_the_hash, "SHA-256"),
        (break_the_facts, "list"),
        (cut_off_the_facts, "expected JSON"),
    ],
)
def test_damage_is_found(path, damage, words):
    write(path)
    damage(path)
    with pytest.raises(array_file.Damaged, match=words):
        array_file.verified(path, ROWS.shape, "float32")
    write(path)  # over what is damaged
    assert array_file.verified(path, ROWS.shape, "float32") is not None


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_one_that_another_process_removes_meanwhile_is_none(path, suffix, monkeypatch):
    write(path)

    def read(name):
        path.with_suffix(suffix).unlink()
        return read_json(name)

    read_json = files.read_json
    monkeypatch.setattr(files, "read_json", read)
    assert array_file.verified(path, ROWS.shape, "float32") is None


@pytest.mark.parametrize(
    ("shape", "precision"), [((10, 2, 4), "float32"), (ROWS.shape, "float16")]
)
def test_an_array_of_another_kind_is_not_taken(path, shape, precision):
    write(path)
    with pytest.raises(array_file.Damaged, match="expected .* received"):
        array_file.verified(path, shape, precision)


def test_an_exception_leaves_nothing(path):
    with pytest.raises(RuntimeError), array_file.ArrayWriter(path, (2, 3), "float32"):
        raise RuntimeError
    assert not list(path.parent.iterdir())


def test_missing_rows_are_an_error(path):
    with pytest.raises(ValueError, match=r"Expected 10 rows\. Received: 8"):
        with array_file.ArrayWriter(path, ROWS.shape, "float32") as writer:
            writer.append(ROWS[:8])
    assert not list(path.parent.iterdir())


def test_numbers_beyond_the_precision_are_refused(path):
    with pytest.raises(ValueError, match="float16 cannot hold v00001-logits.*up to 2"):
        write(path, rows=ROWS * 1e6, precision="float16")
    assert not list(path.parent.iterdir())
    write(path, rows=ROWS * 1e6, precision="bfloat16")


def test_a_full_disk_names_the_array_and_leaves_nothing(path):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        with array_file.ArrayWriter(path, ROWS.shape, "float32") as writer:
            writer._file.close()
            writer._file = Full()
            writer.append(ROWS)
    assert caught.value.filename == str(path)
    assert not list(path.parent.iterdir())
