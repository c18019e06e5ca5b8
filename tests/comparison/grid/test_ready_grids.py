"""The grids in configs/ can be run, and docs/benchmark.md tells their sizes."""

import pathlib
import re

import pytest
from absl import flags
from absl.testing import flagsaver

import benchmark
import distiller
from comparison.grid import flags as grid_flags
from options import flags as option_flags

ROOT = pathlib.Path(__file__).parents[3]
NAMES = sorted(path.stem for path in ROOT.glob("configs/grids/*.flags"))
ROW = re.compile(r"^\| `(\w+)` \| (\d+)( a method)? \|", re.MULTILINE)
DOCUMENTED = {
    name: int(count) * (len(distiller.names()) if each else 1)
    for name, count, each in ROW.findall((ROOT / "docs/benchmark.md").read_text())
}


def cells_of(name):
    with flagsaver.flagsaver():
        flags.FLAGS(["benchmark.py", f"--flagfile=configs/grids/{name}.flags"])
        settings = option_flags.read()
        return benchmark.cells_lib.expand(
            grid_flags.read(settings),
            settings,
            set(option_flags.given()),
            benchmark.canonical,
            pathlib.Path("out"),
        )


def test_all_are_documented():
    assert sorted(DOCUMENTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_can_be_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = cells_of(name)
    assert [cell.problem for cell in cells if cell.problem] == []
    assert len(cells) == DOCUMENTED[name]


@pytest.mark.parametrize("name", ["smoke", "cifar10_fractions"])
def test_these_have_all_methods(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert {cell.record.method for cell in cells_of(name)} == set(distiller.names())


def test_the_kd_grid_shares_the_weight_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = [c for c in cells_of("kd_grid_search") if c.record.method != "none"]
    values = {
        (
            dict(x.split("=") for x in c.settings.hparam)["weight"],
            c.settings.task_weight,
        )
        for c in cells
    }
    assert values == {("0.2", 0.8), ("0.4", 0.6), ("0.6", 0.4), ("0.8", 0.2)}
