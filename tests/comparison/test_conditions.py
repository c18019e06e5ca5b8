import dataclasses

from comparison import conditions
from comparison.record import FAILED
from tests.comparison.make import record

CELLS = [record("none"), record("AT", fraction=0.1, seed=3), record("DML")]


def test_equal_but_for_what_differs_by_design():
    differs = {"task_weight": 0.1, "init_epochs": 3, "hparam": ["weight=1"]}
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


def test_a_setting_that_older_runs_lack_is_left_out():
    bare = dataclasses.replace(CELLS[0], result={"settings": {}}, rows=())
    assert conditions.settings([bare]) == {"evaluated epochs": {"0": ("none",)}}
