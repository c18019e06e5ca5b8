import dataclasses

import pytest

from comparison.grid.record import MISSING
from comparison.report import references
from tests.comparison.make import record

RATES = [(("learning_rate", rate),) for rate in ("0.1", "0.2")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("AT", "AT"),
        ("attention", "AT"),
        ("KD", "Soft_logits"),
        ("baseline", "none"),
        ("KD+CRD", "Soft_logits+CRD"),
        ("FitNet weight=10", "FitNet weight=10"),
        ("hint weight=10", "FitNet weight=10"),
        ("AT (ours/at)", "AT (ours/at)"),
    ],
)
def test_names_are_those_of_the_rows(name, found):
    labels = ["none", "AT", "AT (ours/at)", "Soft_logits", "Soft_logits+CRD"]
    records = [record(label, state=MISSING) for label in labels]
    records += [record("FitNet", varied=(("weight", w),)) for w in ("1", "10")]
    assert references.resolve(name, records) == found


@pytest.mark.parametrize("name", ["SP", "AT weight=2", "", "at all"])
def test_what_is_no_row_is_told_with_the_rows(name):
    records = [record("none"), record("AT", seed=0), record("AT", seed=1)]
    with pytest.raises(ValueError) as error:
        references.resolve(name, records)
    assert str(error.value).endswith(
        f"Expected one of none, AT. Received: --reference={name}."
    )


def test_several_rows_that_no_other_goes_with_are_told():
    records = [record("none")]
    records += [record("AT", varied=(("weight", w),)) for w in ("1", "10")]
    with pytest.raises(ValueError, match="one of AT weight=1, AT weight=10. Received"):
        references.resolve("AT", records)


def test_rows_of_a_recipe_go_with_the_reference_of_the_same():
    records = [record(m, varied=rate) for m in ("none", "AT") for rate in RATES]
    assert references.resolve("AT", records) == "AT"
    own = [r for r in records if r.method == "AT"]
    assert references.row_of(records[1], own, "AT") is own[1]
    assert references.row_of(records[1], own, own[0].label) is own[0]


def with_student(cell, **numbers):
    result = {**cell.result, "student": {**cell.result["student"], **numbers}}
    return dataclasses.replace(cell, result=result)


def pair_of_rows(**numbers):
    """Two rows of two cells, equal but for the last one's student."""
    row = [with_student(record("AT", seed=s), weights_sha256=str(s)) for s in (0, 1)]
    other = [with_student(record("SP", seed=s), weights_sha256=str(s)) for s in (0, 1)]
    return row, [other[0], with_student(other[1], **numbers)]


def test_rows_with_equal_digests_are_one():
    assert references.are_one(*pair_of_rows())
    assert not references.are_one(*pair_of_rows(weights_sha256="2"))
    row, other = pair_of_rows()
    assert not references.are_one(row, other[:1])
    assert not references.are_one([], [])
    missing = [record(m, state=MISSING) for m in ("AT", "SP")]
    assert not references.are_one(missing[:1], missing[1:])


def test_without_digests_rows_with_all_metrics_equal_are_one():
    assert references.are_one(*pair_of_rows(weights_sha256=None))
    assert not references.are_one(*pair_of_rows(weights_sha256=None, loss=1.2500001))
    row, other = pair_of_rows(weights_sha256=None)
    other[1].rows[0]["test_accuracy"] = "0.125"
    assert not references.are_one(row, other)
