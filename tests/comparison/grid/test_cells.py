import dataclasses
import json
import math
import pathlib

import pytest

import train_w_distill
from comparison.grid import cells
from comparison.grid import definition as grid
from comparison.grid.definition import Grid, Method
from comparison.grid.record import FAILED, FINISHED, MISSING
from distiller import registry
from options import user_code
from options.settings import Options
from tests.comparison.make import BEST, METRICS, SETTINGS, finish
from training.run import run_files

ROOT = pathlib.Path(__file__).parents[3]
TEACHER = str(ROOT / "pretrained/cifar10_resnet20.keras")
SIDES = {"fractions": (1.0,), "seeds": (0,)}


def expand(made, output, settings=None, given=()):
    return cells.expand(
        made, settings or Options(), given, train_w_distill.canonical, output
    )


def make(*names, pairs=(("resnet20", "resnet8"),), **sides):
    return Grid(methods=grid.read_methods(names), pairs=pairs, **{**SIDES, **sides})


def test_a_cell_is_the_run_that_the_same_flags_give(tmp_path):
    settings = Options(epochs=3)
    (cell,) = expand(make("kd", seeds=(4,), fractions=(0.5,)), tmp_path, settings)
    expected = train_w_distill.canonical(
        Options(epochs=3, distiller="ST", data_fraction=0.5)
    )
    block = {"seed": 4, "data_seed": 4, "teacher_data_seed": 0}
    expected = dataclasses.replace(expected, **block)
    assert cell.settings.config() == expected.config()
    folder = expected.default_train_dir(str(tmp_path / "cells"))
    assert str(cell.record.folder) == cell.settings.train_dir == folder
    assert (cell.record.method, cell.record.teacher) == ("Soft_logits", "resnet20")
    assert (cell.record.seed, cell.record.fraction) == (4, 0.5)


def test_the_student_alone_is_one_cell_for_all_its_teachers(tmp_path):
    pairs = (("resnet20", "resnet8"), ("resnet14", "resnet8"))
    made = expand(make("none", "AT", pairs=pairs), tmp_path)
    assert [cell.record.label for cell in made] == ["none", "AT", "AT"]
    assert [cell.record.teacher for cell in made] == ["", "resnet20", "resnet14"]


def test_cells_of_one_teacher_know_it(tmp_path):
    made = expand(make("none", "AT", "VID", "DML"), tmp_path)
    alone, at, vid, dml = (cell.teacher for cell in made)
    assert at == vid == made[1].settings.for_teacher().train_dir
    assert alone == dml == ""  # neither waits for a trained teacher


def test_a_cell_lacks_its_teacher_until_that_is_trained(tmp_path):
    settings = Options(teacher_dir=str(tmp_path / "teachers"))
    alone, at = expand(make("none", "AT"), tmp_path, settings)
    assert (alone.lacks_teacher, at.lacks_teacher) == (False, True)
    folder = pathlib.Path(at.teacher)
    folder.mkdir(parents=True)
    assert at.lacks_teacher  # begun
    (folder / "result.json").write_text("{}")
    assert not at.lacks_teacher


def test_a_teachers_file_is_its_net_where_the_teacher_starts_fresh(tmp_path):
    at, dml = expand(make("AT", "DML", pairs=((TEACHER, "resnet8"),)), tmp_path)
    assert at.settings.teacher_checkpoint == TEACHER and not at.teacher
    assert dml.settings.teacher == "resnet20"
    assert not dml.settings.teacher_checkpoint
    assert at.record.teacher == dml.record.teacher == TEACHER


def test_what_is_set_by_hand_beats_a_methods_file(tmp_path):
    settings = {"epochs": 7, "batch_size": 16, "hparam": ("weight=9",)}
    method = Method("AT", "AT", settings)
    made = Grid(methods=(method,), pairs=(("resnet20", "resnet8"),), **SIDES)
    (cell,) = expand(made, tmp_path, Options(epochs=3), given={"epochs"})
    assert (cell.settings.epochs, cell.settings.batch_size) == (3, 16)
    assert "weight=9.0" in cell.settings.hparam


