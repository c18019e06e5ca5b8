import dataclasses
import pathlib

import numpy as np
import pytest

import train_w_distill  # noqa: F401 (defines the flags)
from comparison.grid import cells, search
from comparison.grid.definition import Grid, Method, read_methods
from comparison.grid.record import FAILED, FINISHED, Record
from options.settings import Options

METHODS = tuple(Method(name, name) for name in ("none", "Soft_logits"))
GRID = Grid(METHODS, (("resnet20", "resnet8"),), (1.0,), (0, 1))
TEMPERATURE = search.read_range("temperature:1:20:log")


def only(*texts):
    *_, study = search.studies(GRID, [search.read_range(text) for text in texts])[0]
    return study


def tried(study, count=4):
    """The values of each proposal, as numbers."""
    (axis,) = study.ask(count).axes
    return [tuple(map(float, value)) for value in axis.values]


def records(study, accuracy, state=FINISHED):
    """What the cells of the last proposals gave, at two seeds."""
    found = []
    for values in study._asked:
        for seed in (0, 1):
            top1 = accuracy(*map(float, values)) + (0.01 if seed else -0.01)
            best = {"epoch": 1, "validation_accuracy": top1, "test_accuracy": 0.0}
            found.append(
                Record(
                    "digits", "t", "s", "Soft_logits", (("x", "/".join(values)),),
                    1.0, seed, pathlib.Path("x"), state,
                    result={"best_on_validation": best} if state == FINISHED else None,
                )
            )  # fmt: skip
    return found


def run(study, accuracy, rounds):
    values = []
    for _ in range(rounds):
        values += tried(study)
        study.tell(records(study, accuracy))
    return values


def peak(temperature):
    return 0.9 - abs(np.log(temperature / 8)) / 5


def test_proposals_lie_in_their_range_and_near_what_was_good():
    values = np.array(run(only("temperature:1:20:log"), peak, 12))[:, 0]
    assert values.min() >= 1 and values.max() <= 20
    first, last = (np.abs(np.log(v / 8)).mean() for v in (values[:12], values[-12:]))
    assert last < first / 1.5


def test_the_same_results_lead_to_the_same_proposals():
    first, second = (run(only("temperature:1:20:log"), peak, 4) for _ in range(2))
    assert first == second
    other = run(only("temperature:1:20:log"), lambda t: -peak(t), 4)
    assert first[:8] == other[:8] and first != other


def test_several_are_searched_together_and_whole_numbers_stay_whole():
    study = only("epochs:2:5", "weight:0.1:1")
    for epochs, weight in tried(study, 8):
        assert epochs in (2, 3, 4, 5) and 0.1 <= weight <= 1
    axis = study.ask(4).axes[0]
    assert all("." not in epochs for epochs, _ in axis.values)


def test_equal_proposals_are_one_cell_and_all_are_told():
    grid = dataclasses.replace(GRID, methods=METHODS[1:])
    (study,), _ = search.studies(grid, [search.read_range("epochs:2:3")])
    grid = study.ask(4)
    assert len(grid.axes[0].values) <= 2
    study.tell(records(study, lambda epochs: epochs / 10))
    assert len(study._study.get_trials()) == 4
    assert all(trial.state.is_finished() for trial in study._study.get_trials())


def test_only_methods_that_have_it_are_searched():
    made, others = search.studies(GRID, [TEMPERATURE])
    assert [study.grid.methods[0].name for study in made] == ["Soft_logits"]
    assert [method.name for method in others.methods] == ["none"]
    made, others = search.studies(GRID, [search.read_range("epochs:1:5")])
    assert len(made) == 2 and others is None
    with pytest.raises(ValueError, match="--vary=nothing"):
        search.studies(GRID, [search.read_range("nothing:1:2")])


def test_a_failed_trial_does_not_end_the_search():
    study = only("temperature:1:20:log")
    tried(study)
    study.tell(records(study, peak, FAILED))
    assert len(tried(study)) == 4


def test_a_round_has_four_trials_at_most():
    study = only("temperature:1:20:log")
    counts = []
    for (grid,) in search.rounds([study], 10):
        counts.append(len(grid.axes[0].values))
        study.tell(records(study, peak))
    assert counts == [4, 4, 2]


