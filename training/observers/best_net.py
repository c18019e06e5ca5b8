"""Keeps the net of the best epoch on the validation split."""

import filecmp
import os
import pathlib
import shutil
import zipfile
from collections.abc import Callable

from common import files
from training.observers.observer import Observer


class BestNet(Observer):
    """Saves the net whenever it improves.

    Checkpoints carry a copy, from which the file is restored after a restart: it may
    have been lost, or be of an epoch that is trained again.

    Args:
        path: of the `.keras` file.
        save: (net, path) -> None, atomic.
        log: told of a net that is lost.
    """

    def __init__(
        self,
        path: os.PathLike,
        save: Callable,
        log: Callable[[str], None] = print,
    ):
        self.path, self.save, self.log = pathlib.Path(path), save, log
        self._is_there = False  # and of an epoch of this training so far

    def improved(self, net, epoch: int) -> None:
        """Replaces the file."""
        del epoch
        self.save(net, self.path)
        self._is_there = True

    def saving(self, checkpoint: pathlib.Path) -> None:
        """Adds a copy to the checkpoint."""
        if self._is_there and self.path.exists():  # unless someone has deleted it
            shutil.copyfile(self.path, checkpoint / self.path.name)

    def restored(self, checkpoint: pathlib.Path, epochs: int, best: float) -> None:
        """Replaces the file by the checkpoint's copy, if it is another."""
        copy = checkpoint / self.path.name
        if copy.exists():
            if not (self.path.exists() and filecmp.cmp(copy, self.path, shallow=False)):
                files.write_atomically(self.path, lambda p: shutil.copyfile(copy, p))
            self._is_there = True
        elif best >= 0:  # The checkpoint is of an earlier version.
            self._is_there = _is_whole(self.path)
            if not self._is_there:
                self.log(
                    f"{self.path} is missing or damaged, and the checkpoint of epoch "
                    f"{epochs} has no copy: the best net so far, with a validation "
                    f"accuracy of {best:g}, is lost. The training goes on; a better "
                    "epoch writes the file again."
                )


def _is_whole(path: pathlib.Path) -> bool:
    """Whether there is a `.keras` file, a zip archive, with the right checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile):
        return False
