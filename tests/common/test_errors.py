import pathlib

import pytest

from common.errors import wrong


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"expected": "one", "received": "none"}, "Expected one. Received: none."),
        ({"expected": 3, "received": None}, "Expected 3. Received: None."),
        ({"choices": ("a", "b"), "k": "A"}, "Expected one of a, b. Received: k='A'."),
        (
            {"expected": "k < n", "k": 3, "n": 2.0, "taps": ("stem", "stage1")},
            "Expected k < n. Received: k=3, n=2.0, taps=('stem', 'stage1').",
        ),
        (
            {"expected": "a file", "path": pathlib.PurePosixPath("a/b")},
            "Expected a file. Received: path='a/b'.",
        ),
        (
            {"expected": "a net", "nearest": "resnet8", "name": "resnt8"},
            "Did you mean 'resnet8'? Expected a net. Received: name='resnt8'.",
        ),
    ],
)
def test_the_line_that_a_user_reads(given, told):
    error = wrong("It is wrong", **given)
    assert type(error) is ValueError
    assert str(error) == f"It is wrong. {told}"


@pytest.mark.parametrize(
    "given",
    [
        {"received": "none"},
        {"expected": "one"},
        {"expected": "one", "choices": ("a",), "received": "none"},
        {"expected": "one", "received": "none", "k": 1},
    ],
)
def test_an_author_who_leaves_out_a_part_or_says_it_twice_is_told(given):
    with pytest.raises(TypeError, match="takes either"):
        wrong("It is wrong", **given)
