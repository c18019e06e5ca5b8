"""make same-bits finds one planted fault among methods that are the same."""

import argparse
import pathlib
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import same_bits

ROOT = pathlib.Path(__file__).parent.parent
ARRAYS = {"a": np.float32([0.0, 1.0]), "b": np.int64(3), "c": np.zeros([2, 2])}


def test_equal_bits_are_equal():
    copies = {key: array.copy() for key, array in ARRAYS.items()}
    assert same_bits.compare(ARRAYS, copies) == ({}, 0)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            np.float32([0.0, 1.5]),
            "1 of 2 entries differ, the largest difference is 0.5",
        ),
        (np.float32([-0.0, 1.0]), "1 of 2 entries differ, the largest difference is 0"),
        (np.float32([0.0]), "was float32[2] and is now float32[1]"),
        (
            np.array([0.0, 1.0], ml_dtypes.bfloat16),
            "was float32[2] and is now bfloat16[2]",
        ),
    ],
)
def test_a_difference_is_told(now, words):
    assert same_bits.compare(ARRAYS, {**ARRAYS, "a": now}) == ({"a": words}, 0)


def test_a_variable_of_one_side_is_told():
    less = {key: array for key, array in ARRAYS.items() if key != "b"}
    assert same_bits.compare(ARRAYS, less) == ({"b": "only in the base"}, 0)
    assert same_bits.compare(less, ARRAYS) == ({"b": "only in now"}, 0)


def test_the_same_bits_at_another_place_are_counted():
    swapped = {"b": ARRAYS["a"], "a": ARRAYS["b"], "d": ARRAYS["c"]}
    assert same_bits.compare(ARRAYS, swapped) == ({}, 3)
    # Each counts once: one lost copy is a difference.
    twice = {"d": np.float32([2.0]), "e": np.float32([2.0])}
    once = {"f": np.float32([2.0]), "g": np.float32([3.0])}
    differing, num_moved = same_bits.compare(twice, once)
    assert differing == {"e": "only in the base", "g": "only in now"}
    assert num_moved == 1


def test_the_same_bits_in_another_file_are_a_difference():
    last, best = np.float32([1.0]), np.float32([2.0])
    base = {"run/student: kernel": last, "run/best_student: kernel": best}
    now = {"run/student: kernel": best, "run/best_student: kernel": last}
    assert same_bits.compare(base, now)[0].keys() == base.keys()


@pytest.fixture
def repository(tmp_path):
    """A copy of this one's Python files, committed."""
    ours = shutil.ignore_patterns(".*", "__pycache__", "runs", "results")
    folder = shutil.copytree(ROOT, tmp_path / "copy", ignore=ours)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def run(folder, *flags):
    command = [sys.executable, "tests/same_bits.py", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


def test_an_unknown_commit_is_one_clear_line():
    refused = run(ROOT, "--base=nowhere")
    assert refused.returncode == same_bits.BAD_INPUT
    [line] = refused.stderr.splitlines()
    assert line.startswith("error: ") and "BASE='nowhere'" in line


def chosen(methods, base, now, all=False):
    return same_bits.chosen(argparse.Namespace(methods=methods, all=all), base, now)


def test_methods_of_one_state_are_listed_and_not_compared(capsys):
    assert chosen("New,AT,Old", ["AT", "Old"], ["AT", "New"]) == {
        "AT": "--distiller=AT"
    }
    told = ["New: not compared, only in now", "Old: not compared, only in the base"]
    assert capsys.readouterr().out.splitlines() == told
    assert list(chosen("AT+VID", ["AT", "VID"], ["VID", "AT"])) == ["AT+VID"]
    every = chosen("", ["AT", "Old"], ["AT", "New"], all=True)
    assert list(every) == ["AT", *same_bits.OPTIONS, *same_bits.SLOW_OPTIONS]
    with pytest.raises(
        same_bits.CannotCompare, match="Expected some of AT,.*METHODS=X"
    ):
        chosen("AT,X", ["AT"], ["AT"])
    with pytest.raises(same_bits.CannotCompare, match="no method is in both"):
        chosen("Old", ["Old"], [])


class Answered:
    """A state whose only run has ended."""

    def __init__(self, name, answer, variables):
        self.name, self._answer, self._variables = name, answer, variables

    def ask(self, name, flags):
        pass

    def answer(self):
        return self._answer

    def variables(self, name):
        return {key: ("label", np.float32(v)) for key, v in self._variables.items()}


@pytest.mark.parametrize(
    ("base", "now", "expected", "words"),
    [
        (({}, {"a": 1}), ({}, {"a": 1}), True, "run: equal, 1 variables"),
        (({}, {"a": 1}), ({}, {"a": 2}), False, "run: DIFFERENT in 1"),
        (({}, {}), ({}, {}), False, "run: DIFFERENT in 0"),  # it reads no file
        (({"unknown": "--x"}, {}), ({}, {"a": 1}), None, "not compared, the base: --x"),
        (({}, {"a": 1}), ({"unknown": "--x"}, {}), False, "run: FAILED in now: --x"),
        (({"error": "no"}, {}), ({"error": "no"}, {}), False, "run: FAILED in base"),
    ],
)
def test_what_a_run_is_told_to_be(base, now, expected, words, capsys):
    states = Answered("base", *base), Answered("now", *now)
    assert same_bits.run_both("run", "", *states) is expected
    assert words in capsys.readouterr().out


@pytest.mark.slow
def test_a_fault_that_is_not_committed_is_found(repository):
    same = run(repository, "--base=HEAD", "--methods=FT")
    assert same.returncode == 0, same.stdout + same.stderr
    assert "FT: equal" in same.stdout
    term = '"factor": self.weight'
    replace(repository / "distiller/ft.py", term, f"{term} * 1.0001")
    found = run(repository, "--base=HEAD", "--methods=FT,AT")  # in one process
    assert found.returncode == same_bits.DIFFERENT, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0].startswith("FT: DIFFERENT")
    assert "phase distill" in lines[1] and "the largest difference is" in lines[1]
    assert "phase paraphrase" not in found.stdout
    assert "AT: equal" in found.stdout
    assert lines[-1] == "1 of 2 runs show no difference to HEAD"
