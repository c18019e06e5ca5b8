"""The runner with processes that only write what a run leaves."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import filelock
import pytest

from common.interruption import Interrupted
from comparison.grid import launch
from comparison.grid.cells import Cell
from comparison.grid.record import FAILED, FINISHED, Record
from comparison.grid.runner import Runner
from options.settings import Options

FINISH = (
    "import json, pathlib, sys, time\n"
    "folder = pathlib.Path(sys.argv[1])\n"
    "folder.mkdir(parents=True, exist_ok=True)\n"
    "(folder / 'began').write_text(str(time.time()))\n"
    "{then}\n"
    "(folder / 'metrics.csv').write_text('phase,epoch,step\\na,1,10\\n')\n"
    "result = dict(student=dict(top1=0.5), best_on_validation=None, epochs=1)\n"
    "result['settings'] = dict(hparam=[], distiller='none', batch_size=8)\n"
    "(folder / 'result.json').write_text(json.dumps(result))\n"
    "(folder / 'ended').write_text(str(time.time()))\n"
)
FAIL = "sys.exit('error: a loss of nan. Expected a number.')"
KILLED = "import os; os.kill(os.getpid(), 9)"
CRASH = "raise RuntimeError('what is this')"


def until(path):
    """Waits for another cell's file, at most for a while."""
    return (
        "end = time.monotonic() + 20\n"
        f"while not (folder.parent / {path!r}).exists():\n"
        "    assert time.monotonic() < end\n"
        "    time.sleep(0.02)"
    )


SAVES = (
    "import signal\n"
    "signal.signal(15, lambda *_: (folder / 'saved').touch() or sys.exit(143))\n"
    "time.sleep(60)"
)


