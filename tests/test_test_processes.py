"""Which tests share a process, where there are several; what commands begin with."""

import importlib.util

import pytest

import commands


def test_a_files_tests_share_a_process(request):
    """Otherwise each process computes what a file's tests share.

    pytest-xdist schedules by what it appends to a test's id: "@" and its group. With
    pytest 9.2 its version 3.8 appends nothing, and the suite takes much longer.
    """
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("all tests run in one process")
    group = request.node.get_closest_marker("xdist_group").args[0]
    assert request.node.nodeid.endswith(f"@{group}")


@pytest.mark.parametrize("name", commands.PRELOADED)
def test_what_commands_begin_with_can_be_imported(name):
    """The fork server says nothing, and each command takes seconds longer."""
    assert importlib.util.find_spec(name)
