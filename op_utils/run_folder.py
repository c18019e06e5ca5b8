"""A run's folder: one process at a time, one configuration, nothing overwritten."""

import contextlib
import os
import pathlib
import re
from collections.abc import Callable, Mapping

import filelock
import numpy as np

from op_utils import files, report
from op_utils.checkpoint import Checkpoints

FORMAT = 1
# What a process leaves that was killed, or still works, before config.json is there.
_OURS = re.compile(r"\.lock|\.config\.\d+\.json")


class RunFolder:
    """Paths in a run's folder, and the rules for opening it.

    Args:
        path: the folder; made by `open` if it is not there.
    """

    def __init__(self, path: os.PathLike):
        self.path = pathlib.Path(path)
        self.config = self.path / "config.json"
        self.indices = self.path / "train_indices.txt"
        self.metrics = self.path / "metrics.csv"
        self.tensorboard = self.path / "tensorboard"
        self.student = self.path / "student.keras"
        self.best_student = self.path / "best_student.keras"
        self.teacher = self.path / "teacher.keras"
        self.result = self.path / "result.json"
        self.checkpoints = Checkpoints(self.path / "checkpoints")

    @property
    def is_finished(self) -> bool:
        """Whether the run ended; the result is written last."""
        return self.result.exists()

    def read_config(self) -> dict:
        """What config.json holds.

        Raises:
            ValueError: it is damaged, or of another program or version.
        """
        saved = files.read_json(self.config)
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(
                f"{self.config} was written by another program or version. Expected "
                f"format={FORMAT}. Received: format="
                f"{saved.get('format') if isinstance(saved, dict) else saved!r}. A run "
                "of another version cannot go on: move its folder away, or choose "
                "another --train_dir or, for a grid, another --output."
            )
        return saved

    @contextlib.contextmanager
    def open(
        self,
        config: Mapping,
        *,
        defaults: Mapping | None = None,
        wait: bool = False,
        log: Callable[[str], None] = print,
    ):
        """Makes or enters the folder and holds its lock.

        Args:
            config: what decides the run's numbers; must equal an earlier run's.
            defaults: settings that the folder of an earlier version may lack, and what
                they were.
            wait: wait for another process to leave instead of refusing.
            log: told when it waits.

        Raises:
            ValueError: the folder is another run's, another program's or in use.
            OSError: it cannot be made or written.
        """
        self._check_is_ours()
        files.make_folder(self.path)
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if not wait:
                raise ValueError(
                    f"the run folder {self.path} is in use by another process; "
                    "expected to be alone. Wait for it or choose another --train_dir."
                ) from None
            log(f"waiting for another process that works in {self.path}")
            lock.acquire()
        try:
            self._check_is_ours()
            self._claim(config, defaults or {})
            self._remove_leftovers()
            yield self
        finally:
            lock.release()

    def write_indices(self, indices: np.ndarray) -> None:
        """Writes the positions of the training images, int [N], one a line."""
        files.write_atomically(
            self.indices, lambda path: np.savetxt(path, indices, fmt="%d")
        )

    def _remove_leftovers(self) -> None:
        """What killed processes had not finished; nobody else writes these files."""
        nets = self.student, self.best_student, self.teacher
        for path in (self.config, self.indices, self.metrics, *nets, self.result):
            files.remove_leftovers(path, is_alone=True)
        self.checkpoints.remove_leftovers()

    def _check_is_ours(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"--train_dir={self.path} is a file; expected a folder or a new path."
            )
        if self.config.exists() or not self.path.exists():
            return
        names = sorted(p.name for p in self.path.iterdir())
        strangers = [name for name in names if not _OURS.fullmatch(name)]
        if strangers:
            raise ValueError(
                f"--train_dir={self.path} is not a run folder. Expected an empty or "
                "new folder or one with a config.json of an earlier run. Received: a "
                f"folder with {', '.join(strangers[:3])}. Nothing was changed."
            )

    def _claim(self, config: Mapping, defaults: Mapping) -> None:
        config = {"format": FORMAT, **config, "versions": report.versions()}
        if not self.config.exists():
            files.write_json(self.config, config)
            return
        saved = {**defaults, **self.read_config()}
        if self.is_finished:  # What is finished stays valid after an update.
            saved["versions"] = config["versions"]
        changed = differences(saved, config)
        if changed:
            raise ValueError(
                f"the run folder {self.path} holds a run with other settings: "
                f"{'; '.join(changed)}. Expected the same command (it resumes). Give "
                "the old values or another --train_dir. Nothing was changed."
            )


def differences(before: Mapping, now: Mapping) -> list[str]:
    """What differs between two configurations, as "--name was ... and is now ..."."""
    return [
        f"{_flag(key)} was {before.get(key)!r} and is now {now.get(key)!r}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]


def _flag(key: str) -> str:
    return key if key in ("versions", "data_sha256") else f"--{key}"
