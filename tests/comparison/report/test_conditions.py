import dataclasses

from comparison.grid.record import FAILED
from comparison.report import conditions
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
        "updates in total on 100 %",
        "evaluated epochs",
        "version of tensorflow",
        "teacher_checkpoint",
    ]


def test_who_trains_longer_is_seen():
    """A phase before the last one, whatever is said of --epochs."""
    cells = [*CELLS[::2], record("FitNet", epochs=4), record("AT", epochs=3)]
    found = conditions.unequal(cells)
    assert found["updates in total"] == {"30": ("none", "DML", "AT"), "40": ("FitNet",)}
    varied = record("AT", varied=(("epochs", "4"),), epochs=4)
    assert conditions.UPDATES not in conditions.unequal([*CELLS[::2], varied])


def test_updates_are_compared_where_the_data_are_as_many():
    part = record("AT", fraction=0.1)
    rows = tuple({**row, "step": str(i)} for i, row in enumerate(part.rows, 1))
    part = dataclasses.replace(part, rows=rows)
    cells = [record("none"), record("AT"), part]
    assert conditions.unequal(cells) == {}
    assert conditions.settings(cells)["updates in total on 10 %"] == {"3": ("AT",)}
    found = conditions.unequal([*cells, record("AB", fraction=0.1)])
    assert list(found) == ["updates in total on 10 %"]


def blocks(method, data_seeds, **settings):
    return [
        record(method, seed=seed, settings={"data_seed": data_seed, **settings})
        for seed, data_seed in enumerate(data_seeds)
    ]


def test_data_seeds_that_are_the_blocks_are_equal():
    assert conditions.unequal(blocks("none", [0, 1]) + blocks("AT", [0, 1])) == {}
    fixed = blocks("none", [0, 0]) + blocks("AT", [0, 0])
    assert conditions.unequal(fixed) == {}
    assert conditions.settings(fixed)["data_seed"] == {"0": ("none", "AT")}


def test_a_block_with_two_draws_is_seen():
    cells = blocks("none", [0, 1]) + blocks("AT", [0, 0])
    assert conditions.unequal(cells) == {
        "data_seed with seed 1": {"1": ("none",), "0": ("AT",)}
    }
    rows = [
        dataclasses.replace(record, varied=(("data_seed", "0"),)) for record in cells
    ]
    assert conditions.unequal(rows) == {}


def test_other_images_held_out_are_seen():
    """However it is said: without one, the data seed cuts the split."""
    held = {"validation": 0.1, "validation_seed": 0}
    cells = blocks("none", [0, 1], **held) + blocks("AT", [0, 1], validation=0.1)
    assert conditions.unequal(cells) == {
        "validation_seed with seed 1": {"0": ("none",), "1": ("AT",)}
    }


def test_a_run_that_continues_another_is_seen():
    """With as many epochs behind it as its table's others, or of an earlier version."""
    longer = record("SP", settings={"continue_from": "sha256:1"})
    continues = {"run": "old", "student_sha256": "1", "epochs": 60}
    result = {**longer.result, "continues": continues}
    longer = dataclasses.replace(longer, result=result)
    assert longer.epochs == 60 + 3
    assert conditions.unequal([*CELLS, longer]) == {
        "epochs trained before": {"0": ("none", "AT", "DML"), "60": ("SP",)}
    }
    assert "epochs trained before" not in conditions.settings(CELLS)


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


NOW = {
    "sources_sha256": "a" * 64,
    "commit": "c" * 40,
    "versions": {"tensorflow": "2.21.0", "python": "3.12.1"},
    "hardware": {
        "devices": ["CPU"],
        "processor": {"model": "i9", "features": "f1"},
        "switches": {},
        "threads": 2,
    },
}


def under(name, *entries, inputs=None):
    """A cell that was trained under these, in order."""
    cell = record(name)
    result = {k: v for k, v in cell.result.items() if k != "versions"}
    result |= {"provenance": list(entries), "inputs": inputs or {}}
    return dataclasses.replace(cell, result=result)


