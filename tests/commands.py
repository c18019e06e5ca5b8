"""Runs the scripts as real processes, without importing TensorFlow each time."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import runpy
import sys

ROOT = pathlib.Path(__file__).parent.parent

# What the scripts import, but for what defines flags, which works once a process. A
# name that cannot be imported is passed by, and costs each command what it takes.
PRELOADED = [
    "keras",
    "dataloader",
    "distiller",
    "nets",
    "nets.given",
    "training.trainer",
    "teacher_cache.of_run",
    "forecast.dry_run",
    "training.observers.tensorboard",
    "comparison.catalogue",
    "sklearn.datasets",
    "tests.frozen",
]
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(PRELOADED)


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        """What the command itself reports, without TensorFlow's remarks."""
        return [x for x in self.err.splitlines() if x.startswith("error: ")]


class Command:
    """A running command.

    Args:
        script: "train_w_distill.py" or "test.py".
        arguments: its flags.
        cwd: where it runs; its output is kept there, too.
    """

    def __init__(self, script: str, *arguments: str, cwd: os.PathLike):
        self.cwd = pathlib.Path(cwd)
        self._log = self.cwd / f".output-{len(list(self.cwd.glob('.output-*.out')))}"
        self._process = _processes.Process(
            target=_main, args=(script, arguments, self.cwd, self._log)
        )
        with _directory(ROOT):  # where the fork server finds the packages
            self._process.start()
        self.pid = self._process.pid

    def wait(self, seconds: float = 120) -> Finished:
        """Waits for the end."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"still running after {seconds} s; {self._log}")
        out, err = (
            self._log.with_suffix(suffix).read_text() for suffix in (".out", ".err")
        )
        return Finished(self._process.exitcode, out, err)


def run(script: str, *arguments: str, cwd: os.PathLike) -> Finished:
    """Runs a command to its end."""
    return Command(script, *arguments, cwd=cwd).wait()


@contextlib.contextmanager
def _directory(path):
    before = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def _main(script, arguments, cwd, log):
    os.chdir(cwd)
    for stream, suffix in ((1, ".out"), (2, ".err")):
        descriptor = os.open(log.with_suffix(suffix), os.O_CREAT | os.O_WRONLY)
        os.dup2(descriptor, stream)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(ROOT))
    try:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
