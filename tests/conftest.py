import common.before_tensorflow  # noqa: F401

# isort: split
import os
import pathlib

import pytest

import commands
from options import user_code
from tests import method_cost, shards

TESTS = pathlib.Path(__file__).parent
QUICK = ("--batch_size=64", "--student=resnet8", "--data_fraction=0.5")


def pytest_addoption(parser):
    words = "A file with methods of your own, which tests of all methods are to test."
    parser.addoption("--imports", action="append", default=[], help=words)
    words = "i/n: the i-th of n parts of the tests, about equally long."
    parser.addoption("--shard", default="1/1", help=words)


def pytest_configure(config):
    """Before tests are made of the names of all methods."""
    shards.read(config.getoption("shard"))
    user_code.load(config.getoption("imports"))
    config.pluginmanager.register(shards, "shards")
    config.pluginmanager.register(method_cost.Costs(), "method_cost")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Which tests share a process, where there are several (--dist loadgroup).

    A file's do, because they share what they compute. Where each case computes its own,
    as in the conformance tests, a case's tests do. Those of commands come first: they
    are the longest, and the last ones leave a process without work.
    """
    items.sort(key=lambda item: item.path.parent != TESTS)
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        group = f"{item.path.stem} {parameters.get('case', '')}"
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def disk(monkeypatch):
    """What reaches the disk, in order: ("sync" or "replace", name of the path)."""
    events = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        events.append(("sync", os.path.basename(path)))
        fsync(descriptor)

    def replaced(source, target):
        events.append(("replace", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return events


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A teacher for digits, trained for one epoch; the path of its file."""
    folder = tmp_path_factory.mktemp("teacher")
    finished = commands.run(
        "train_w_distill.py",
        "--distiller=none",
        "--student=wrn_10_1",
        "--epochs=2",
        "--train_dir=run",
        cwd=folder,
    )
    assert finished.code == 0, finished.err
    return folder / "run/student.keras"
