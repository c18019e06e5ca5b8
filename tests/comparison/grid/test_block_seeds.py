"""A replicate is a whole repetition: what the seed of a block decides."""

import dataclasses
import pathlib

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import benchmark
import dataloader
import train_w_distill
from comparison.grid import cells, search
from comparison.grid import definition as grid
from comparison.grid import flags as grid_flags
from comparison.grid.definition import Grid, Method
from options import flags as option_flags
from options.settings import Options
from tests.comparison.make import finish

ROOT = pathlib.Path(__file__).parents[3]
TEACHER = str(ROOT / "pretrained/cifar10_resnet20.keras")
TRAINED, GIVEN = ("resnet20", "resnet8"), (TEACHER, "resnet8")
NO_TEACHER = ("", "resnet8")
HELD_OUT = Options(validation=0.1)


def expand(output, *methods, pairs=(TRAINED,), settings=HELD_OUT, given=(), axes=()):
    made = Grid(
        methods=tuple(
            m if isinstance(m, Method) else Method(m, m) for m in methods or ["AT"]
        ),
        pairs=pairs,
        fractions=(0.5,),
        seeds=(0, 3),
        axes=tuple(map(grid.read_axis, axes)),
    )
    return cells.expand(made, settings, set(given), train_w_distill.canonical, output)


def seeds(found):
    return [
        (cell.settings.seed, cell.settings.data_seed, cell.settings.split_seed)
        for cell in found
    ]


def test_a_block_is_a_seed_and_its_data_seed_for_all_methods(tmp_path):
    found = expand(tmp_path, "none", "AT", "DML", pairs=(GIVEN,))
    assert seeds(found) == [(0, 0, 0)] * 3 + [(3, 3, 0)] * 3


@pytest.mark.parametrize("pairs", [(TRAINED,), (GIVEN,), (TRAINED, GIVEN)])
def test_no_teacher_has_seen_what_a_block_holds_out(pairs, tmp_path):
    found = expand(tmp_path, "none", "AT", "VID", "DML", pairs=pairs)
    assert {cell.settings.split_seed for cell in found} == {0}
    # Whichever methods there are: their cells are in one folder.
    (alone,) = expand(tmp_path, "none", pairs=pairs)[1:]
    assert alone.record in {cell.record for cell in found}


def test_one_teacher_is_trained_for_all_blocks(tmp_path):
    found = expand(tmp_path)
    (folder,) = {cell.teacher for cell in found}
    own = dataclasses.replace(HELD_OUT, teacher="resnet20").for_teacher()
    assert folder == own.train_dir, "the one that is trained without a grid"
    assert not cells.notes(found)
    held = [
        {tuple(dataloader.prepare(**run.data()).validation.labels)}
        for run in (own, *(cell.settings for cell in found))
    ]
    assert held[0] == held[1] == held[2]


def test_without_a_teacher_all_of_the_data_is_drawn_again(tmp_path):
    found = expand(tmp_path, "none", pairs=(NO_TEACHER,))
    assert seeds(found) == [(0, 0, 0), (3, 3, 3)]


def test_blocks_differ_in_images_and_order_and_not_in_what_is_held_out(tmp_path):
    first, second = (
        dataloader.prepare(**cell.settings.data()) for cell in expand(tmp_path)
    )
    assert not np.array_equal(first.indices, second.indices)
    np.testing.assert_array_equal(first.validation.images, second.validation.images)


@pytest.mark.parametrize("seed", [0, 2])
def test_a_data_seed_that_is_given_is_that_of_all_blocks(seed, tmp_path):
    settings = dataclasses.replace(HELD_OUT, data_seed=seed)
    found = expand(tmp_path, "none", "AT", settings=settings, given={"data_seed"})
    assert {(s, d, v) for s, d, v in seeds(found)} == {(0, seed, seed), (3, seed, seed)}
    expected = train_w_distill.canonical(
        dataclasses.replace(settings, distiller="AT", data_fraction=0.5, seed=3)
    )
    assert found[-1].settings.config() == expected.config(), "as before"
    assert found[-1].teacher == expected.for_teacher().train_dir


def test_a_given_teacher_keeps_its_validation_split(tmp_path):
    settings = dataclasses.replace(HELD_OUT, data_seed=2)
    for changes in ({"pairs": (GIVEN,)}, {"teacher_weights": "imagenet"}):
        pairs = changes.pop("pairs", (TRAINED,))
        made = dataclasses.replace(settings, **changes)
        # What cannot be run, as a net of ours with such weights, is not of interest.
        found = expand(
            tmp_path, "none", pairs=pairs, settings=made, given={"data_seed"}
        )
        assert {cell.settings.split_seed for cell in found} == {0}


