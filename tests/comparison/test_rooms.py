"""The rooms that were modules: old names, and modules of their own."""

import pytest

import comparison.grid
import comparison.report
from comparison.grid import definition
from comparison.report import report_files

ROOMS = (
    (comparison.grid, "Grid", definition),
    (comparison.report, "write", report_files),
)


@pytest.mark.parametrize(("room", "name", "module"), ROOMS)
def test_names_of_a_module_that_is_a_room_now_are_found(room, name, module):
    with pytest.warns(DeprecationWarning, match=f"{room.__name__}.{name} has moved"):
        assert getattr(room, name) is getattr(module, name)


@pytest.mark.parametrize("name", ["summary", "published", "nothing", "__bool__"])
def test_a_rooms_own_modules_are_no_old_names(name):
    """`from comparison.report import summary` warned, and imported everything."""
    with pytest.raises(AttributeError):
        comparison.report.__getattr__(name)
