"""Starts a run as a process that does not outlive the one that started it."""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "train_w_distill.py"
_PR_SET_PDEATHSIG = 1  # of Linux' <sys/prctl.h>


def start(arguments: Sequence[str], log: os.PathLike) -> subprocess.Popen:
    """Starts train_w_distill.py with these arguments.

    It is in a session of its own, so that a Ctrl-C in the terminal reaches the starting
    process alone, which then stops it in good order.

    Args:
        arguments: the flags.
        log: what the run prints is added to this file.
    """
    log = pathlib.Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "comparison.grid.launch", str(os.getpid())]
    command += [str(SCRIPT), *arguments]
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": _python_path()},
        )


def die_with(parent: int) -> None:
    """Has the system send SIGTERM to this process when its parent ends (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # It ended before.
        sys.exit(128 + signal.SIGTERM)


def _python_path() -> str:
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    return os.pathsep.join(filter(None, paths))


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