def test_the_value_is_the_mean_over_the_seeds():
    study = only("temperature:1:20:log")
    tried(study, 1)
    found = records(study, lambda _: 0.5)
    assert search.validation_accuracy(found) == pytest.approx(0.5)
    assert search.validation_accuracy([]) is None


def test_without_a_validation_split_there_is_no_search():
    study = only("temperature:1:20:log")
    tried(study, 1)
    found = records(study, peak)
    for record in found:
        record.result["best_on_validation"] = None
    with pytest.raises(ValueError, match="Expected a validation split"):
        study.tell(found)


@pytest.mark.parametrize(
    "text",
    ["weight", "weight:1", "weight:2:1", "weight:1:1", "weight:0:1:log", ":1:2",
     "weight:a:2", "weight:1:inf", "weight:1:2:lin", "weight:1:2:log:x"],
)  # fmt: skip
def test_a_range_that_is_none(text):
    with pytest.raises(ValueError, match=f"Received: --search={text}"):
        search.read_range(text)


@pytest.mark.parametrize("text", ["heads:0.5:1.7", "heads:2.2:2.9:log"])
def test_a_range_without_two_whole_numbers(text):
    grid = dataclasses.replace(GRID, methods=(Method("MHGD", "MHGD"),))
    with pytest.raises(ValueError, match="range with two of them.*--search=heads"):
        search.studies(grid, [search.read_range(text)])


def test_a_range_of_whole_numbers_keeps_to_its_ends():
    grid = dataclasses.replace(GRID, methods=(Method("MHGD", "MHGD"),))
    (study,), _ = search.studies(grid, [search.read_range("heads:0.5:3.7")])
    values = {v for _ in range(5) for (v,) in tried(study)}
    assert values <= {1.0, 2.0, 3.0} and len(values) > 1


def expand(made):
    return cells.expand(
        made, Options(), (), train_w_distill.canonical, pathlib.Path("out")
    )


def test_who_does_not_use_what_is_searched_is_not_searched():
    grid = dataclasses.replace(GRID, methods=read_methods(("none", "AT", "FitNet")))
    made, _ = search.studies(grid, [search.read_range("init_epochs:1:30")])
    made, others = search.with_effect(made, expand)
    assert [study.grid.methods[0].name for study in made] == ["FitNet"]
    assert [other.methods[0].name for other in others] == ["none", "AT"]


def test_what_changes_nothing_is_not_searched():
    grid = dataclasses.replace(GRID, methods=read_methods(("none", "AT")))
    made, _ = search.studies(grid, [search.read_range("init_epochs:1:30")])
    with pytest.raises(ValueError, match="changes nothing.*--search=init_epochs"):
        search.with_effect(made, expand)


def test_a_run_that_all_values_share_is_each_ones_result():
    study = only("temperature:1:20:log")
    tried(study)
    study.tell([dataclasses.replace(r, varied=()) for r in records(study, peak)])
    assert {t.state.name for t in study._study.get_trials()} == {"COMPLETE"}


def test_large_whole_numbers_keep_all_digits():
    study = only("teacher_seed:1:2000000000")
    assert study.ends().axes[0].values == (("1",), ("2000000000",))
    assert any(len(value) > 6 for (value,) in study.ask(4).axes[0].values)


@pytest.mark.parametrize("name", ["FitNet.regressor", "xla", "schedule"])
def test_what_is_no_number_is_not_searched(name):
    grid = dataclasses.replace(GRID, methods=read_methods(("FitNet",)))
    with pytest.raises(ValueError, match=f"{name} is no number.*--search={name}:0:1"):
        search.studies(grid, [search.read_range(f"{name}:0:1")])


@pytest.mark.parametrize(
    ("text", "low"), [("epochs:0.5:3.7", "1"), ("momentum:0:0.9", "0")]
)
def test_a_flag_is_searched_between_values_that_it_can_have(text, low):
    assert only(text).ends().axes[0].values[0] == (low,)


def test_an_end_that_a_flag_cannot_be():
    with pytest.raises(ValueError, match="--momentum"):
        only("momentum:0:2")
