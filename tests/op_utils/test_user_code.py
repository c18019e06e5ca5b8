"""Files that a user imports."""

import sys

import pytest

from op_utils import user_code


def test_a_file_is_imported_once_under_its_name(tmp_path):
    path = tmp_path / "nets_of_mine.py"
    path.write_text("VALUE = []\n")
    user_code.load([str(path), str(path)])
    module = sys.modules.pop("nets_of_mine")
    assert module.VALUE == []


def test_a_file_that_fails_is_not_imported(tmp_path):
    path = tmp_path / "broken_nets.py"
    path.write_text("VALUE = 1 / 0\n")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"broken_nets.py \(ZeroDivisionError"):
            user_code.load([str(path)])


@pytest.mark.parametrize(
    ("name", "words"), [("absent.py", "absent.py"), ("no.such.module", "no.such")]
)
def test_what_is_not_there_raises(name, words):
    with pytest.raises(ValueError, match=rf"Received: --imports={words}"):
        user_code.load([name])


def test_a_name_that_is_taken_raises(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text("")
    with pytest.raises(ValueError, match="another module 'nets'; rename the file"):
        user_code.load([str(path)])
