"""The lines that the terminal shows, and the estimates that they are made of."""

import dataclasses
import pathlib

import pytest

from comparison.grid import listing
from comparison.grid.cells import Cell
from comparison.grid.estimate import Estimates, Measured
from comparison.grid.progress import Progress
from comparison.grid.record import FAILED
from options.settings import Options
from tests.comparison import make


def cell(method="AT", epochs=4, teacher_folder="", state="missing", **place):
    record = make.record(method, state=state, **place)
    path = pathlib.Path("x")
    settings = Options(epochs=epochs, distiller=method, init_epochs=3)
    return Cell(record, settings, "", teacher_folder, path, path)


# 640 images an epoch at 100 images/s, of which 3 epochs: 19.2 s, 6.4 s each.
def finished(method="AT", **place):
    return make.record(method, speed=100.0, epochs=3, **place)


def test_a_method_that_was_run_takes_as_long_again():
    assert Estimates([finished()]).seconds(cell()) == pytest.approx(4 * 6.4)


def test_of_a_smaller_fraction_it_takes_its_share():
    estimates = Estimates([finished(fraction=0.5)])
    assert estimates.seconds(cell(fraction=0.25)) == pytest.approx(4 * 6.4 / 2)


def test_initialising_phases_count():
    for name, epochs in {"AB": 4 + 3, "AB+AT": 4 + 3, "AB+FSP": 4 + 3 + 3}.items():
        seconds = Estimates([finished(name)]).seconds(cell(name))
        assert seconds == pytest.approx(epochs * 6.4)


def test_the_methods_of_flag_files_are_known_by_their_name():
    estimates = Estimates([finished("MLKD (ours/mlkd)")])
    assert estimates.seconds(cell("MLKD")) == pytest.approx(4 * 6.4)


def test_only_runs_tell_what_a_method_costs():
    estimates = Estimates([finished("AT")])
    assert estimates.seconds(cell("MLKD")) is None
    # On other nets an epoch of all data took twelve times as long as AT's.
    estimates.add(finished("AT", student="resnet20"))
    place = {"student": "resnet20", "fraction": 0.5}
    estimates.add(make.record("MLKD", speed=50.0 / 3, epochs=3, **place))
    assert estimates.seconds(cell("MLKD")) == pytest.approx(12 * 4 * 6.4)
    assert estimates.seconds(cell("VID")) is None


def test_what_is_not_finished_is_measured_once_for_each_method_and_its_nets():
    measured = []

    def measure(settings):
        measured.append(settings.distiller)
        return Measured((("init", 2.0), ("train", 10.0)))

    estimates = Estimates([finished()], measure)
    cells = [
        cell("FitNet", student="resnet20"),
        cell("FitNet", student="resnet20", fraction=0.5),
        cell("VID", student="resnet20"),
        cell("AT"),
    ]
    found = [estimates.seconds(one) for one in cells]
    # 3 epochs of the first phase, 4 of the last one.
    assert found == pytest.approx([46.0, 23.0, 46.0, 4 * 6.4])
    assert measured == ["FitNet", "VID"]
    assert Estimates([finished()]).seconds(cells[0]) is None


def test_with_equal_epochs_the_last_phase_is_measured_as_the_rest():
    measured = Measured((("init", 2.0), ("train", 10.0)), evaluation=1.0, beside=7.0)
    own = Options(epochs=8, init_epochs=3)
    equal = dataclasses.replace(own, equal_epochs=True)
    assert measured.training(own, 1.0) == 3 * 2.0 + 8 * 10.0
    assert measured.training(equal, 1.0) == 3 * 2.0 + 5 * 10.0
    assert (measured.others(own), measured.others(equal)) == (8 + 7.0, 5 + 7.0)


def test_what_is_beside_training_is_of_finished_runs_or_measured():
    def with_wall(record, seconds):
        result = {**record.result, "wall_seconds": seconds}
        return dataclasses.replace(record, result=result)

    def measure(settings):
        return Measured((("train", 1.0),), evaluation=0.5, beside=7.0)

    runs = [with_wall(finished(), 19.2 + more) for more in (5.0, 6.0, 30.0)]
    estimates = Estimates(runs, measure, start=2.0)
    assert estimates.other_seconds(cell("VID")) == pytest.approx(2.0 + 6.0)
    other = cell("VID", student="resnet20")
    estimates.seconds(other)
    assert estimates.other_seconds(other) == pytest.approx(4 * 0.5 + 7.0)
    assert Estimates([finished()]).other_seconds(cell()) is None


