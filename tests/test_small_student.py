"""docs/small_student.md, and what the scripts make of --student=auto-1MB."""

import contextlib
import dataclasses
import json
import pathlib
import re
import shlex

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import benchmark
import commands
import train_w_distill
from comparison import catalogue
from comparison.grid import flags as grid_flags
from comparison.report import published
from nets import auto_student, registry
from options import flags as option_flags
from options.settings import Options

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "docs/small_student.md").read_text()


@pytest.fixture
def few(monkeypatch):
    """Fewer nets, to be quick."""
    monkeypatch.setattr(registry, "names", lambda: ("resnet14", "resnet8", "wrn_10_1"))
    catalogue._chosen.cache_clear()
    yield
    catalogue._chosen.cache_clear()


def test_the_settings_are_those_of_the_named_net(few, capsys):
    named, automatic = (
        train_w_distill.canonical(Options(student=name, distiller="none"))
        for name in ("resnet14", "Auto-1mb")
    )
    assert automatic == named
    assert automatic.default_train_dir() == named.default_train_dir()
    assert capsys.readouterr().out == (
        "note: student: Auto-1mb is resnet14 with 0.833 MB: the most "
        "multiply-accumulates, 1,648,256, of 3 nets of at most 1 MB at 8x8x1\n"
    )


@pytest.mark.parametrize(
    ("given", "students"),
    [
        ("--student=auto-1MB", ["resnet14"]),
        (
            "--pairs=resnet20:auto-1MB,resnet20:auto-390kB,resnet20:wrn_16_1",
            ["resnet14", "wrn_10_1", "wrn_16_1"],
        ),
    ],
)
def test_a_grid_takes_it(few, given, students):
    with flagsaver.flagsaver():
        flags.FLAGS(["benchmark.py", given, "--methods=none"])
        grid = grid_flags.read(option_flags.read())
    assert [student for _, student in grid.pairs] == students


def test_a_grid_lists_no_nets():
    with flagsaver.flagsaver(), pytest.raises(ValueError, match="train_w_distill.py"):
        flags.FLAGS(["benchmark.py", "--list_nets"])
        benchmark.main()


def test_the_nets_are_listed_for_the_data(few, capsys):
    with flagsaver.flagsaver():
        flags.FLAGS(["train_w_distill.py", "--list_nets", "--image_size=16"])
        train_w_distill.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["net", "wrn_10_1", "resnet8", "resnet14"]
    net = registry.build("resnet14", 10, (16, 16, 1))
    assert (
        rows[3][1] == f"{sum(int(np.prod(v.shape)) for v in net.trainable_variables):,}"
    )


def test_what_is_no_size_is_one_line(tmp_path):
    given = "--student=auto-big", "--dataset=folder:absent"
    finished = commands.run("train_w_distill.py", *given, cwd=tmp_path)
    assert finished.code == 2 and len(finished.error_lines) == 1
    assert "auto-500kB or auto-1.5MB. Received: auto-big." in finished.error_lines[0]
    assert not list(tmp_path.glob("[!.]*"))


def published_alone() -> dict[str, float]:
    """Accuracy on CIFAR-100 of the nets that RepDistiller's README trains alone."""
    return {
        published.net_key(fact.student, "cifar100"): fact.accuracy
        for fact in published.facts()
        if fact.source.startswith("RepDistiller README") and fact.teacher is None
    }


def figures(by: str) -> tuple[float, float, float]:
    """Rank correlation with the accuracy; mean and largest loss of choosing by it."""
    table = json.loads((ROOT / "tests/data/nets.json").read_text())
    known = {net["name"]: net for net in table if net["source"] == "RepDistiller"}
    alone = published_alone()
    assert len(alone) == 15
    size = {name: known[name]["trainable_parameters"]["100"] for name in alone}
    cost = {name: known[name]["multiply_accumulates"] for name in alone}
    values = {"cost": cost, "size": size}[by]
    ranks = [np.argsort(np.argsort([d[n] for n in alone])) for d in (values, alone)]
    lost = []
    for bound in size.values():
        small = [name for name in alone if size[name] <= bound]
        best = max(alone[name] for name in small)
        lost.append(best - alone[max(small, key=values.get)])
    return np.corrcoef(*ranks)[0, 1], np.mean(lost), max(lost)


def test_the_rule_is_as_good_as_its_text_says():
    by_cost, by_size = figures("cost"), figures("size")
    np.testing.assert_allclose(by_cost, (0.94, 0.2, 0.9), atol=0.05)
    np.testing.assert_allclose(by_size, (0.65, 1.6, 8.7), atol=0.05)
    for text in (" ".join(TEXT.split()), " ".join(auto_student.choose.__doc__.split())):
        for figure in ("0.94", "0.65", "0.2 points", "0.9 at most"):
            assert figure in text


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def test_the_text_s_python_runs(tmp_path):
    names = {}
    with contextlib.chdir(tmp_path):
        for block in blocks("python"):
            exec(block, names)
    small = keras.saving.load_model(tmp_path / "small.keras")
    assert [x.name for x in small.layers] == [x.name for x in names["big"].layers]
    assert round(names["big"].count_params() / small.count_params(), 1) == 3.8


def test_the_text_s_flags_exist():
    source = (ROOT / "train_w_distill.py").read_text()
    known = {field.name for field in dataclasses.fields(Options)}
    known |= set(re.findall(r'flags\.DEFINE_\w+\("(\w+)"', source))
    lines = "".join(blocks("")).replace("\\\n", " ").splitlines()
    for python, script, *given in map(shlex.split, lines):
        assert (python, script) == ("python", "train_w_distill.py")
        assert {flag.removeprefix("--").partition("=")[0] for flag in given} <= known
    assert set(re.findall(r"`--(\w+)", TEXT)) <= known | {"pairs"}
