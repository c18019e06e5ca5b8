"""Files that a user imports."""

import sys

import pytest

import nets  # noqa: F401 (what a file of this name collides with)
from options import user_code


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
        with pytest.raises(ValueError, match=r"broken_nets.py \(ZeroDivisionError in"):
            user_code.load([str(path)])


@pytest.mark.parametrize(
    ("name", "words"), [("absent.py", "absent.py"), ("no.such.module", "no.such")]
)
def test_what_is_not_there_raises(name, words):
    with pytest.raises(ValueError, match=rf"Received: --imports={words}"):
        user_code.load([name])


def test_a_file_that_is_not_there_is_told_without_pythons_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no such file") as caught:
        user_code.load(["mymth.py"])
    assert "frozen" not in str(caught.value)


def test_a_name_that_is_taken_raises(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text("")
    with pytest.raises(ValueError, match="another module 'nets'; rename the file"):
        user_code.load([str(path)])


FAILURES = {
    "A = 1\n\nB = A / 0\n": "ZeroDivisionError in FILE, line 3: division by zero",
    "A = 1\nB = (\n": r"SyntaxError in FILE, line 2: '\(' was never closed",
    # Not where a library noticed it.
    "import json\n\n\njson.loads('{')\n": "JSONDecodeError in FILE, line 4: Expect",
    # Not where the decorator is, in a function that it calls.
    "import distiller\n@distiller.register('AT')\nclass A(distiller.Distiller):\n"
    "    def loss(self, student, teacher, batch):\n        return {}\n": (
        "ValueError in FILE, line 2: This is the name of another method"
    ),
    "import nets\n@nets.register('x y')\ndef net(num_classes, shape): ...\n": (
        "ValueError in FILE, line 2: This cannot be the name of a net"
    ),
    "import sys\nsys.exit(3)\n": "SystemExit in FILE, line 2: 3",
}


@pytest.mark.parametrize("text", FAILURES)
def test_the_line_of_an_error_is_told(text, tmp_path):
    path = tmp_path / "failing_code_of_mine.py"
    path.write_text(text)
    words = FAILURES[text].replace("FILE", str(path))
    with pytest.raises(ValueError, match=words):
        user_code.load([str(path)])


def test_the_line_of_an_error_in_a_module_beside_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_mine.py").write_text("\nA = 1 / 0\n")
    (tmp_path / "user_of_mine.py").write_text("import helper_of_mine\n")
    for name in ("user_of_mine", str(tmp_path / "user_of_mine.py")):
        with pytest.raises(ValueError, match="helper_of_mine.py, line 2: division"):
            user_code.load([name])
