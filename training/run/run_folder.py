"""A run's folder: one process at a time, one configuration, nothing overwritten."""

import contextlib
import os
import pathlib
import re
from collections.abc import Callable, Mapping

import filelock
import numpy as np

from common import files
from common.digests import short
from training.checkpoint import Checkpoints
from training.run import cache_difference, provenance

FORMAT = 1
# What config.json holds that is no setting; "versions" in earlier ones.
_RECORDS = ("provenance", "inputs", "versions")
# The gap is compared when this session's is known.
_BESIDE_SETTINGS = (*_RECORDS, cache_difference.KEY)
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
        self._records: dict = {}  # what config.json is to tell beside the settings

    @property
    def is_finished(self) -> bool:
        """Whether the run ended; the result is written last."""
        return self.result.exists()

    @property
    def is_begun(self) -> bool:
        """Whether there is anything trained to go on from."""
        return any(self.checkpoints.directory.glob("step-*"))

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

    def records(self) -> dict:
        """What config.json tells beside the settings, for the result."""
        saved = self.read_config()
        return {name: saved[name] for name in _RECORDS if name in saved}

    @contextlib.contextmanager
    def open(
        self,
        config: Mapping,
        *,
        defaults: Mapping | None = None,
        wait: bool = False,
        allow_other_code: bool = False,
        log: Callable[[str], None] = print,
    ):
        """Makes or enters the folder and holds its lock.

        What a run goes on under, see `provenance`, is recorded by `check_inputs`.

        Args:
            config: what decides the run's numbers; must equal an earlier run's.
            defaults: settings that the folder of an earlier version may lack, and what
                they were.
            wait: wait for another process to leave instead of refusing.
            allow_other_code: go on with what was begun by other code or versions.
            log: told when it waits, and of another machine.

        Raises:
            ValueError: the folder is another run's, another program's or in use, or
                its run was begun by other code.
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
            self._claim(config, defaults or {}, allow_other_code, log)
            self._remove_leftovers()
            yield self
        finally:
            lock.release()

    def write_indices(self, indices: np.ndarray) -> None:
        """Writes the positions of the training images, int [N], one a line."""
        files.write_atomically(
            self.indices, lambda path: np.savetxt(path, indices, fmt="%d")
        )

    def check(
        self,
        config: Mapping,
        defaults: Mapping | None = None,
        allow_other_code: bool = False,
    ) -> None:
        """Raises what `open` would of another run's folder, and makes nothing."""
        self._check_is_ours()
        if self.config.exists():
            self._claim(config, defaults or {}, allow_other_code, print)

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

    def _claim(self, config: Mapping, defaults: Mapping, allow_other_code, log):
        config, now = {"format": FORMAT, **config}, provenance.facts()
        self._records = {"provenance": [now], "inputs": {}}
        if not self.config.exists():
            files.write_json(self.config, {**config, **self._records})
            return
        saved = self.read_config()
        settings = {k: v for k, v in saved.items() if k not in _BESIDE_SETTINGS}
        changed = differences({**defaults, **settings}, config)
        if changed:
            raise ValueError(
                f"the run folder {self.path} holds a run with other settings: "
                f"{'; '.join(changed)}. Expected the same command (it resumes). Give "
                "the old values or another --train_dir. Nothing was changed."
            )
        # What is finished stays valid after an update. Where nothing is trained yet,
        # all will be trained under what is here now.
        if self.is_begun and not self.is_finished:
            self._go_on(saved, now, allow_other_code, log)

    def _go_on(self, saved: Mapping, now: dict, allow_other_code, log):
        inputs = saved.get("inputs", {})
        try:
            earlier = provenance.history(saved)
            if not isinstance(inputs, dict) or not all(
                isinstance(digest, str) for digest in inputs.values()
            ):
                raise ValueError(f"digests were expected as inputs, not {inputs!r}")
        except ValueError as error:
            raise ValueError(f"{self.config} is damaged: {error}.") from error
        changed = provenance.other_code(earlier[-1], now)
        if changed and not allow_other_code:
            raise ValueError(
                f"the run in {self.path} was begun by other code: "
                f"{'; '.join(changed)}. Expected the same, because the numbers may be "
                "others. Give --allow_other_code to go on all the same, which is "
                "recorded, or another --train_dir. Nothing was changed."
            )
        moved = provenance.other_hardware(earlier[-1], now)
        if changed or moved:
            log(f"note: {self.path} goes on, although {'; '.join([*changed, *moved])}")
        is_known = "sources_sha256" in earlier[-1]
        if not is_known:
            log(
                f"note: {self.path} was begun by a version that recorded no digest of "
                "its sources; whether they are the same is not known"
            )
        if not (changed or moved or not is_known):
            now = earlier.pop()  # Of another commit alone, the first one stays.
        self._records = {"provenance": [*earlier, now], "inputs": inputs}

    def check_inputs(
        self, found: Mapping[str, str], log: Callable[[str], None] = print
    ) -> None:
        """Checks what the run takes from outside, and records what it is trained under.

        Both come before the first step. On resume the input must be the same.

        Args:
            found: what -> its SHA-256, see `run_inputs.digests`.
            log: told what an earlier version did not record.

        Raises:
            ValueError: a digest is not the one that the run began with.
        """
        before = self._records["inputs"]
        self.check_same(found)
        new = [name for name in found if name not in before]
        if new and self.is_begun:
            log(
                f"note: {self.path} did not record {', '.join(new)}; whether the run "
                "began with the same is not known. It is recorded now"
            )
        saved = self.read_config()
        records = {**self._records, "inputs": {**before, **found}}
        if records != {name: saved.get(name) for name in records}:
            saved.pop("versions", None)
            files.write_json(self.config, {**saved, **records})

    def check_same(self, found: Mapping[str, str]) -> None:
        """Raises what `check_inputs` would, and writes nothing."""
        before = self._records.get("inputs", {})
        changed = [
            f"{name} had SHA-256 {short(before[name])} and now has {short(digest)}"
            for name, digest in found.items()
            if before.get(name, digest) != digest
        ]
        if changed:
            raise ValueError(
                f"the run in {self.path} began with other input: {'; '.join(changed)}. "
                "Expected the same to the end. Bring back what it was, or give another "
                "--train_dir. Nothing was changed."
            )


def differences(before: Mapping, now: Mapping) -> list[str]:
    """What differs between two configurations, as "--name was ... and is now ..."."""
    return [
        f"{_flag(key)} was {before.get(key)!r} and is now {now.get(key)!r}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]


def _flag(key: str) -> str:
    return key if key in ("data_sha256", "continues") else f"--{key}"