def test_what_is_varied_beats_all(tmp_path):
    method = Method("AT", "AT", {"hparam": ("weight=9",), "epochs": 7})
    axes = (grid.read_axis("weight/epochs=1/2"),)
    made = Grid((method,), (("resnet20", "resnet8"),), axes=axes, **SIDES)
    (cell,) = expand(made, tmp_path, Options(epochs=3), given={"epochs"})
    assert cell.settings.epochs == 2 and "weight=1.0" in cell.settings.hparam
    assert cell.record.varied == (("weight/epochs", "1/2"),)


def test_what_cannot_be_run_is_told_and_the_others_are_run(tmp_path):
    crd, at = expand(make("CRD", "AT"), tmp_path, Options(mixup=0.2))
    assert "reads the label" in crd.problem and crd.settings is None
    assert crd.read().state == FAILED and crd.read().reason == crd.problem
    assert not at.problem and at.read().state == MISSING


def test_if_nothing_can_be_run_the_first_reason_is_the_error(tmp_path):
    wrong = expand(make("AT", "VID", pairs=(("resnet20", "resnet9"),)), tmp_path)
    with pytest.raises(ValueError, match="no net of this name"):
        cells.check_any(wrong)
    cells.check_any([*wrong, *expand(make("AT"), tmp_path)])


def expand_axes(tmp_path, methods, *axes):
    made = Grid(
        grid.read_methods(methods),
        (("resnet20", "ResNet-8"),),
        axes=tuple(map(grid.read_axis, axes)),
        **SIDES,
    )
    return expand(made, tmp_path)


def labels(cells):
    return [cell.record.label for cell in cells]


def test_what_changes_no_run_of_a_method_is_not_varied_of_it(tmp_path):
    found = expand_axes(tmp_path, ["none", "AT"], "teacher_epochs=10,20")
    assert labels(found) == ["none", "AT teacher_epochs=10", "AT teacher_epochs=20"]
    assert {cell.record.student for cell in found} == {"resnet8"}
    axes = "init_epochs=1,5", "epochs=2,3"
    found = expand_axes(tmp_path, ["AT", "FitNet", "DML"], *axes)
    assert labels(found)[:2] == ["AT epochs=2", "AT epochs=3"]
    assert labels(found)[2:6] == [
        f"FitNet init_epochs={i} epochs={e}" for i in (1, 5) for e in (2, 3)
    ]
    assert len(cells.runs(found)) == len(found) == 8


def test_equal_epochs_change_only_methods_with_an_initialising_phase(tmp_path):
    made = make("none", "AT", "FitNet", "DML")
    plain = expand(made, tmp_path)
    equal = expand(made, tmp_path, Options(equal_epochs=True))
    differ = [
        a.record.folder != b.record.folder for a, b in zip(plain, equal, strict=True)
    ]
    assert differ == [False, False, True, False]


def test_two_values_that_give_one_run_raise(tmp_path):
    message = "temperature=4 and Soft_logits temperature=4.0"
    with pytest.raises(ValueError, match=message):
        expand_axes(tmp_path, ["Soft_logits"], "temperature=4,4.0,5")


def test_one_value_is_shown_though_it_changes_nothing(tmp_path):
    assert labels(expand_axes(tmp_path, ["AT"], "init_epochs=5")) == [
        "AT init_epochs=5"
    ]


def test_two_methods_that_are_one_run_are_an_error(tmp_path):
    for name, weight in (("kd", ""), ("light", "--hparam=weight=0.5\n")):
        (tmp_path / f"{name}.flags").write_text(f"--distiller=KD\n{weight}")
    files = [str(tmp_path / f"{name}.flags") for name in ("kd", "light")]
    assert len(expand(make("none", *files), tmp_path)) == 3
    words = r"are one run.*Received: Soft_logits and Soft_logits \(kd\)"
    with pytest.raises(ValueError, match=words):
        expand(make("none", "Soft_logits", files[0]), tmp_path)


def test_a_teacher_that_is_varied_is_told(tmp_path):
    [note] = cells.notes(expand_axes(tmp_path, ["none", "AT"], "learning_rate=0.1,0.2"))
    assert "several resnet20 on " in note and ".keras file" in note
    assert not cells.notes(expand_axes(tmp_path, ["none", "AT"], "weight=1,2"))


