import dataclasses

from comparison import conditions
from comparison.record import FAILED
from tests.comparison.make import record

CELLS = [record("none"), record("AT", fraction=0.1, seed=3), record("DML")]


def test_equal_but_for_what_differs_by_design():
    differs = {"task_weight": 0.1, "init_epochs": 3, "hparam": ["weight=1"]}
    differs["init_learning_rate"] = 0.1
    cells = [*CELLS, record("SP", settings=differs), record("SP", state=FAILED)]
    assert conditions.unequal(cells) == {}
    along = {"teacher_checkpoint": "", "teacher_seed": 7}
    assert conditions.unequal([*CELLS, record("DML", settings=along)]) == {}


def test_another_recipe_is_seen():
    cells = [*CELLS, record("SP", settings={"epochs": 60})]
    found = conditions.unequal(cells)
    assert found == {"epochs": {"3": ("none", "AT", "DML"), "60": ("SP",)}}


def test_what_the_grid_varies_is_no_difference():
    slow = record("SP", varied=(("epochs", "60"),), settings={"epochs": 60})
    fast = record("SP", varied=(("epochs", "3"),))
    assert conditions.unequal([fast, slow]) == {}


def test_other_versions_another_teacher_and_more_evaluations_are_seen():
    cells = [
        *CELLS,
        record("SP", versions={"tensorflow": "2.22.0"}),
        record("CC", settings={"teacher_checkpoint": "sha256:1"}),
        record("CC", epochs=4),
    ]
    assert list(conditions.unequal(cells)) == [
        "evaluated epochs",
        "version of tensorflow",
        "teacher_checkpoint",
    ]


def with_teacher(cell, digest):
    teacher = {**cell.result["teacher"], "weights_sha256": digest}
    return dataclasses.replace(cell, result={**cell.result, "teacher": teacher})


def test_teachers_of_one_recipe_and_other_weights_are_seen():
    cells = [*CELLS, with_teacher(record("SP"), "a"), with_teacher(record("CC"), "b")]
    assert conditions.unequal(cells) == {
        "teacher's weights (SHA-256)": {'"a"': ("SP",), '"b"': ("CC",)}
    }
    along = with_teacher(record("DML"), "c")
    assert conditions.unequal([*CELLS, with_teacher(record("SP"), "a"), along]) == {}


def test_other_data_are_seen():
    """As when cells of machines whose folder of images differs are copied together."""
    found = [
        dataclasses.replace(cell, result={**cell.result, "data_sha256": digest})
        for cell, digest in ((record("AT"), "a"), (record("SP"), "b"))
    ]
    assert conditions.unequal([record("none"), *found]) == {
        "data (SHA-256)": {'"a"': ("AT",), '"b"': ("SP",)}
    }
    assert conditions.unequal([record("none"), found[0]]) == {}


def test_teachers_differ_with_what_is_varied_of_the_recipe():
    cells = [
        with_teacher(
            record("SP", varied=(("batch_size", n),), settings={"batch_size": int(n)}),
            n,
        )
        for n in ("32", "64")
    ]
    assert conditions.unequal(cells) == {}
    weights = [
        with_teacher(record("SP", varied=(("weight", n),)), n) for n in ("1", "2")
    ]
    assert "teacher's weights (SHA-256)" in conditions.unequal(weights)


def test_a_setting_that_older_runs_lack_is_left_out():
    bare = dataclasses.replace(CELLS[0], result={"settings": {}}, rows=())
    assert conditions.settings([bare]) == {"evaluated epochs": {"0": ("none",)}}


def test_how_a_teacher_was_trained_counts_where_no_file_brings_it():
    by_name = {"teacher_checkpoint": "", "teacher": "resnet56"}
    cells = [
        record(name, settings={**by_name, "teacher_epochs": epochs})
        for name, epochs in (("AT", 60), ("SP", 30), ("DML", 60), ("none", 60))
    ]
    assert conditions.unequal(cells) == {
        "teacher_epochs": {"60": ("AT",), "30": ("SP",)}
    }
    of_file = record("CC", settings={"teacher_epochs": 60})
    assert "teacher_epochs" not in conditions.settings([of_file])


def test_what_is_varied_together_is_no_difference():
    cells = [
        record("AT", varied=(("epochs/batch_size", "3/64"),)),
        record("AT", varied=(("epochs/batch_size", "6/32"),),
               settings={"epochs": 6, "batch_size": 32}),
    ]  # fmt: skip
    assert conditions.unequal(cells) == {}