@dataclasses.dataclass
class Grid:
    """Cells in a folder, and what each one's process does."""

    path: pathlib.Path
    programs: dict = dataclasses.field(default_factory=dict)
    started: list = dataclasses.field(default_factory=list)
    ended: list = dataclasses.field(default_factory=list)
    told: list = dataclasses.field(default_factory=list)

    def cell(self, name, then="", teacher=""):
        folder = self.path / "cells" / name
        self.programs[str(folder)] = FINISH.format(then=then)
        record = Record("digits", "", "resnet8", name, (), 1.0, 0, folder)
        settings = Options(train_dir=str(folder))
        logs = self.path / "logs"
        files = logs / f"{name}.log", logs / f"{name}.json"
        return Cell(record, settings, "", teacher, *files)

    def start(self, arguments, log):
        (folder,) = (x.partition("=")[2] for x in arguments if "train_dir" in x)
        command = [sys.executable, "-c", self.programs[folder], folder]
        with open(log, "ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=file)

    def run(self, *cells, jobs=1):
        def ended(cell, record, seconds):
            self.ended.append((cell.record.method, record.state, record.reason))

        Runner(cells, jobs, self.started.append, ended, self.told.append).run()

    def times(self, name):
        folder = self.path / "cells" / name
        return [float((folder / x).read_text()) for x in ("began", "ended")]


@pytest.fixture
def grid(tmp_path, monkeypatch):
    made = Grid(tmp_path)
    monkeypatch.setattr(launch, "start", made.start)
    return made


def test_one_after_the_other_in_their_order(grid):
    grid.run(grid.cell("a", "time.sleep(0.3)"), grid.cell("b"))
    assert [name for name, *_ in grid.ended] == ["a", "b"]
    assert [cell.record.method for cell in grid.started] == ["a", "b"]
    assert grid.times("a")[1] <= grid.times("b")[0]


def test_two_at_once(grid):
    grid.run(grid.cell("a", until("b/began")), grid.cell("b"), jobs=2)
    assert [state for _, state, _ in grid.ended] == [FINISHED] * 2


def test_failures_are_told_and_do_not_stop_the_rest(grid):
    cells = [grid.cell("wrong", FAIL), grid.cell("killed", KILLED)]
    grid.run(*cells, grid.cell("crashed", CRASH), grid.cell("good"))
    (*_, wrong), (*_, killed), (*_, crashed), good = grid.ended
    assert wrong == "a loss of nan. Expected a number."
    assert killed.startswith("killed by SIGKILL; see ")
    assert crashed.startswith("exit code 1: RuntimeError: what is this; see ")
    assert good == ("good", FINISHED, "")
    assert [state for _, state, _ in grid.ended[:3]] == [FAILED] * 3
    assert json.loads(cells[0].failure.read_text())["reason"] == wrong


def test_a_second_try_forgets_the_first_ones_failure(grid):
    grid.run(grid.cell("a", FAIL))
    grid.run(grid.cell("a"))
    assert [state for _, state, _ in grid.ended] == [FAILED, FINISHED]


def test_only_one_trains_a_teacher(grid):
    teacher = str(grid.path / "teacher")
    first = grid.cell("a", until("alone/ended"), teacher)
    others = grid.cell("b", until("c/began"), teacher), grid.cell("c", "", teacher)
    grid.run(first, *others, grid.cell("alone"), jobs=3)
    assert [state for _, state, _ in grid.ended] == [FINISHED] * 4
    assert all(grid.times(name)[0] >= grid.times("a")[1] for name in ("b", "c"))


def test_a_cell_at_which_another_process_works_comes_later(grid):
    busy, other = grid.cell("busy"), grid.cell("other")
    busy.folder.path.mkdir(parents=True)
    lock = filelock.FileLock(busy.folder.path / ".lock", thread_local=False)
    lock.acquire()
    threading.Timer(1.0, lock.release).start()
    grid.run(busy, other)
    assert [name for name, *_ in grid.ended] == ["other", "busy"]
    assert grid.told == [f"{busy.folder.path} is in use by another process"]


def test_a_cell_that_another_process_took_just_before_comes_later(grid):
    """It has no lock yet when this one starts, and fails for that alone."""
    taken = grid.cell("taken", "sys.exit('error: in use') if {first} else None")
    program = grid.programs[str(taken.folder.path)]
    marker = grid.path / "second"
    program = program.replace("{first}", f"not pathlib.Path({str(marker)!r}).exists()")
    grid.programs[str(taken.folder.path)] = program
    taken.folder.path.mkdir(parents=True)
    lock = filelock.FileLock(taken.folder.path / ".lock", thread_local=False)
    start = launch.start

    def start_late(arguments, log):
        if not lock.is_locked and not marker.exists():
            lock.acquire()
            threading.Timer(1.0, lambda: (marker.touch(), lock.release())).start()
        return start(arguments, log)

    launch.start = start_late
    grid.run(taken)
    assert grid.ended == [("taken", FINISHED, "")]


def test_an_earlier_trys_error_is_not_told_again(grid):
    grid.run(grid.cell("a", FAIL))
    grid.run(grid.cell("a", CRASH))
    assert "what is this" in grid.ended[1][2]


def test_what_another_process_finished_meanwhile_is_not_run(grid):
    first, second = grid.cell("a"), grid.cell("b", FAIL)
    grid.programs[str(first.folder.path)] += (
        "other = folder.parent / 'b'\n"
        "other.mkdir()\n"
        "for name in ('metrics.csv', 'result.json'):\n"
        "    (other / name).write_bytes((folder / name).read_bytes())\n"
    )
    grid.run(first, second)
    assert grid.ended[1] == ("b", FINISHED, "")


def test_a_signal_lets_the_running_cells_save(grid):
    cells = [grid.cell("a", SAVES), grid.cell("b")]

    def stop():
        while not (cells[0].folder.path / "began").exists():
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted) as stopped:
        grid.run(*cells)
    assert stopped.value.signum == signal.SIGTERM
    assert (cells[0].folder.path / "saved").exists()
    assert not grid.ended and not cells[0].failure.exists()
    assert not cells[1].folder.path.exists()


def test_runs_do_not_outlive_the_process_that_started_them(tmp_path):
    """The real launch; the script is replaced by one that waits."""
    script = tmp_path / "wait.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = (
        "import pathlib, sys, time\nfrom comparison.grid import launch\n"
        f"launch.SCRIPT = pathlib.Path({str(script)!r})\n"
        f"launch.start([{str(tmp_path / 'pid')!r}], {str(tmp_path / 'log')!r})\n"
        "time.sleep(60)\n"
    )
    root = pathlib.Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    child = _wait_for(tmp_path / "pid")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(child)


def _wait_for(path):
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())


def _is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2]
    except FileNotFoundError:
        return False
    return state != "Z"
