"""Checkpoints that survive a crash at any moment, and are verified when read."""

import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from common import files
from common.errors import wrong

FORMAT = 1
_NAME = re.compile(r"step-(\d{10})")


class Checkpoints:
    """The checkpoints of one run, newest last: `DIRECTORY/step-0000001234/`.

    Each holds the groups of variables in TensorFlow's format, files that others add
    and a manifest with the sizes and hashes of all these files, the `position` in the
    training and a hash of itself. It is written under another name and renamed when
    complete.

    Variables are saved as flat lists, by position. TensorFlow's own tracking would
    silently skip layers that a Keras model keeps in a list or dict.
    """

    def __init__(self, directory: os.PathLike, keep: int = 2):
        self.directory = pathlib.Path(directory)
        self.keep = keep

    def save(
        self,
        step: int,
        groups: Mapping[str, Sequence],
        position: dict,
        add: Callable[[pathlib.Path], None] = lambda folder: None,
    ) -> None:
        """Writes one checkpoint, then deletes all but the newest `keep` up to it.

        Later ones are damaged, as training began from an earlier one: they go too.

        Args:
            step: steps since the run began; names the checkpoint.
            groups: name -> variables (tf.Variable or keras.Variable).
            position: JSON-able; where the training stands.
            add: puts more files into the checkpoint's folder, which it is given.
        """
        files.make_folder(self.directory)
        target = self.directory / f"step-{step:010d}"
        temporary = self.directory / f".writing-{os.getpid()}"
        self.remove_leftovers()
        try:
            temporary.mkdir()
            _write(groups, temporary / "variables")
            add(temporary)
            manifest = {
                "format": FORMAT,
                "position": position,
                "variables": {name: len(group) for name, group in groups.items()},
                "files": {p.name: _digest(p) for p in sorted(temporary.iterdir())},
            }
            for path in temporary.iterdir():
                files.sync(path)
            manifest["sha256"] = _own_digest(manifest)
            files.write_json(temporary / "manifest.json", manifest)
            if target.exists():  # A damaged one that was walked past.
                shutil.rmtree(target)
            temporary.rename(target)
            files.sync(self.directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        reached = [path for path in self._all() if path.name <= target.name]
        for path in self._all():
            if path not in reached[-self.keep :]:
                shutil.rmtree(path)

    def remove_leftovers(self) -> None:
        """Removes what killed processes had not finished; nobody may be saving now."""
        for leftover in self.directory.glob(".writing-*"):
            shutil.rmtree(leftover)

    def newest(self, log: Callable[[str], None]) -> tuple[pathlib.Path, dict] | None:
        """The newest undamaged checkpoint and its position, or None if there is none.

        Damaged ones are passed by and named through `log`.

        Raises:
            ValueError: there are checkpoints and all of them are damaged.
        """
        candidates = self._all()
        for path in reversed(candidates):
            damage = _damage(path)
            if damage is None:
                return path, self.position(path)
            log(f"skipping the damaged checkpoint {path}: {damage}")
        if candidates:
            raise ValueError(
                f"no checkpoint in {self.directory} can be read; expected at least one "
                f"of {len(candidates)} to be undamaged. Delete the folder to start "
                "the run afresh."
            )
        return None

    def position(self, path: os.PathLike) -> dict:
        """What `save` was given as `position`."""
        return files.read_json(pathlib.Path(path) / "manifest.json")["position"]

    def restore(
        self,
        path: os.PathLike,
        groups: Mapping[str, Sequence],
        are_all: bool = True,
        later: Sequence[str] = (),
    ) -> None:
        """Reads a checkpoint into the same groups of variables.

        Args:
            path: of the checkpoint.
            groups: name -> variables.
            are_all: whether these are all of its groups, as they must be for a training
                to go on.
            later: names of groups that checkpoints of earlier versions lack; they then
                stay as they are.

        Raises:
            ValueError: the groups are not those that were saved.
        """
        path = pathlib.Path(path)
        saved = files.read_json(path / "manifest.json")["variables"]
        groups = {n: g for n, g in groups.items() if n in saved or n not in later}
        if not are_all:
            saved = {name: saved.get(name) for name in groups}
        wanted = {name: len(group) for name, group in groups.items()}
        if saved != wanted:
            raise wrong(
                f"the checkpoint {path} belongs to another training",
                expected=f"variables {wanted}",
                received=saved,
            )
        status = _tracked(groups).read(str(path / "variables"))
        if are_all:
            status.assert_consumed()
        else:
            status.assert_existing_objects_matched().expect_partial()

    def _all(self) -> list[pathlib.Path]:
        if not self.directory.is_dir():
            return []
        return sorted(p for p in self.directory.iterdir() if _NAME.fullmatch(p.name))


def _tracked(groups) -> tf.train.Checkpoint:
    # A keras.Variable is not trackable in a list; the tf.Variable behind it is.
    values = {
        name: [v if isinstance(v, tf.Variable) else v.value for v in group]
        for name, group in groups.items()
    }
    return tf.train.Checkpoint(**values)


def _write(groups, prefix: pathlib.Path) -> None:
    try:
        _tracked(groups).write(str(prefix))
    except tf.errors.OpError as error:  # a full disk, for example
        raise OSError(f"cannot write the checkpoint {prefix}: {error.message}") from (
            error
        )


def _digest(path: pathlib.Path) -> dict:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _own_digest(manifest: dict) -> str:
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _damage(path: pathlib.Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    try:
        manifest = files.read_json(path / "manifest.json")
        if manifest["format"] != FORMAT:
            return f"format {manifest['format']}, this version reads {FORMAT}"
        if manifest["sha256"] != _own_digest(manifest):
            return "manifest.json is not what was written"
        for name, expected in manifest["files"].items():
            if _digest(path / name) != expected:
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error) or type(error).__name__
    return None
