"""docs/compatibility.md says of every method and pair what building the method says."""

import pathlib

import pytest

import distiller
from common import files
from docs.tables import compatibility
from speed import workload

ROOT = pathlib.Path(__file__).parent.parent
FILE = ROOT / "results/compatibility.json"
CELLS = files.read_json(FILE)
TABLE = (ROOT / "docs/compatibility.md").read_text()


def test_the_table_is_whole():
    keys = {
        compatibility.key(name, pair)
        for name in distiller.names()
        for pair in compatibility.PAIRS
    }
    assert CELLS.keys() == keys, "python -m docs.tables.compatibility fills what misses"
    assert TABLE == compatibility.HEAD + compatibility.markdown(
        CELLS, distiller.names()
    )


def test_a_new_method_only_adds_lines_to_the_file(tmp_path):
    files.write_json(tmp_path / "cells.json", CELLS)
    assert (tmp_path / "cells.json").read_text() == FILE.read_text()


def refusal(name, pair) -> str:
    """The error that building the method raises, or `compatibility.WORKS`."""
    teacher, student = (workload.build_net(net).tap_specs for net in pair)
    spec = distiller.resolve(name, ())
    try:
        spec.build(student, teacher if spec.uses_teacher else {}, workload.data(4))
    except ValueError as error:
        return str(error)
    return compatibility.WORKS


@pytest.mark.parametrize("name", ["FSP", "KD_SVD"])
def test_small_pairs_are_as_the_table_says(name):
    """Two that refuse some pairs; the slow test has all."""
    for pair in (("resnet56", "resnet20"), ("resnet32x4", "resnet8x4")):
        assert CELLS[compatibility.key(name, pair)] == refusal(name, pair)


@pytest.mark.slow
@pytest.mark.parametrize("pair", compatibility.PAIRS, ids="->".join)
def test_all_pairs_are_as_the_table_says(pair):
    for name in distiller.names():
        assert CELLS[compatibility.key(name, pair)] == refusal(name, pair), name
