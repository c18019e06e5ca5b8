"""benchmark.py as a command."""

import csv
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from absl import flags
from absl.testing import flagsaver

import benchmark
import commands
from comparison.grid.record import MISSING
from tests.comparison.make import BEST, finish

SCRIPT = "benchmark.py"
TINY = (
    "--dataset=digits",
    "--teacher=WResNet-10-1",
    "--student=WResNet-10-1",
    "--epochs=2",
    "--teacher_epochs=1",
    "--validation=0.1",
    "--data_fraction=0.2",
    "--batch_size=32",
    "--output=out",
)

# Arguments -> what the error line has to name.
BAD_FLAGS = {
    "--methods=none,KDD": "KDD",
    "--methods=absent/*.flags": "--methods=absent/*.flags",
    "--methods=none,none": "--methods=none,none",
    "--pairs=resnet20": "--pairs=resnet20",
    "--methods=AT --pairs=resnet20:resnet9": "resnet9",
    "--methods=AT --pairs=absent.keras:resnet8": "absent.keras",
    "--seeds=0,x": "--seed cannot be 'x'",
    "--methods=AT --seeds=0,-1": "--seed",
    "--pairs=resnet20:resnet8,resnet20:resnet9": "resnet9",
    "--methods=AT --fractions=1,2": "--data_fraction",
    "--methods=AT --pairs=WResNet-11-1:resnet8": "depth=11",
    "--methods=none --dataset=digit": "name='digit'",
    "--fractions=0.1,0.1": "--fractions=0.1,0.1",
    "--vary=temprature=2,4": "--vary=temprature",
    "--vary=temperature": "--vary=temperature",
    "--dry_run --report_only": "Received: both",
    "--methods=none,AT --reference=SP": "one of none, AT. Received: --reference=SP",
    "--vary=KDD.weight=1": "KDD",
    "--vary=epochs=1,x": "--epochs cannot be 'x'",
    "--shard=3/2": "--shard=3/2",
    "--shard=0/2": "--shard=0/2",
    "--shard=half": "--shard=half",
    "--jobs=0": "jobs",
    "--distiller=AT": "--methods",
    "--hparam=weight=1": "--vary",
    "--train_dir=x": "--output",
    "--continue_from=x": "--continue_from=x",
    "--methods=none --vary=continue_from=x,y": "--continue_from=x",
    "--list": "train_w_distill.py --list",
    "--vary=student=resnet8,resnet14": "--vary=student",
    "--vary=hparam=weight=1,weight=2": "--vary=hparam",
    "--vary=evaluate_every=1,2": "--vary=evaluate_every",
    "--vary=temperature=2,4 --vary=temperature=8": "temperature twice",
    "--search=weight:1:2": "--validation=0",
    "--search=weight:2:1": "--search=weight:2:1",
    "--search=weight:1:2 --shard=1/2": "--shard",
    "--search=weight:1:2 --vary=epochs=1,2": "--vary",
    "--search=wieght:1:2 --validation=0.1": "wieght",
    "--search=weight:0.1:1 --validation=0.1 --trials=0": "trials",
}


