"""`make test-slow SHARD=i/n` and the parts that it makes."""

import pytest

from tests import shards


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_all_parts_are_all_groups_once_and_about_equally_long(n):
    seconds = {f"file {i}": 1.0 + i**2 % 17 for i in range(40)}
    parts = shards.split(seconds, n)
    assert sorted(name for part in parts for name in part) == sorted(seconds)
    sums = [sum(seconds[name] for name in part) for part in parts]
    assert max(sums) - min(sums) <= max(seconds.values())
    # Each process finds the same parts, whatever the order in which it finds the tests.
    assert shards.split(dict(reversed(seconds.items())), n) == parts


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/0", "1/2/3", "-1/2", "a/b"])
def test_what_is_no_shard_is_one_line(text):
    with pytest.raises(pytest.UsageError, match="Expected i/n.*Received: shard='"):
        shards.read(text)


class Item:
    """A test of a group."""

    def __init__(self, group, path):
        self.group, self.path = group, path

    def get_closest_marker(self, name):
        assert name == "xdist_group"
        return pytest.mark.xdist_group(self.group).mark


class Config:
    """A session that was given `--shard`."""

    def __init__(self, shard):
        self.shard, self.hook, self.deselected = shard, self, []

    def getoption(self, name):
        assert name == "shard"
        return self.shard

    def pytest_deselected(self, items):
        self.deselected += items


def test_a_groups_tests_stay_together(tmp_path):
    path = tmp_path / "tests" / "test_it.py"
    items = [Item(f"group {i % 5}", path) for i in range(20)]
    found = []
    for shard in ("1/2", "2/2"):
        left, config = list(items), Config(shard)
        shards.pytest_collection_modifyitems(config, left)
        assert {id(x) for x in (*left, *config.deselected)} == {id(x) for x in items}
        found.append({item.group for item in left})
        assert len(left) == 4 * len(found[-1])
    assert found[0].isdisjoint(found[1]) and len(found[0] | found[1]) == 5
