"""`--shard=i/n`: the i-th of n parts of the tests, about equally long.

A file's tests, or a case's where `tests/conftest.py` groups them so, stay together,
because they share what they compute. All parts together are all tests, each once.
"""

import re

import pytest

# Seconds of a slow test, roughly: those of commands train, with processes of their own.
SECONDS_OF_A_COMMAND, SECONDS_OF_ANOTHER = 20, 4
# Many short ones, which would count for too much.
SECONDS = {
    "test_applications_taps": 3,
    "test_conformance": 1,
    "test_damage": 1,
    "test_net_facts": 1,
    "test_users_models": 1,
}


def read(text: str) -> tuple[int, int]:
    """(i, n) of "i/n".

    Raises:
        pytest.UsageError: it is not "i/n" with 1 <= i <= n.
    """
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    i, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= i <= n:
        raise pytest.UsageError(
            "There is no such part of the tests. Expected i/n with 1 <= i <= n, for "
            f"example 2/3. Received: shard={text!r}."
        )
    return i, n


def split(seconds: dict[str, float], n: int) -> list[set[str]]:
    """Groups in n parts: the longest first, each to the part that has least so far.

    Args:
        seconds: of each group, by name.
        n: number of parts.
    """
    parts, sums = [set() for _ in range(n)], [0.0] * n
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        least = sums.index(min(sums))
        parts[least].add(name)
        sums[least] += seconds[name]
    return parts


@pytest.hookimpl(trylast=True)  # after `-m` has left what it chooses
def pytest_collection_modifyitems(config, items):
    """Leaves the tests of the shard."""
    i, n = read(config.getoption("shard"))
    if n == 1:
        return
    seconds = {}
    for item in items:
        is_command = item.path.parent.name == "tests"
        one = SECONDS_OF_A_COMMAND if is_command else SECONDS_OF_ANOTHER
        one = SECONDS.get(item.path.stem, one)
        seconds[_group(item)] = seconds.get(_group(item), 0) + one
    part = split(seconds, n)[i - 1]
    config.hook.pytest_deselected(items=[x for x in items if _group(x) not in part])
    items[:] = [item for item in items if _group(item) in part]


def _group(item) -> str:
    return item.get_closest_marker("xdist_group").args[0]
