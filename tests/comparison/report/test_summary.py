import dataclasses
import random

import pytest

from comparison.report import references, summary
from comparison.report.differences import Difference
from comparison.report.spread import Spread
from tests.comparison.make import grid, record


def rows(records):
    (pair,) = summary.pairs(records)
    (table,) = pair.tables
    return {row.label: row for row in table.rows}


def test_the_student_alone_is_in_every_pair_with_it():
    records = [
        record("none"),
        record("AT", teacher="resnet56"),
        record("AT", teacher="resnet20"),
        record("AT", student="vgg8"),
    ]
    found = [
        (pair.teacher, pair.student, [record.label for record in pair.records])
        for pair in summary.pairs(records)
    ]
    assert found == [
        ("resnet56", "resnet8", ["none", "AT"]),
        ("resnet20", "resnet8", ["none", "AT"]),
        ("resnet56", "vgg8", ["AT"]),
    ]
    (alone,) = summary.pairs(records[:1])
    assert alone.teacher == ""


def test_baseline_shares_what_is_varied():
    rates = [("learning_rate", "0.1"), ("learning_rate", "0.2")]
    alone = [record("none", varied=(rate,)) for rate in rates]
    cell = record("AT", varied=(("weight", "3"), rates[1]))
    assert references.baseline(cell, alone) is alone[1]
    assert references.baseline(cell, alone[:1]) is None
    assert references.baseline(cell, [record("none")]).varied == ()
    other = [
        record("none", seed=1), record("none", fraction=0.1),
        record("none", student="vgg8"), record("none", dataset="cifar100"),
    ]  # fmt: skip
    assert references.baseline(cell, other) is None


def test_rows_and_tables_are_in_order_whatever_the_records_are():
    records = grid(epochs=2)
    expected = summary.pairs(records)
    (pair,) = expected
    assert [table.fraction for table in pair.tables] == [1.0, 0.1]
    labels = [row.label for row in pair.tables[0].rows]
    assert (labels[0], labels[-2:]) == ("none", ["BSS", "CRD"])
    means = [row.last.mean for row in pair.tables[0].rows[1:-2]]
    assert means == sorted(means, reverse=True)
    random.Random(0).shuffle(records)
    assert summary.pairs(records) == expected


def test_missing_numbers_do_not_count():
    cells = [record("AT", seed=0, best=0.4), record("AT", seed=1)]
    (cell,) = rows(cells).values()
    assert (cell.last.n, cell.best) == (2, Spread(1, 0.4, None))
    bare = dataclasses.replace(cells[0], rows=())
    assert (bare.seconds, bare.epochs) == (None, None)


def test_the_student_alone_has_the_recipe_that_is_varied():
    """An axis of a flag and a hyperparameter leaves it out: it has another recipe."""
    cells = [record("none", last=0.5, seed=s, settings={"epochs": 3}) for s in (0, 1)]
    for epochs in (3, 6):
        cells += [
            record("AT", last=0.6 + 0.01 * s, seed=s, settings={"epochs": epochs},
                   varied=(("epochs/weight", f"{epochs}/1"),))
            for s in (0, 1)
        ]  # fmt: skip
    found = rows(cells)
    assert found["AT epochs/weight=3/1"].difference.reference == "none"
    assert found["AT epochs/weight=6/1"].difference == Difference(None)
    assert found["AT epochs/weight=6/1"].relative_seconds is None


def test_what_is_varied_of_teacher_or_method_needs_no_student_alone_with_it():
    changes = {"teacher_epochs": 60, "task_weight": 0.5}
    cells = [record("none", last=0.5, settings={"teacher_epochs": 30})]
    varied = tuple((name, str(value)) for name, value in changes.items())
    cells.append(record("AT", last=0.6, settings=changes, varied=varied))
    found = rows(cells)["AT teacher_epochs=60 task_weight=0.5"].difference
    assert found.points == pytest.approx(10.0)


def test_seconds_are_relative_to_the_student_alone_of_the_same_recipe():
    cells = [
        record(method, epochs=epochs, speed=speed, varied=(("epochs", str(epochs)),),
               last=epochs / 100)
        for method, speed in (("none", 1000.0), ("AT", 500.0))
        for epochs in (5, 50)
    ]  # fmt: skip
    found = {label: row.relative_seconds for label, row in rows(cells).items()}
    assert found == pytest.approx(
        {"none epochs=5": 1, "none epochs=50": 1, "AT epochs=5": 2, "AT epochs=50": 2}
    )