@pytest.mark.parametrize("arguments", BAD_FLAGS)
def test_bad_flags(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with flagsaver.flagsaver(), pytest.raises((ValueError, flags.Error)) as raised:
        flags.FLAGS([SCRIPT, *arguments.split(), "--dry_run"])
        benchmark.main()
    text = " ".join(str(raised.value).split())
    assert BAD_FLAGS[arguments] in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", ["--methods=none,KDD", "unexpected", "--jobs=0"])
def test_an_error_is_one_line(arguments, tmp_path):
    finished = commands.run(SCRIPT, arguments, cwd=tmp_path)
    assert finished.code == 2
    assert len(finished.error_lines) == 1
    assert "Traceback" not in finished.err
    assert not list(tmp_path.glob("[!.]*"))


@pytest.mark.parametrize("name", ["npz:absent.npz", "folder:absent"])
def test_absent_data_are_told_before_any_run(name, tmp_path):
    given = f"--dataset={name}", "--methods=none,AT"
    finished = commands.run(SCRIPT, *given, cwd=tmp_path)
    assert finished.code == 2
    assert len(finished.error_lines) == 1 and name in finished.error_lines[0]
    assert not list(tmp_path.glob("[!.]*"))


def test_a_dry_run_lists_the_cells_and_writes_nothing(tmp_path):
    given = "--methods=none,AT,CRD", "--seeds=0,1", "--mixup=0.2", "--dry_run"
    finished = commands.run(SCRIPT, *TINY, *given, cwd=tmp_path)
    assert finished.code == 0, finished.err
    assert "measuring AT on wrn_10_1:wrn_10_1\n" in finished.err
    teacher, *lines = finished.out.splitlines()
    assert teacher.startswith("teacher wrn_10_1: missing, about ")
    assert "none, wrn_10_1, 20 %, seed 0: missing, about " in lines[0]
    assert "AT, wrn_10_1 -> wrn_10_1, 20 %, seed 0: missing" in lines[1]
    assert "CRD, wrn_10_1 -> wrn_10_1, 20 %, seed 0: failed" in lines[2]
    assert "reads the label of each image" in lines[2]
    assert lines[6].startswith("6 runs; about ")
    assert not list(tmp_path.glob("[!.]*"))


def test_a_dry_run_needs_no_data(tmp_path):
    given = "--dataset=npz:absent.npz", "--methods=none,AT,AB", "--dry_run"
    finished = commands.run(SCRIPT, *TINY, *given, cwd=tmp_path)
    assert finished.code == 0, finished.err
    lines = finished.out.splitlines()
    notes = [line for line in lines if line.startswith("note: ")]
    assert len(notes) == 1 and "absent.npz" in notes[0]
    assert lines[-1] == "3 runs; 4 of unknown length"  # with the teacher


def test_two_reports_of_one_folder_of_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in (["--seeds=0,1"], ["--seeds=0", "--report_dir=out/small"]):
        with flagsaver.flagsaver():
            flags.FLAGS([SCRIPT, *TINY, "--methods=none", "--report_only", *given])
            benchmark.main()
    assert [len(table(tmp_path / n)[0]) for n in ("out", "out/small")] == [2, 1]


def test_a_report_compares_with_another_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = "--methods=none,AT,KD", "--reference=ST", "--report_only"
    with flagsaver.flagsaver():
        flags.FLAGS([SCRIPT, *TINY, *given])
        benchmark.main()
    assert "| To Soft_logits |" in (tmp_path / "out/report.md").read_text()


SEARCH = "--search=init_epochs:1:30", "--validation=0.1", "--trials=6"


def in_process(monkeypatch, run_cells, *given):
    """benchmark.py with other runs; the methods and values of each call's cells."""
    calls = []

    def stub(cells):
        calls.append([cell.record.label for cell in cells])
        run_cells(cells)

    monkeypatch.setattr(benchmark, "run_cells", stub)
    with flagsaver.flagsaver():
        flags.FLAGS([SCRIPT, *given])
        benchmark.main()
    return calls


def finish_all(cells):
    for cell in cells:
        if cell.read().state == MISSING:
            finish(cell, best=BEST)


def test_who_does_not_use_what_is_searched_is_run_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ("--methods=none,AT,FitNet", *SEARCH)
    alone, *rounds = in_process(monkeypatch, finish_all, *given)
    assert alone == ["none", "AT"]
    assert 5 <= sum(map(len, rounds)) <= 6 and len(rounds) == 2
    assert all(
        label.startswith("FitNet init_epochs=") for own in rounds for label in own
    )
    assert (
        "note: what is searched changes no run of none, AT" in capsys.readouterr().out
    )
    rows, _ = table(tmp_path / "runs/benchmark")
    assert {row["state"] for row in rows} == {"finished"}


def test_a_search_waits_for_a_run_that_another_process_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("--methods=FitNet", *SEARCH)
    calls = in_process(monkeypatch, lambda cells: finish_all(cells[1:]), *given)
    assert len(calls) == 2 and not calls[0]  # without what is searched there is none


def test_what_a_methods_file_says_of_the_sides_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "at.flags").write_text("--distiller=AT\n--seed=7\n--epochs=9\n")
    in_process(monkeypatch, finish_all, "--methods=none,at.flags")
    assert "have no effect (--seed)\n" in capsys.readouterr().out
    assert {row["seed"] for row in table(tmp_path / "runs/benchmark")[0]} == {"0"}