def test_what_equal_cells_were_trained_under_is_told():
    found = conditions.settings([under("none", NOW), under("AT", NOW)])
    both = ("none", "AT")
    assert found["sources (SHA-256)"] == {f'"{"a" * 64}"': both}
    assert found["version of tensorflow"] == {'"2.21.0"': both}
    assert found["hardware"] == {'"CPU; i9 (features f1), 2 threads"': both}
    assert found["kernel switches"] == {'"none"': both}


def test_other_sources_are_seen_and_another_commit_is_not():
    committed = {**NOW, "commit": "d" * 40}
    cells = [under("none", NOW), under("AT", committed)]
    assert conditions.unequal(cells) == {}
    changed = under("SP", {**NOW, "sources_sha256": "b" * 64})
    assert conditions.unequal([*cells, changed]) == {
        "sources (SHA-256)": {
            f'"{"a" * 64}"': ("none", "AT"),
            f'"{"b" * 64}"': ("SP",),
        }
    }


def test_a_run_that_went_on_under_others_tells_all():
    later = {**NOW, "versions": {**NOW["versions"], "tensorflow": "2.22.0"}}
    cells = [under("none", NOW), under("AT", NOW, later, later)]
    assert conditions.unequal(cells) == {
        "version of tensorflow": {
            '"2.21.0"': ("none",),
            '"2.21.0, then 2.22.0"': ("AT",),
        }
    }
    old = {"versions": {"tensorflow": "2.21.0"}}
    assert conditions.unequal([under("none", NOW), under("AT", old, NOW)]) == {
        "sources (SHA-256)": {
            f'"{"a" * 64}"': ("none",),
            f'"not recorded, then {"a" * 64}"': ("AT",),
        },
        "version of python": {
            '"3.12.1"': ("none",),
            '"not recorded, then 3.12.1"': ("AT",),
        },
        "hardware": {
            '"CPU; i9 (features f1), 2 threads"': ("none",),
            '"not recorded, then CPU; i9 (features f1), 2 threads"': ("AT",),
        },
        "kernel switches": {
            '"none"': ("none",),
            '"not recorded, then none"': ("AT",),
        },
    }


def test_of_runs_before_the_sources_are_not_recorded():
    cells = [under("none", NOW), record("AT")]
    assert conditions.unequal(cells) == {
        "sources (SHA-256)": {
            f'"{"a" * 64}"': ("none",),
            '"not recorded"': ("AT",),
        }
    }
    assert "sources (SHA-256)" not in conditions.settings([record("AT")])


def test_other_code_of_the_users_nets_is_seen():
    teacher = {"the teacher's weights": "x"}  # has a condition of its own
    cells = [
        under(name, NOW, inputs={"--imports=my.py": digest, **teacher})
        for name, digest in (("AT", "0"), ("SP", "1"))
    ]
    assert conditions.unequal(cells) == {
        "--imports=my.py": {'"0"': ("AT",), '"1"': ("SP",)}
    }


def with_gap(cell, gap):
    return dataclasses.replace(cell, result={**cell.result, "teacher_cache_gap": gap})


def test_a_gap_between_the_cache_and_the_teacher_is_seen():
    """A run that asked its teacher, or was written before, has none."""
    zero, some = {"logits": 0.0}, {"logits": 1e-6, "embedding": 0.0}
    name = "kept outputs differ from the teacher's"
    cells = [*CELLS, with_gap(record("SP"), zero), with_gap(record("CC"), None)]
    assert name not in conditions.settings(cells)
    cells.append(with_gap(record("PKT"), some))
    assert conditions.unequal(cells) == {
        name: {"false": ("AT", "SP", "CC"), "true": ("PKT",)}
    }
    larger = with_gap(record("VID"), {"logits": 2e-6})
    assert conditions.unequal([with_gap(record("PKT"), some), larger]) == {}
