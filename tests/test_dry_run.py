"""train_w_distill.py --dry_run as a command."""

import re

import commands

SCRIPT = "train_w_distill.py"
QUICK = ("--batch_size=64", "--student=wrn_10_1", "--data_fraction=0.5")


def test_a_dry_run_tells_of_teacher_and_student_and_writes_nothing(tmp_path):
    given = "--teacher=wrn_10_1", "--epochs=3", "--teacher_epochs=2", "--dry_run"
    finished = commands.run(SCRIPT, *QUICK, *given, "--teacher_cache", cwd=tmp_path)
    assert finished.code == 0, finished.err
    lines = finished.out.splitlines()
    roles = [line for line in lines if line.endswith(", a new run")]
    assert [role.partition(":")[0] for role in roles] == ["teacher", "student"]
    steps = re.findall(r"^  (\w+): (\d+) steps of [\d.e+]+ ms", finished.out, re.M)
    assert steps == [("train", "44"), ("distill", "33")]
    assert "  teacher cache: " in finished.out
    assert lines[-2].startswith("memory: ")
    assert re.fullmatch(r"in all: about \d+ \w+; nothing was written", lines[-1])
    assert not list(tmp_path.glob("[!.]*"))


def test_a_dry_run_of_what_is_there(teacher):
    folder = teacher.parents[1]
    given = "--distiller=none", "--student=wrn_10_1", "--train_dir=run", "--dry_run"
    before = {p: p.stat().st_mtime_ns for p in (folder / "run").rglob("*")}
    finished = commands.run(SCRIPT, *given, "--epochs=2", cwd=folder)
    assert finished.code == 0
    assert "run is finished, there is nothing to train" in finished.out
    assert " steps " not in finished.out
    other = commands.run(SCRIPT, *given, "--epochs=3", cwd=folder)
    assert other.code == 2 and "--epochs was 2 and is now 3" in other.error_lines[0]
    assert {p: p.stat().st_mtime_ns for p in (folder / "run").rglob("*")} == before
