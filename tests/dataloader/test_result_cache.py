import numpy as np
import pytest

from dataloader import result_cache


def recall(path, key, value=None):
    """What is recalled; None as value: it must not be looked for."""

    def find():
        assert value is not None
        return {"a": np.array([value]), "b": np.array([b"x"])}

    return int(result_cache.recall(path, key, find)["a"][0])


@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_a_result_is_found_once_for_each_key(tmp_path, damage):
    path = tmp_path / ".kept.npz"
    assert recall(path, "one", 1) == 1
    assert recall(path, "one") == 1
    assert recall(path, "two", 2) == 2
    assert recall(path, "two") == 2
    assert [p.name for p in tmp_path.iterdir()] == [".kept.npz"]
    if damage is None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        damage = bytes(content)
    path.write_bytes(damage)
    assert recall(path, "two", 3) == 3
    assert recall(path, "two") == 3


def test_where_nothing_can_be_written_it_is_found_anew(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file/.kept.npz"  # below a file, where root cannot write either
    assert recall(path, "one", 1) == 1
    assert recall(path, "one", 2) == 2
    assert (tmp_path / "file").read_text() == ""