def test_the_listing_counts_a_teacher_once_and_tells_what_is_unknown():
    cells = [
        cell("AT", teacher_folder="absent", student="resnet20"),
        cell("SP", teacher_folder="absent", student="resnet20"),
        cell("none", student="resnet14"),
    ]
    measured = []

    def measure(settings):
        measured.append(settings)
        return Measured((("train", 2.0),)) if settings.distiller == "none" else None

    first, *_, last = lines = list(listing.lines(cells, measure))
    assert len(lines) == 5
    assert first == "teacher resnet56: missing, about 2 min"  # 60 epochs
    assert [one.rpartition(": ")[2] for one in lines[1:4]] == [
        "missing, of unknown length",
        "missing, of unknown length",
        "missing, about 8 s",
    ]
    assert last == "3 runs; about 2 min left, one by one; 2 of unknown length"
    assert [(one.student, one.epochs) for one in measured] == [
        ("resnet20", 60),  # the teacher, as its own training has it
        ("resnet8", 4),  # AT
        ("resnet8", 4),  # SP
        ("resnet8", 4),  # the student alone
    ]


def test_the_listing_says_what_is_not_in_the_sum():
    def measure(settings):
        needed = {"cache": 1024, "memory": 3 << 20}
        return Measured((("train", 100.0),), evaluation=1.0, beside=6.0, **needed)

    cells = [cell("AT", seed=3), *(cell("VID", seed=seed) for seed in range(2))]
    cells = [
        dataclasses.replace(
            one, settings=dataclasses.replace(one.settings, teacher_cache=True)
        )
        for one in cells
    ]
    lines = list(listing.lines(cells, measure))
    assert [line.rpartition(", ")[2] for line in lines[:3]] == ["about 7 min"] * 3
    assert lines[3] == "3 runs; about 20 min left, one by one"
    assert lines[4] == "teacher cache: about 1.0 KiB of disk if it is empty"
    assert lines[5] == "memory: up to about 3.0 MiB a run"
    # What is finished tells only how long it trained: of an earlier version.
    cells[0] = cell("AT")
    finished_one = dataclasses.replace(cells[0], teacher="")
    object.__setattr__(finished_one, "read", finished)
    *_, total = listing.lines([finished_one, cell("AT", seed=5)], lambda _: None)
    assert total == (
        "2 runs; about 26 s left, one by one; start and evaluations of 1 are not in it"
    )


def test_what_decides_the_speed_is_kept_apart():
    measured = Measured((("train", 1.0),))
    estimates = Estimates([finished(settings={"batch_size": 8})], lambda _: measured)
    assert estimates.seconds(cell()) == pytest.approx(4.0)


def test_a_cell_that_trained_a_teacher_tells_little_of_the_others():
    cells = [cell(seed=seed, teacher_folder="t") for seed in range(3)]
    progress = Progress(3, 0, cells, 1, Estimates([]))
    for one in cells[:2]:
        record = finished(seed=one.record.seed)
        seconds = 1000.0 if one is cells[0] else 50.0
        progress.ended(one, record, seconds)
    assert progress.seconds_left() == pytest.approx(50.0)
    progress.close()


def test_a_run_without_a_speed_does_not_stop_the_grid():
    one = cell()
    record = finished()
    rows = tuple({**row, "images_per_second": ""} for row in record.rows)
    progress = Progress(1, 0, [one], 1, Estimates([]))
    progress.ended(one, dataclasses.replace(record, rows=rows), 10.0)
    assert progress.done == 1
    progress.close()


def progress(*cells, jobs=1, done=0):
    made = Progress(len(cells) + done, done, cells, jobs, Estimates([]))
    made.lines = []
    made.message = made.lines.append
    return made


def test_a_line_for_each_cell(capsys):
    good, bad = cell(seed=0), cell("CRD", seed=1, fraction=0.1)
    shown = progress(good, bad, done=3)
    shown.ended(good, dataclasses.replace(finished(best=0.25)), 600.0)
    failed = dataclasses.replace(bad.record, state=FAILED, reason="a loss of nan")
    shown.ended(bad, failed, 1.0)
    first, second = shown.lines
    assert first.startswith("4/5 AT, resnet56 -> resnet8, 100 %, seed 0: 50.00 % ")
    assert "(best on validation 25.00 %) in 10 min; left: " in first
    assert second == (
        "5/5 CRD, resnet56 -> resnet8, 10 %, seed 1: failed: a loss of nan; left: 0 s"
    )


def test_the_time_left_does_not_count_what_a_running_cell_has_behind_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    cells = [cell(seed=seed) for seed in range(3)]
    shown = progress(*cells, jobs=2)
    for one in cells[:2]:
        shown.started(one)
    now[0] += 4 * 6.4
    shown.ended(cells[0], finished(), 4 * 6.4)
    assert shown.seconds_left() == pytest.approx(4 * 6.4 / 2)  # of the third
    now[0] += 1000.0  # longer than was guessed
    assert shown.seconds_left() == pytest.approx(4 * 6.4 / 2)
    shown.started(cells[2])
    now[0] += 6.4
    assert shown.seconds_left() == pytest.approx(3 * 6.4 / 2)


def test_the_time_left_counts_what_a_run_takes_beside_training():
    cells = [cell(seed=seed) for seed in range(5)]
    shown = progress(*cells, jobs=2)
    assert shown.seconds_left() is None
    shown.ended(cells[0], finished(), 2 * 4 * 6.4)  # half of it is no training
    assert shown.seconds_left() == pytest.approx(4 * (2 * 4 * 6.4) / 2)
