"""Images a second of the input pipeline, with each option of augmentation.

Runs as `python -m speed.augmentation`, on one core; `--only=plain,cutout`
for some rows. A row is the median of several epochs, of which all rows take turns, so
that a machine whose speed drifts favours none. Prints a Markdown table.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from dataloader import Augmentation, Split, train_batches

flags.DEFINE_integer("size", 32, "Height and width of the images.")
flags.DEFINE_integer("images", 12_800, "Images an epoch.")
flags.DEFINE_integer("batch_size", 64, "Images a step.")
flags.DEFINE_integer("epochs", 7, "Epochs of which the median is taken.")
flags.DEFINE_list("only", [], "The rows; all if empty.")

PLAIN = {"crops": True, "flips": True}
ROWS = {
    "nothing": {"crops": False, "flips": False},
    "plain": PLAIN,
    "randaugment": {**PLAIN, "randaugment": 2},
    "cutout": {**PLAIN, "cutout": 16},
    "mixup": {**PLAIN, "mixup": 1.0},
    "cutmix": {**PLAIN, "cutmix": 1.0},
    "all": {
        **PLAIN, "randaugment": 2, "cutout": 16, "mixup": 1.0, "cutmix": 1.0
    },
}  # fmt: skip


def images_a_second(dataset) -> float:
    """Of a whole epoch, without the first batch, for which the epoch is planned."""
    iterator = iter(dataset)
    next(iterator)
    began, count = time.perf_counter(), 0
    for batch in iterator:
        count += batch["image"].shape[0]
    return count / (time.perf_counter() - began)


def main(_) -> None:
    """Prints the table."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    given = flags.FLAGS
    shape = given.images, given.size, given.size, 3
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    split = Split(images, np.arange(given.images, dtype=np.int32) % 10)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    datasets = {
        name: train_batches(
            split,
            batch_size=given.batch_size,
            first_epoch=0,
            num_epochs=1,
            seed=0,
            augmentation=Augmentation(**ROWS[name]),
        ).with_options(options)
        for name in given.only or ROWS
    }
    speeds = {name: [] for name in datasets}
    for _ in range(given.epochs):
        for name, dataset in datasets.items():
            speeds[name].append(images_a_second(dataset))
    print("| options | images/s |\n|---|---|")
    for name, found in speeds.items():
        print(f"| {name} | {statistics.median(found):,.0f} |")


if __name__ == "__main__":
    app.run(main)