def test_a_validation_seed_that_is_given_is_that_of_all_blocks(tmp_path):
    settings = dataclasses.replace(HELD_OUT, validation_seed=5)
    found = expand(
        tmp_path, pairs=(GIVEN,), settings=settings, given={"validation_seed"}
    )
    assert seeds(found) == [(0, 0, 5), (3, 3, 5)]


def test_a_methods_file_does_not_decide_the_blocks(tmp_path):
    own = {"data_seed": 7, "validation_seed": 8, "teacher_data_seed": 9, "epochs": 2}
    found = expand(tmp_path, "none", Method("AT", "AT", own))
    assert seeds(found) == [(0, 0, 0)] * 2 + [(3, 3, 0)] * 2
    assert found[1].settings.epochs == 2
    assert found[1].settings.teacher_data_seed == 0


def test_data_seeds_that_are_varied_are_rows(tmp_path):
    found = expand(tmp_path, axes=["data_seed=1,2"])
    assert seeds(found) == [(0, 1, 0), (0, 2, 0), (3, 1, 0), (3, 2, 0)]
    assert found[0].record.label == "AT data_seed=1"
    assert len({cell.teacher for cell in found}) == 1


def test_trials_of_a_search_have_blocks(tmp_path):
    made = Grid((Method("AT", "AT"),), (TRAINED,), (0.5,), (0, 3))
    ((study,), _) = search.studies(made, [search.read_range("weight:1:2")])
    found = cells.expand(
        study.ask(2), HELD_OUT, set(), train_w_distill.canonical, tmp_path
    )
    assert seeds(found) == [(0, 0, 0)] * 2 + [(3, 3, 0)] * 2


def read(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["benchmark.py", *arguments])
        settings = option_flags.read()
        grid_flags.read(settings)
        names = set(option_flags.given())
        made = grid_flags.read(settings)
        return cells.expand(made, settings, names, benchmark.canonical, ROOT / "out")


BARE = ("--methods=none", "--seeds=0,3", "--validation=0.1")


def test_the_default_counts_where_it_is_given(tmp_path):
    """On the command line, or in the flag file of the grid."""
    path = tmp_path / "grid.flags"
    path.write_text("--data_seed=0\n")
    assert seeds(read(*BARE)) == [(0, 0, 0), (3, 3, 0)]
    for given in ("--data_seed=0", f"--flagfile={path}"):
        assert seeds(read(*BARE, given)) == [(0, 0, 0), (3, 0, 0)]


def test_a_grid_may_name_no_teacher():
    found = read(*BARE, "--teacher=")
    assert seeds(found) == [(0, 0, 0), (3, 3, 3)]
    assert [cell.problem for cell in found] == ["", ""]
    (problem,) = {cell.problem for cell in read(*BARE, "--teacher=", "--methods=AT")}
    assert "no net of this name" in problem


def test_a_split_that_is_not_the_data_seeds_is_told(capsys):
    pair = f"--pairs={TEACHER}:resnet8"
    read(*BARE, pair, "--data_seed=4")
    assert "--validation_seed=4 cuts it" in capsys.readouterr().out
    for quiet in (["--data_seed=0"], [], ["--data_seed=4", "--validation_seed=0"]):
        read(*BARE, pair, *quiet)
        assert "cuts it" not in capsys.readouterr().out


def test_runs_of_earlier_versions_are_told(tmp_path):
    found = expand(tmp_path, "none")
    settings = dataclasses.replace(HELD_OUT, data_seed=0)
    before = expand(tmp_path, "none", settings=settings, given={"data_seed"})
    assert not cells.notes(found)
    finish(before[1])
    (note,) = cells.notes(found)
    assert "--data_seed=0" in note and not cells.notes(before)


COMMITTED = {
    "--fractions=0.1": 52,
    "--methods=none,FitNet,OFD,NST,AB,Soft_logits,FT --fractions=0.25,0.1": 28,
}


@pytest.mark.parametrize("arguments", COMMITTED)
def test_the_committed_cells_are_found(arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    with flagsaver.flagsaver():
        file = "--flagfile=configs/grids/cifar10_fractions.flags"
        flags.FLAGS(["benchmark.py", file, *arguments.split()])
        settings = option_flags.read()
        names, output = set(option_flags.given()), option_flags.path("output")
        found = cells.expand(
            grid_flags.read(settings),
            settings,
            names,
            benchmark.canonical,
            pathlib.Path(output),
        )
    states = [cell.read().state for cell in found]
    # Methods that came later are in no results yet.
    assert states.count("finished") == COMMITTED[arguments]
