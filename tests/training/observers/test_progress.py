import sys

import pytest

from training.observers.observer import Moment
from training.observers.progress import Progress

ROW = {"loss": 1.23456, "images_per_second": 1234.5, "train_accuracy": 0.5}


def moment(step):
    return Moment("distill", step, 20, 100 + step, 7, 0.1)


def run(progress):
    progress.phase_started(moment(0))
    progress.stepped(moment(3))
    progress.stepped(moment(20))
    progress.epoch_finished(
        moment(20), ROW | {"validation_accuracy": 0.25, "test_accuracy": 1.0}
    )
    progress.finished()


def test_without_a_terminal_there_is_one_line_an_epoch(capsys):
    run(Progress(64, "student"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "student: distill epoch 7, loss 1.2346, train 50.00 %, validation 25.00 %, "
        "test 100.00 %, 1234 images/s"
    ]


@pytest.mark.parametrize("number", [0, 3])
def test_skipped_steps_are_told(capsys, number):
    progress = Progress(64, "student")
    progress.phase_started(moment(0))
    progress.epoch_finished(moment(20), {"loss": 1.0, "skipped_steps": number})
    told = ", steps skipped 3" if number else ""
    line = f"student: distill epoch 7, loss 1.0000{told}\n"
    assert capsys.readouterr().err == line


def test_accuracies_that_were_not_measured_are_left_out(capsys):
    progress = Progress(64, "student")
    progress.phase_started(moment(0))
    progress.epoch_finished(moment(20), {"loss": 1.0, "images_per_second": 10.0})
    assert capsys.readouterr().err == (
        "student: distill epoch 7, loss 1.0000, 10 images/s\n"
    )


def test_between_evaluations_only_some_epochs_have_a_line(capsys):
    progress = Progress(64, "student", every=3)
    progress.phase_started(moment(0))
    for epoch, step in ((6, 2), (7, 4), (8, 6), (9, 8), (10, 20)):
        row = ROW | ({"test_accuracy": 1.0} if epoch == 8 else {})
        seen = Moment("distill", step, 20, 100 + step, epoch, 0.1)
        progress.epoch_finished(seen, row)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[3].strip(",") for line in lines] == ["6", "8", "9", "10"]


def test_an_epoch_that_a_restart_found_trained_has_no_speed(capsys):
    progress = Progress(64, "student")
    progress.phase_started(moment(0))
    progress.epoch_finished(moment(20), {"loss": 1.0})
    assert capsys.readouterr().err == "student: distill epoch 7, loss 1.0000\n"


def test_a_restart_says_where_it_goes_on(capsys):
    Progress(64, "teacher").phase_started(moment(13))
    assert capsys.readouterr().err == "teacher: going on at step 13 of distill\n"


@pytest.mark.parametrize("start", [0, 13])
def test_on_a_terminal_a_bar_counts_images(capsys, monkeypatch, start):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(64, "student")
    progress.phase_started(moment(start))
    progress.stepped(moment(15))
    progress.finished()
    err = capsys.readouterr().err
    assert "student distill" in err
    assert "960/1.28k" in err  # 15 of 20 steps of 64 images


def test_a_long_phase_is_told_how_long_it_takes(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def moment(step, steps=1000):
        return Moment("distill", step, steps, 100 + step, 7, 0.1)

    progress = Progress(64, "student")
    progress.phase_started(moment(0))
    for step in (1, 3, 6, 11, 16, 21):  # the first call compiles, for a minute
        now[0] += 60.0 if step == 1 else 5.0
        progress.stepped(moment(step))
    # Ten seconds for five steps: 994 take 33 minutes.
    text = "student: distill: about 33 min left, evaluations not counted\n"
    assert capsys.readouterr().err == text
    progress.phase_started(moment(0, steps=20))  # of one minute
    for step in (1, 5, 10, 20):
        now[0] += 15.0
        progress.stepped(moment(step, steps=20))
    assert capsys.readouterr().err == ""


def test_finishing_twice_or_early_is_allowed(capsys):
    progress = Progress(64, "student")
    progress.finished()
    run(progress)
    progress.finished()
    progress.message("over")
    assert capsys.readouterr().err.endswith("student: over\n")
