import dataclasses

import pytest

from comparison.grid.record import MISSING
from comparison.report import report_files as report
from comparison.report.replication import sentences
from tests.comparison.make import record

TRAINED = {"teacher_checkpoint": "", "teacher": "resnet56"}
NOT = "Not repeated:"


def cells(*data_seeds, method="AT", digests=(), **settings):
    found = []
    for seed, data_seed in enumerate(data_seeds):
        cell = record(method, seed=seed, settings={"data_seed": data_seed, **settings})
        digest = {"weights_sha256": digests[seed]} if digests[seed:] else {}
        teacher = {**cell.result.get("teacher", {}), **digest}
        result = {**cell.result, "teacher": teacher} if cell.teacher else cell.result
        found.append(dataclasses.replace(cell, result=result))
    return found


def test_whole_repetitions_and_what_they_share():
    held = {"validation": 0.1, "validation_seed": 0}
    (text,) = sentences(cells(0, 1, 2, digests="aaa", **held))
    assert text.startswith(
        "The blocks are the seeds 0, 1 and 2. Repeated in each: init"
    )
    assert "draws; subset, order and augmentation. Not repeated: the v" in text
    assert f"{NOT} the validation split (validation seed 0); the teacher. " in text


def test_what_is_repeated_is_not_said_to_be_fixed():
    alone = {"method": "none", "validation": 0.1}
    (text,) = sentences(cells(0, 1, **alone))
    assert text.endswith("subset, order and augmentation; the validation split.")
    (text,) = sentences(cells(0, 1, digests="ab", **TRAINED))
    assert text.endswith("augmentation; the teacher.") and NOT not in text


@pytest.mark.parametrize("digests", ["", "a", "aa"])
def test_a_teacher_is_one_though_not_all_runs_recorded_which(digests):
    (text,) = sentences(cells(0, 1, digests=digests, **TRAINED))
    assert f"{NOT} the teacher." in text


def test_a_validation_split_that_the_data_bring_along_is_not_repeated():
    best = {"epoch": 1, "validation_accuracy": 0.5, "test_accuracy": 0.5}
    brought = [
        dataclasses.replace(cell, result={**cell.result, "best_on_validation": best})
        for cell in cells(0, 1, method="none")
    ]
    (text,) = sentences(brought)
    assert f"{NOT} the validation split (published). " in text
    cut = cells(0, 1, method="AT", validation=0.1, validation_seed=0)
    (text,) = sentences([*brought, *cut])
    assert "the validation split (validation seed 0); the teacher." in text


def test_one_draw_for_all_blocks_is_told():
    (text,) = sentences(cells(0, 0, validation=0.1))
    assert "Repeated in each: initialisation and the methods' draws. Not " in text
    assert f"{NOT} subset, order and augmentation (data seed 0); the val" in text
    rows = [
        dataclasses.replace(cell, varied=(("data_seed", str(n)),))
        for n in (1, 2)
        for cell in cells(n, n, method="none")
    ]
    assert "(data seeds 1 and 2)" in sentences(rows)[0]


def test_a_mixture_is_told():
    (text,) = sentences([*cells(0, 1), *cells(0, 0, method="SP")])
    assert "Not alike in all rows and blocks: subset, order and augmentation." in text
    (text,) = sentences(cells(0, 1, 0))
    assert "Not alike" in text


def test_one_block_repeats_nothing():
    assert sentences(cells(0)) == ["There is one block, seed 0: nothing was repeated."]


def test_nothing_is_said_before_it_is_known():
    assert sentences([*cells(0), record(seed=1, state=MISSING)]) == []


def test_the_report_says_it(tmp_path):
    records = cells(0, 0)
    report.write(records, tmp_path, title="")
    (text,) = sentences(records)
    assert f"\n{text}\n" in (tmp_path / "report.md").read_text()
