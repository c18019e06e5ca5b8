"""The TensorBoard view of a training."""

import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from training.observers.observer import Moment, Observer

CELL = 64  # pixels that the longer side of a small image may be enlarged to
GAP = 2  # pixels between two images
_EPOCH_SCALARS = ("gradient_norm", "weight_norm", "images_per_second", "skipped_steps")


class TensorBoard(Observer):
    """Writes scalars, a grid of augmented inputs and the hyperparameters.

    Losses and the learning rate are written every `--log_every` steps, accuracies,
    norms and images/s every epoch, all over the global step.

    Args:
        directory: of the event files.
        settings: the run's configuration, for the HParams plugin.
        images: uint8 [N, H, W, C], a first augmented batch.
    """

    def __init__(self, directory: os.PathLike, settings: dict, images: np.ndarray):
        self._writer = tf.summary.create_file_writer(os.fspath(directory))
        with self._writer.as_default(step=0):
            hparams.hparams(session_values(settings))
            tf.summary.image("augmented_inputs", image_grid(images)[None])

    def logged(self, moment: Moment, means: dict[str, float]) -> None:
        """Writes the loss terms and the learning rate."""
        with self._writer.as_default(step=moment.step):
            for name, value in means.items():
                tf.summary.scalar(f"{moment.phase}/{name}", value)
            tf.summary.scalar("learning_rate", moment.learning_rate)

    def epoch_finished(self, moment: Moment, row: dict) -> None:
        """Writes what is known once an epoch."""
        with self._writer.as_default(step=moment.step):
            for name, value in row.items():
                if name.endswith("accuracy"):
                    tf.summary.scalar(
                        f"accuracy/{name.removesuffix('_accuracy')}", value
                    )
                elif name in _EPOCH_SCALARS:
                    tf.summary.scalar(name, value)
        self._writer.flush()

    def finished(self) -> None:
        """Closes the event file."""
        self._writer.close()


def session_values(settings: dict) -> dict[str, bool | int | float | str]:
    """The settings as columns of the HParams plugin.

    Each of the method's hyperparameters is a column of its own, "hparam.temperature",
    a number where it is one, so that runs of a grid can be sorted and plotted by it.
    """
    values = {name: value for name, value in settings.items() if name != "hparam"}
    for text in settings.get("hparam", ()):
        name, _, value = text.partition("=")
        try:
            values[f"hparam.{name}"] = float(value)
        except ValueError:
            values[f"hparam.{name}"] = value
    return {
        name: value if isinstance(value, bool | int | float) else str(value)
        for name, value in values.items()
    }


def image_grid(images: np.ndarray, columns: int = 8, rows: int = 4) -> np.ndarray:
    """The first images side by side, in rows, with white gaps between them.

    Images of at most half `CELL` are enlarged, each pixel to a square.

    Args:
        images: uint8 [N, H, W, C], N > 0.
        columns: images a row; where there are none left, it stays white.
        rows: at most.

    Returns:
        uint8 [n * (H' + GAP) - GAP, columns * (W' + GAP) - GAP, C] of n rows, H' and
        W' the sizes of an enlarged image.
    """
    images = images[: rows * columns]
    factor = max(1, CELL // max(images.shape[1:3]))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    # A gap belongs to the image on its left and above; the last ones are cut off.
    edges = [(0, -len(images) % columns), (0, GAP), (0, GAP), (0, 0)]
    images = np.pad(images, edges, constant_values=255)
    n, height, width, channels = images.shape
    # [n, H, W, C] -> [n / columns, H, columns, W, C]
    grid = images.reshape(n // columns, columns, height, width, channels)
    grid = grid.swapaxes(1, 2)
    grid = grid.reshape(n // columns * height, columns * width, channels)
    return grid[:-GAP, :-GAP]
