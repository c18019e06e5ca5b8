import dataclasses
import os

import pytest

import distiller
import train_w_distill  # noqa: F401 (defines the flags)
from comparison.grid import definition as grid
from comparison.grid.definition import Axis, Grid, Method

PAIR = ("resnet20", "resnet8")
ALONE, KD, AT = (Method(name, name) for name in ("none", "Soft_logits", "AT"))


def make(*methods, axes=(), **sides):
    sides = {"pairs": (PAIR,), "fractions": (1.0,), "seeds": (0,), **sides}
    return Grid(methods=methods, axes=tuple(map(grid.read_axis, axes)), **sides)


def labels(made):
    return [
        (method.label, *pair, fraction, seed, *(text for _, text, *_ in varied))
        for method, pair, fraction, seed, varied in made.cells()
    ]


def test_the_product_has_each_cell_with_the_seeds_outermost():
    made = make(ALONE, KD, fractions=(1.0, 0.5), seeds=(3, 4))
    assert labels(made) == [
        (name, *PAIR, fraction, seed)
        for seed in (3, 4)
        for fraction in (1.0, 0.5)
        for name in ("none", "Soft_logits")
    ]


def test_what_a_method_lacks_is_not_varied_of_it():
    made = make(ALONE, KD, axes=["temperature=2,4", "weight/task_weight=.2/.8,.4/.6"])
    assert labels(made) == [
        ("none", *PAIR, 1.0, 0),
        *(
            ("Soft_logits", *PAIR, 1.0, 0, temperature, weight)
            for temperature in ("2", "4")
            for weight in (".2/.8", ".4/.6")
        ),
    ]


def test_a_flag_is_varied_of_all():
    made = make(ALONE, KD, axes=["learning_rate=0.1,0.05"])
    assert [label[-1] for label in labels(made)] == ["0.1", "0.05"] * 2


def test_a_methods_own_axis_leaves_others_alone():
    made = make(KD, AT, axes=["attention.weight=10,100"])
    assert labels(made) == [
        ("Soft_logits", *PAIR, 1.0, 0),
        ("AT", *PAIR, 1.0, 0, "10"),
        ("AT", *PAIR, 1.0, 0, "100"),
    ]


def test_in_a_sum_the_part_is_named():
    both = Method("AT+Soft_logits", "AT+Soft_logits")
    axis = grid.read_axis("AT.weight=10,100")
    found = [hparams for _, _, hparams in axis.changes(both)]
    assert found == [("AT.weight=10",), ("AT.weight=100",)]
    assert axis.label(both) == "AT.weight" and axis.label(AT) == "weight"
    assert not grid.read_axis("weight=1,2").applies_to(both)


def test_flags_and_hyperparameters_change_together():
    axis = grid.read_axis("weight/task_weight=.2/.8")
    assert axis.label(KD) == "weight/task_weight"
    assert list(axis.changes(KD)) == [(".2/.8", {"task_weight": 0.8}, ("weight=.2",))]


def test_all_methods():
    assert [m.name for m in grid.read_methods(["all"])] == list(distiller.names())


def test_aliases_and_sums_get_their_one_name():
    found = grid.read_methods(["kd", "vid+st"])
    assert [m.label for m in found] == ["Soft_logits", "VID+Soft_logits"]


def test_flag_files(tmp_path):
    (tmp_path / "common.flags").write_text("--epochs=7\n")
    for name, weight in (("strong", 9), ("weak", 1)):
        text = f"--flagfile={tmp_path}/common.flags\n--distiller=hint\n"
        (tmp_path / f"{name}.flags").write_text(f"{text}--hparam=weight={weight}\n")
    strong, weak = grid.read_methods([f"{tmp_path}/*.flags"])
    assert strong.label == "FitNet (strong)" and strong.name == "FitNet"
    assert strong.settings == {
        "epochs": 7,
        "distiller": "hint",
        "hparam": ("weight=9",),
    }
    assert weak.settings["hparam"] == ("weight=1",)
    (alone,) = grid.read_methods([f"{tmp_path}/weak.flags"])
    assert alone.label == "FitNet"