def test_a_folder_with_other_settings_is_a_failure(tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    finish(cell)
    config = {"format": 1, **cell.settings.config()}
    path = cell.folder.config
    path.write_text(json.dumps(config))
    assert cell.read().state == FINISHED
    path.write_text(json.dumps({**config, "learning_rate": 0.5}))
    record = cell.read()
    assert record.state == FAILED
    assert "--learning_rate was 0.5 and is now 0.05" in record.reason
    (short,) = expand(make("AT"), tmp_path, Options(epochs=3))
    finish(short)
    short.folder.config.write_text(json.dumps(config))  # of the default's 60 epochs
    assert "--epochs was 60 and is now 3" in short.read().reason


def test_what_a_run_leaves_out_as_unused_is_no_other_setting(tmp_path):
    (cell,) = expand(make("AT"), tmp_path, Options(augmentation_period=5))
    finish(cell)
    config = {"format": 1, **cell.settings.config()}
    config["augmentation_period"] = Options().augmentation_period
    cell.folder.config.write_text(json.dumps(config))
    assert cell.read().state == FINISHED


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("metrics.csv", METRICS.replace("100.0", "3x")),
        ("metrics.csv", METRICS.replace("100.0", "0")),
        ("metrics.csv", METRICS.replace("100.0", "nan")),
        ("metrics.csv", METRICS.replace(",20,", ",0,")),
        ("metrics.csv", METRICS.replace("phase,", "phrase,")),
        ("metrics.csv", METRICS.rsplit("distill", 1)[0]),
        ("metrics.csv", METRICS.splitlines()[0] + "\n"),
        ("result.json", {"epochs": 3}),
        ("result.json", {"student": {"top1": "high"}}),
        ("result.json", {"student": {"top1": "0.25"}}),
        ("result.json", {"student": {"top1": None}}),
        ("result.json", {"student": {"top1": 0.25, "loss": math.nan}}),
        ("result.json", {"student": {"top1": 0.25, "parameters": "many"}}),
        ("result.json", {"student": {"top1": 0.25, "parameters": [1, 2]}}),
        ("result.json", {"student": {"top1": 0.25, "mean": [0.5, "half"]}}),
        ("result.json", {"best_on_validation": {"epoch": 1}}),
        ("result.json", {"best_on_validation": BEST | {"test_accuracy": "0.5"}}),
        ("result.json", {"settings": {"hparam": [], "batch_size": 8}}),
        ("result.json", {"settings": SETTINGS | {"task_weight": "x"}}),
        ("result.json", {"teacher": {"net": "resnet20"}}),
        ("result.json", {"teacher": {"top1": "0.9"}}),
        ("result.json", {"forward_passes": {"student": "once"}}),
        ("result.json", {"forward_passes": {"student": math.nan}}),
        ("result.json", {"provenance": []}),
        ("result.json", {"provenance": [{"hardware": {"devices": "CPU"}}]}),
        ("result.json", {"provenance": [{"versions": {"keras": 3}}]}),
        ("result.json", {"inputs": []}),
        ("result.json", {"files": ["metrics.csv"]}),
    ],
)
def test_each_damage_of_a_run_is_a_failure(file, text, tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    finish(cell)
    path = cell.record.folder / file
    if isinstance(text, dict):
        text = json.dumps({**json.loads(path.read_text()), **text})
    path.write_text(text)
    record = cell.read()
    assert record.state == FAILED and record.result is None
    assert str(cell.record.folder) in record.reason and "damaged" in record.reason


@pytest.mark.parametrize("name", ["metrics.csv", "student.keras"])
def test_another_file_than_the_run_wrote_is_a_failure(name, tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    finish(cell)
    path = cell.folder.path
    (path / "student.keras").write_text("a net")
    result = json.loads((path / "result.json").read_text())
    result["files"] = run_files.digests(path)
    (path / "result.json").write_text(json.dumps(result))
    assert cell.read().state == FINISHED
    whole = (path / name).read_text()
    (path / name).write_text(whole.replace("0.125", "0.135").replace("net", "nex"))
    record = cell.read()
    assert record.state == FAILED and record.result is None
    assert f"{path / name} is not what the run wrote" in record.reason
    (path / name).write_text(whole)
    (path / "student.keras").unlink()  # as of cells that are passed on
    assert cell.read().state == FINISHED


def test_a_damaged_reason_is_a_failure(tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    cell.failure.parent.mkdir()
    cell.failure.write_text("{}")
    assert cell.read().state == FAILED and str(cell.failure) in cell.read().reason
    finish(cell)
    assert cell.read().state == FINISHED


def test_a_fresh_teacher_is_in_the_tables_of_its_net_and_of_its_file(tmp_path):
    pairs = ((TEACHER, "resnet8"), ("resnet20", "resnet8"))
    found = expand(make("DML", pairs=pairs), tmp_path)
    assert [cell.record.teacher for cell in found] == [TEACHER, "resnet20"]
    assert len(cells.runs(found)) == 1


def test_read_finds_what_is_finished(tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    finish(cell)
    record = cell.read()
    assert record.state == FINISHED and record.last == 0.25 and record.epochs == 2
    result = json.loads(cell.folder.result.read_text())
    result["student"] |= {"mean": [0.5, 0.25, 0.5], "std": [0.25, 0.25, 0.25]}
    cell.folder.result.write_text(json.dumps(result))
    assert cell.read().state == FINISHED


def test_a_failure_is_told_until_the_cell_is_finished(tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    cell.failure.parent.mkdir()
    cell.failure.write_text(json.dumps({"reason": "diverged"}))
    assert (cell.read().state, cell.read().reason) == (FAILED, "diverged")
    finish(cell)
    assert (cell.read().state, cell.read().reason) == (FINISHED, "")


def test_another_versions_run_is_a_failure(tmp_path):
    (cell,) = expand(make("AT"), tmp_path)
    finish(cell, form=0)
    record = cell.read()
    assert record.state == FAILED and record.result is None
    assert "another program or version" in record.reason
    assert record.reason.index("format=1") < record.reason.index("format=0")


@pytest.mark.parametrize("text", ["{", "{}", "[]", "null", '{"student": {}}', None])
@pytest.mark.parametrize("name", ["result.json", "metrics.csv"])
def test_a_damaged_run_is_a_failure(tmp_path, name, text):
    (cell,) = expand(make("AT"), tmp_path)
    finish(cell)
    if name == "result.json" and text is not None:
        (cell.folder.path / name).write_text(text)
    else:
        name = "metrics.csv"
        (cell.folder.path / name).unlink()
    record = cell.read()
    assert record.state == FAILED and name in record.reason


def test_finished_runs_of_another_file_of_the_user_s_are_told(tmp_path):
    path = tmp_path / "my_method.py"
    path.write_text("A = 1\n")
    settings = Options(imports=(str(path),))
    made = expand(make("none", "AT", "VID"), tmp_path, settings)
    for cell in made[:2]:
        finish(cell)
        result = cell.folder.result
        inputs = {f"--imports={path}": user_code.digest(str(path))}
        found = json.loads(result.read_text())
        settings_of_it = {"settings": cell.settings.config()}
        result.write_text(json.dumps({**found, **settings_of_it, "inputs": inputs}))
    assert not cells.notes(made)
    path.write_text("A = 22\n")
    (note,) = cells.notes(made)
    assert note.startswith(f"note: 2 finished runs were made with another {path}, ")


def test_a_method_s_flag_file_has_imports_beside_the_grid_s(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    for name in ("one", "two"):
        text = f"""import distiller

@distiller.register("{name}_of_a_grid")
class Method(distiller.Distiller):
    def loss(self, student, teacher, batch):
        return {{}}
"""
        (tmp_path / f"{name}_file_of_a_grid.py").write_text(text)
    first, second = (str(tmp_path / f"{n}_file_of_a_grid.py") for n in ("one", "two"))
    user_code.load([first])
    file = tmp_path / "two.flags"
    file.write_text(f"--imports={second}\n--distiller=two_of_a_grid\n")
    made = make("one_of_a_grid", str(file))  # which imports the second one
    settings = Options(imports=(first,))
    one, two = expand(made, tmp_path, settings, given=("imports",))
    assert (one.settings.imports, one.problem) == ((first,), "")
    assert (two.settings.imports, two.problem) == ((first, second), "")
