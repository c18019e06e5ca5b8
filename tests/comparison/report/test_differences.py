"""Rows compared with their reference, and the committed table."""

import csv
import dataclasses
import pathlib

import pytest

from comparison.grid.record import FAILED, Record, read
from comparison.report import accuracy_table, block_model, markdown, summary
from comparison.report.differences import Difference
from tests.comparison.make import record
from tests.comparison.report.test_references import with_student

COMMITTED = pathlib.Path(__file__).parents[3] / "results/cifar10_fractions"
ALONE = 0.5, 0.52, 0.51
AT = 0.53, 0.56, 0.58
SP = 0.5, 0.49, 0.53


def row_of(method, values, **place):
    return [record(method, seed=s, last=x, **place) for s, x in enumerate(values)]


def only_table(records, **reference):
    ((table,),) = [pair.tables for pair in summary.pairs(records, **reference)]
    return table


def differences(table):
    return {row.label: row.difference for row in table.rows}


@pytest.fixture(scope="module")
def committed():
    """The 52 cells of the table on 10 % of CIFAR-10."""
    records = []
    with open(COMMITTED / "cells.csv", newline="") as file:
        for cell in csv.DictReader(file):
            place = [cell[n] for n in ("dataset", "teacher", "student", "method")]
            place += [(), float(cell["fraction"]), int(cell["seed"])]
            records.append(read(Record(*place, COMMITTED / "cells" / cell["folder"])))
    assert len(records) == 52
    return only_table(records)


def test_the_committed_table(committed):
    found = committed.evidence
    assert (found.k, found.blocks, found.df) == (24, 2, 24)
    assert found.s == pytest.approx(0.782, abs=5e-4)
    assert found.c == pytest.approx(3.217, abs=5e-4)
    assert found.half_width == pytest.approx(2.52, abs=5e-3)
    assert found.same == (("KD_EID", "KD_SVD"),)
    rows = differences(committed)
    assert rows.pop("none") is None
    above = {label for label, found in rows.items() if found.low > 0}
    below = {label for label, found in rows.items() if found.high < 0}
    assert above == {"FitNet", "OFD", "NST", "AB", "Soft_logits", "FT"}
    assert below == {"IRG", "MHGD"}
    assert {label for label, found in rows.items() if found.p < 0.05} == above | below
    assert rows["AFD"].p == pytest.approx(0.052, abs=5e-4)
    assert rows["KD_SVD"] == rows["KD_EID"]


def test_the_committed_report_has_these_numbers(committed):
    text = (COMMITTED / "report.md").read_text()
    found = [accuracy_table.accuracy(committed)]
    assert markdown.render(found) in text
    assert accuracy_table.evidence(committed) in text


def test_rows_are_compared_by_the_block_model():
    records = [*row_of("none", ALONE), *row_of("AT", AT), *row_of("SP", SP)]
    table = only_table(records[::-1])
    values = [[100 * x for x in row] for row in (ALONE, AT, SP)]
    model = block_model.compare(values, [None, 0, 0])
    for row, label in ((1, "AT"), (2, "SP")):
        found, half = differences(table)[label], model.critical * model.se[row]
        mean = model.difference[row]
        expected = mean, model.se[row], mean - half, mean + half, model.p()[row]
        numbers = found.points, found.se, found.low, found.high, found.p
        assert numbers == pytest.approx(expected, abs=1e-8)
    assert (table.evidence.k, table.evidence.df) == (2, 4)
    assert table.evidence.s == pytest.approx(model.s)


def test_a_missing_cell_is_missing_alone():
    lost = record("AT", seed=1, state=FAILED)
    records = [*row_of("none", ALONE), *row_of("SP", SP)]
    records += [cell for cell in row_of("AT", AT) if cell.seed != 1] + [lost]
    table = only_table(records)
    assert (table.evidence.k, table.evidence.df) == (2, 3)
    found = differences(table)
    # 53 and 58 are 3 and 6 above the other rows' means in these blocks, which are
    # 50.833 over all, and the student alone is 51: no plain difference of two means.
    assert found["AT"].points == pytest.approx(4.5 + 50.8333333 - 51)
    assert found["AT"].se > 0 and found["SP"].p is not None


def test_one_block_has_differences_and_no_interval():
    table = only_table([record("none", last=0.5), record("AT", last=0.6)])
    found = differences(table)["AT"]
    assert (found.reference, found.points) == ("none", pytest.approx(10.0))
    assert (found.se, found.low, found.high, found.p) == (None,) * 4
    assert "no interval" in accuracy_table.evidence(table)


def test_equal_students_count_once():
    twins = [
        with_student(cell, weights_sha256=str(cell.seed))
        for method in ("KD_SVD", "KD_EID")
        for cell in row_of(method, SP)
    ]
    rest = [*row_of("none", ALONE), *row_of("AT", AT)]
    table, single = only_table(rest + twins), only_table(rest + twins[:3])
    assert dataclasses.replace(table.evidence, same=()) == single.evidence
    found = differences(table)
    assert found["KD_EID"] == found["KD_SVD"] == differences(single)["KD_SVD"]
    assert accuracy_table.evidence(table).endswith(
        "The students of KD_EID and KD_SVD are equal: they count as one row."
    )


def test_who_equals_the_reference_is_no_comparison():
    cells = [*row_of("none", ALONE), *row_of("AT", ALONE), *row_of("SP", SP)]
    cells[:6] = [
        with_student(cell, weights_sha256=str(cell.seed)) for cell in cells[:6]
    ]
    table = only_table(cells)
    assert differences(table)["AT"] == Difference("none", 0.0)
    assert table.evidence.k == 1
    assert differences(table)["SP"].p is not None


def test_another_reference():
    records = [*row_of("none", ALONE), *row_of("AT", AT), *row_of("SP", SP)]
    table = only_table(records, reference="AT")
    found, usual = differences(table), differences(only_table(records))
    assert found["AT"] is None and table.reference == "AT"
    assert found["none"].points == pytest.approx(-usual["AT"].points)
    assert found["SP"].points == pytest.approx(usual["SP"].points - usual["AT"].points)
    assert [row.relative_seconds for row in table.rows] == [1.0, 1.0, 1.0]


def test_each_recipe_has_its_reference_and_all_are_one_model():
    records = []
    for shift, epochs in ((0.0, "5"), (0.2, "50")):
        varied = {"varied": (("epochs", epochs),)}
        records += row_of("none", [x + shift for x in ALONE], **varied)
        records += row_of("AT", [x + shift for x in AT], **varied)
    table = only_table(records)
    found = differences(table)
    for epochs in ("5", "50"):
        own = found[f"AT epochs={epochs}"]
        assert own.reference == f"none epochs={epochs}"
        assert own.points == pytest.approx(100 * (sum(AT) - sum(ALONE)) / 3)
        assert found[f"none epochs={epochs}"] is None
    assert (table.evidence.k, table.evidence.references) == (2, 2)
    assert table.evidence.df == 6  # 12 cells, 4 rows, 3 blocks
    assert "2 differences with 2 references" in accuracy_table.evidence(table)


def test_without_a_reference_there_is_no_difference():
    table = only_table(row_of("AT", AT))
    assert differences(table) == {"AT": Difference(None)}
    assert accuracy_table.evidence(table).startswith("No finished cells of the student")
