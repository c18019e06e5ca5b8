"""The lines that the terminal shows, and the estimates that they are made of."""

import dataclasses
import pathlib

import pytest

from comparison import estimate, listing
from comparison.cells import Cell
from comparison.estimate import Estimates
from comparison.progress import Progress
from comparison.record import FAILED
from op_utils.options import Options
from tests.comparison import make
from tests.op_utils import tiny


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
    estimates = Estimates([finished("AT")])
    assert estimates.seconds(cell("AB")) == pytest.approx((4 + 3) * 6.4)
    assert estimates.seconds(cell("AB+AT")) == pytest.approx((4 + 3) * 6.4)
    assert estimates.seconds(cell("AB+FSP")) == pytest.approx((4 + 3 + 3) * 6.4)


def test_others_take_what_their_steps_take():
    estimates = Estimates([finished("AT")])
    assert estimates.seconds(cell("MLKD")) == pytest.approx(3.7 * 4 * 6.4)
    assert estimates.seconds(cell("MLKD+AT")) == pytest.approx(3.7 * 4 * 6.4)
    estimates = Estimates([finished("MLKD (ours/mlkd)")])
    assert estimates.seconds(cell("MLKD")) == pytest.approx(4 * 6.4)
    estimates = Estimates([finished("MLKD")])
    assert estimates.seconds(cell("AT")) == pytest.approx(4 * 6.4 / 3.7)


def test_pairs_of_which_nothing_is_known_are_measured_once():
    measured = []

    def measure(settings):
        measured.append(settings)
        return 10.0

    estimates = Estimates([finished()], measure)
    cells = [cell(student="resnet20"), cell("DML", student="resnet20"), cell()]
    found = [estimates.seconds(one) for one in cells]
    assert found == pytest.approx([40.0, 2.3 * 40.0, 4 * 6.4])
    assert len(measured) == 1
    assert Estimates([finished()]).seconds(cells[0]) is None


def test_the_listing_counts_a_teacher_once_and_tells_what_is_unknown():
    cells = [
        cell("AT", teacher_folder="absent", student="resnet20"),
        cell("SP", teacher_folder="absent", student="resnet20"),
        cell("none", student="resnet14"),
    ]
    measured = []

    def measure(settings):
        measured.append(settings)
        return 2.0 if settings.distiller == "none" else None

    first, *_, last = lines = list(listing.lines(cells, measure))
    assert first == "teacher resnet56: missing, about 2 min"  # 60 epochs
    assert [one.rpartition(": ")[2] for one in lines[1:4]] == [
        "missing, of unknown length",
        "missing, of unknown length",
        "missing, about 8 s",
    ]
    assert last == (
        "3 runs; about 2 min of training left, one by one; 2 of unknown length"
    )
    assert [(one.student, one.epochs) for one in measured] == [
        ("resnet20", 60),  # the teacher, as its own training has it
        ("resnet8", 4),
        ("resnet8", 4),
    ]


def test_what_decides_the_speed_is_kept_apart():
    estimates = Estimates([finished(settings={"batch_size": 8})], lambda settings: 1.0)
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


def test_a_step_is_measured():
    student, teacher = tiny.Net(), tiny.Net(1)
    student.image_shape = tiny.IMAGE_SHAPE
    before = tiny.values(student.trainable_variables)
    assert 0 < estimate.step_seconds(student, teacher, 4) < 10
    assert 0 < estimate.step_seconds(student, None, 4) < 10
    tiny.assert_equal(before, tiny.values(student.trainable_variables))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0, "0 s"), (89, "89 s"), (90, "2 min"), (5370, "1 h 30 min"),
     (5300, "88 min"), (36000, "10 h 00 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert estimate.as_text(seconds) == text


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
