"""Keeps the net of the best epoch on the validation split."""

import os
from collections.abc import Callable

from op_utils.observer import Observer


class BestNet(Observer):
    """Saves the net whenever it improves.

    Args:
        path: of the `.keras` file.
        save: (net, path) -> None, atomic.
    """

    def __init__(self, path: os.PathLike, save: Callable):
        self.path, self.save = path, save

    def improved(self, net, epoch: int) -> None:
        """Replaces the file."""
        del epoch
        self.save(net, self.path)
