import errno

import numpy as np
import pytest

from teacher_cache import array_facts, array_file

ROWS = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float32)


def write(path, rows=ROWS, precision="float32", parts=(4, 4, 2)):
    with array_file.ArrayWriter(path, rows.shape, precision) as writer:
        for part in np.split(rows, np.cumsum(parts)[:-1]):
            writer.append(part)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "v00001-logits.npy"


def test_numpy_reads_what_is_written(path):
    write(path)
    np.testing.assert_array_equal(np.load(path), ROWS)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "v00001-logits.json",
        "v00001-logits.npy",
    ]


def test_float32_has_no_error(path):
    write(path)
    assert array_facts.errors(path) == (0.0, 0.0)


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