@pytest.mark.parametrize(
    "text", ["weight", "=1,2", "weight=1,1", "a/b=1/2,3", "a/=1/2", "weight="]
)
def test_an_axis_that_is_none(text):
    with pytest.raises(ValueError, match=r"Expected .* Received: --vary="):
        grid.read_axis(text)


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (grid.read_methods, ["KDD"], "no method of this name"),
        (grid.read_methods, ["absent/*.flags"], "no flag file of a method"),
        (grid.read_pairs, ["resnet20"], "--pairs=resnet20"),
        (grid.read_pairs, ["a:b:c"], "--pairs=a:b:c"),
        (grid.read_pairs, [":b"], "--pairs=:b"),
    ],
)
def test_wrong_texts(read, text, words):
    with pytest.raises(ValueError, match=words):
        read(text)


@pytest.mark.parametrize(
    "sides",
    [{"seeds": (1, 1)}, {"fractions": ()}, {"pairs": (PAIR, PAIR)}],
)
def test_sides_that_are_empty_or_twice(sides):
    with pytest.raises(ValueError, match=f"Received: --{next(iter(sides))}="):
        make(KD, **sides)


def test_an_axis_of_no_method():
    with pytest.raises(ValueError, match=r"temperature.*--vary=wieght"):
        make(KD, axes=["wieght=1,2"])
    with pytest.raises(ValueError, match="no method of this name"):
        make(KD, axes=["KDD.weight=1,2"])


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("epochs=1,x", "--epochs cannot be 'x'"),
        ("epochs=0,1", "--epochs is out of range"),
    ],
)
def test_a_value_that_a_flag_does_not_take(axis, words):
    made = make(KD, axes=[axis])
    with pytest.raises(ValueError, match=words):
        list(made.cells())


def test_files_of_pairs_may_be_at_home():
    (pair,) = grid.read_pairs(["~/teacher.keras:resnet8"])
    assert pair == (os.path.expanduser("~/teacher.keras"), "resnet8")


def test_files_of_methods_may_be_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "at.flags").write_text("--distiller=AT\n")
    (method,) = grid.read_methods(["~/*.flags"])
    assert method.name == "AT"


def test_axes_are_values():
    assert dataclasses.astuple(grid.read_axis("a=1,2")) == (("a",), (("1",), ("2",)))
    assert isinstance(grid.read_axis("a=1"), Axis)


def test_equal_names_of_files_are_told_apart_by_their_folders(tmp_path):
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "at.flags").write_text("--distiller=AT\n")
    found = grid.read_methods([f"{tmp_path}/*/at.flags"])
    assert [m.label for m in found] == ["AT (ours/at)", "AT (theirs/at)"]


@pytest.mark.parametrize(
    "axes",
    [["seed=1,2"], ["hparam=a,b"], ["log_every=1,2"], ["train_dir=a,b"],
     ["temperature=2,4", "temperature=8,16"], ["temperature/temperature=2/4,4/8"]],
)  # fmt: skip
def test_what_is_no_axis_or_two(axes):
    with pytest.raises(ValueError, match=r"Received: "):
        make(KD, axes=axes)


@pytest.mark.parametrize(
    "axes",
    [
        ("weight=1,2", "AT.weight=10,20"),
        ("AT.weight=1,2", "attention.weight=10"),
        ("weight/epochs=1/2,3/4", "AT.weight=1"),
    ],
)
def test_two_axes_of_one_hyperparameter(axes):
    axes = tuple(map(grid.read_axis, axes))
    with pytest.raises(ValueError, match="Two axes vary weight of AT.*AT.weight"):
        Grid(grid.read_methods(["AT", "SP"]), (("a", "b"),), (1.0,), (0,), axes)
