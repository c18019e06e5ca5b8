from typing import Literal, Optional

import pytest

from distiller.framework import hyperparameters


class Method:
    """A method with one hyperparameter of every type.

    Args:
        count: how many.
        weight: of the term,
            on two lines.
        name: any text.
        on: whether.
        taps: the levels.
        widths: of the layers.
        middle: or None.
        old: in the old spelling.
        variant: which.
    """

    def __init__(
        self,
        student_taps,
        *,
        count: int = 1,
        weight: float = 0.5,
        name: str = "x",
        on: bool = False,
        taps: tuple[str, ...] = ("stage1", "stage2"),
        widths: tuple[int, ...] = (1,),
        middle: int | None = None,
        old: Optional[float] = 2.0,  # noqa: UP045
        variant: Literal["paper", "code"] = "paper",
    ):
        pass


def read(*settings):
    return hyperparameters.read("Method", Method, settings)


def test_found_in_the_constructor():
    found = hyperparameters.of(Method)
    assert list(found)[:3] == ["count", "weight", "name"]
    assert found["weight"].description == "of the term, on two lines."
    assert (found["weight"].annotation, found["weight"].default) == (float, 0.5)
    assert [str(found[n]) for n in ("taps", "on", "middle")] == [
        "taps=stage1,stage2",
        "on=false",
        "middle=none",
    ]


@pytest.mark.parametrize(
    "setting, name, value",
    [
        ("count=-3", "count", -3),
        ("weight=3000", "weight", 3000.0),
        ("weight = 1e-3", "weight", 1e-3),
        ("name=a=b", "name", "a=b"),
        ("on=True", "on", True),
        ("taps=stage1:stage2, stem", "taps", ("stage1:stage2", "stem")),
        ("widths=8,4", "widths", (8, 4)),
        ("middle=5", "middle", 5),
        ("middle=None", "middle", None),
        ("old=none", "old", None),
        ("variant=code", "variant", "code"),
    ],
)
def test_values_are_read_by_their_type(setting, name, value):
    values = read(setting)
    assert values[name] == value
    assert type(values[name]) is type(value)
    defaults = read()
    assert {**values, name: defaults[name]} == defaults


def test_defaults_are_read_as_they_are_written():
    written = [str(one) for one in hyperparameters.of(Method).values()]
    assert read(*written) == read()


@pytest.mark.parametrize(
    "setting, expected",
    [
        ("count=1.5", "an integer"),
        ("count=1_0", "an integer"),
        ("weight=much", "a finite number"),
        ("weight=nan", "a finite number"),
        ("weight=inf", "a finite number"),
        ("name=", "not empty"),
        ("on=1", "true or false"),
        ("taps=stage1,,stage2", "not empty"),
        ("widths=1,x", "an integer"),
        ("middle=few", "an integer"),
        ("variant=other", "one of paper, code"),
    ],
)
def test_wrong_values_raise(setting, expected):
    with pytest.raises(ValueError) as error:
        read(setting)
    for text in ("Method", expected, repr(setting), "weight=0.5", "variant=paper"):
        assert text in str(error.value)


@pytest.mark.parametrize(
    "settings, problem",
    [
        (["wait=1"], "no such hyperparameter"),
        (["weight"], "no value"),
        (["=1"], "no such hyperparameter"),
        (["weight=1", "on=true", "weight=1"], "twice"),
    ],
)
def test_wrong_names_raise(settings, problem):
    with pytest.raises(ValueError, match=f"Method.*{problem}.*{settings[-1]}"):
        read(*settings)


def test_ranges():
    hyperparameters.check_positive(a=1, b=1e-9)
    hyperparameters.check_not_negative(a=0.0)
    hyperparameters.check_choice(("a", "b"), variant="b")
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"> 0.*temperature={bad}"):
            hyperparameters.check_positive(temperature=bad)
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f">= 0.*weight={bad}"):
            hyperparameters.check_not_negative(weight=bad)
    with pytest.raises(ValueError, match="one of a, b.*variant='c'"):
        hyperparameters.check_choice(("a", "b"), variant="c")


def test_scaled_widths():
    assert hyperparameters.scaled_width(7, rate=0.5) == 3
    assert hyperparameters.scaled_width(7, rate=2.0) == 14
    with pytest.raises(ValueError, match=r"1 / 7.*rate=0\.1\."):
        hyperparameters.scaled_width(7, rate=0.1)
    for bad in (0.0, float("nan")):
        with pytest.raises(ValueError, match=f"rate={bad}"):
            hyperparameters.scaled_width(7, rate=bad)