def test_a_shard_fails_by_its_own_runs_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fail_at(cells):
        for cell in cells:
            if cell.record.method == "AT":
                cell.failure.parent.mkdir(parents=True)
                cell.failure.write_text('{"reason": "diverged"}')
            else:
                finish(cell)

    given = ("--methods=none,AT",)
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):
        in_process(monkeypatch, fail_at, *given, "--shard=2/2")
    assert in_process(monkeypatch, fail_at, *given, "--shard=1/2") == [["none"]]


def table(folder):
    """The report without what is measured in seconds."""
    with open(folder / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    text = (folder / "report.md").read_text()
    accuracy = [line for line in text.splitlines() if "±" in line]
    return rows, accuracy


def start(*given, cwd):
    """A grid in a process of its own, whose death its runs must notice."""
    command = [sys.executable, str(commands.ROOT / SCRIPT), *TINY, *given]
    with open(cwd / "log", "ab") as log:
        return subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)


@pytest.mark.slow
def test_the_report_has_the_numbers_of_the_run_folders(tmp_path):
    given = "--methods=none,AT,FSP", "--student=WResNet-10-1", "--seeds=0,1"
    given += ("--pairs=WResNet-16-2:WResNet-10-1", "--jobs=2")
    assert start(*given, cwd=tmp_path).wait() == 1  # FSP needs equal widths
    rows, _ = table(tmp_path / "out")
    assert [row["method"] for row in rows] == ["none", "AT", "FSP"] * 2
    for row in rows:
        folder = tmp_path / "out/cells" / row["folder"]
        if row["method"] == "FSP":
            assert row["state"] == "failed" and "channels" in row["reason"]
            continue
        result = json.loads((folder / "result.json").read_text())
        assert float(row["last"]) == result["student"]["top1"]
        assert float(row["best"]) == result["best_on_validation"]["test_accuracy"]
        with open(folder / "metrics.csv", newline="") as file:
            assert len(list(csv.DictReader(file))) == int(row["epochs"])
    log = (tmp_path / "log").read_text()
    assert "error: 2 of 6 runs failed: see the report" in log


@pytest.mark.slow
def test_a_grid_that_is_killed_ten_times_has_the_same_table(tmp_path):
    given = "--methods=none,FitNet,CRD,DML", "--seeds=0,1", "--jobs=2"
    given += ("--checkpoint_every=3", "--init_epochs=1", "--epochs=6")
    folders = tmp_path / "straight", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    began = time.monotonic()
    assert start(*given, cwd=folders[0]).wait() == 0
    whole = time.monotonic() - began
    randomness, kills = random.Random(0), 0
    while kills < 10:
        process = start(*given, cwd=folders[1])
        try:
            process.wait(whole * randomness.uniform(0.08, 0.16))
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills == 10
    assert start(*given, cwd=folders[1]).wait() == 0
    straight, killed = (table(folder / "out") for folder in folders)
    assert straight == killed
    students = [
        {
            path.parent.name: weights(path)
            for path in folder.glob("out/cells/*/student*")
        }
        for folder in folders
    ]
    assert students[0] == students[1] and len(students[0]) == 8


def weights(path):
    """The bytes of a student's weights."""
    from nets import saving

    return [w.tobytes() for w in saving.load(path).get_weights()]


@pytest.mark.slow
def test_shards_fill_one_folder(tmp_path):
    given = "--methods=none,Soft_logits,AT", "--seeds=0,1"
    for shard in ("1/2", "2/2"):
        assert start(*given, f"--shard={shard}", cwd=tmp_path).wait() == 0
    rows, _ = table(tmp_path / "out")
    assert [row["state"] for row in rows] == ["finished"] * 6
    (tmp_path / "log").unlink()
    assert start(*given, cwd=tmp_path).wait() == 0  # nothing is left
    assert "seed" not in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_a_search_goes_on_where_it_was(tmp_path):
    given = "--methods=Soft_logits", "--search=temperature:1:20:log", "--epochs=1"
    for trials in (2, 6):
        finished = start(*given, f"--trials={trials}", cwd=tmp_path)
        assert finished.wait() == 0
        rows, _ = table(tmp_path / "out")
        assert len(rows) == trials
    assert len(list(pathlib.Path(tmp_path / "out/cells").iterdir())) == 6
