"""Wall time of a grid of methods with the teacher cache and without.

Runs as `python -m speed.cached_teacher --data_dir=DIR`. Each cell is a command of
its own. The two runs of a method follow each other, the order alternates, so that a
machine whose speed drifts favours none. The first cached run fills the cache; that is
part of its time.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

import nets

flags.DEFINE_list("methods", ["Soft_logits", "RKD", "PKT", "Logits"], "The grid.")
flags.DEFINE_string("dataset", "cifar10", "As of train_w_distill.py.")
flags.DEFINE_string("data_dir", "", "The same.")
flags.DEFINE_float("data_fraction", 0.1, "The same.")
flags.DEFINE_string("teacher", "resnet56", "Trained for one epoch, if it is no file.")
flags.DEFINE_string("student", "resnet8", "The student net.")
flags.DEFINE_integer("epochs", 4, "Of each run.")
flags.DEFINE_integer("augmentation_period", 2, "0: none.")
flags.DEFINE_integer("batch_size", 64, "Images a step.")

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ("dataset", "data_dir", "data_fraction", "batch_size")


def run(folder: pathlib.Path, **settings) -> float:
    """Trains in a folder; seconds from start to end."""
    settings |= {name: flags.FLAGS[name].value for name in SHARED}
    command = [sys.executable, str(ROOT / "train_w_distill.py")]
    command += [f"--{name}={value}" for name, value in settings.items()]
    began = time.perf_counter()
    subprocess.run([*command, f"--train_dir={folder}"], check=True, capture_output=True)
    return time.perf_counter() - began


def teacher(parent: pathlib.Path) -> str:
    """The file of the teacher, trained if need be."""
    name = flags.FLAGS.teacher
    if name.endswith(".keras"):
        return name
    run(parent / "teacher", distiller="none", student=name, epochs=1)
    return str(parent / "teacher/student.keras")


def are_equal(folders) -> bool:
    """Whether the students in both folders have the same bits."""
    students = [nets.load(folder / "student.keras") for folder in folders]
    values = zip(*(student.get_weights() for student in students), strict=True)
    return all(np.array_equal(a, b) for a, b in values)


def measure(method: str, given: str, parent: pathlib.Path, cached_first: bool):
    """Seconds of the run without and with the cache, and whether they end alike."""
    seconds = {}
    for is_cached in (cached_first, not cached_first):
        seconds[is_cached] = run(
            parent / f"{method}-{is_cached}",
            distiller=method,
            student=flags.FLAGS.student,
            teacher_checkpoint=given,
            epochs=flags.FLAGS.epochs,
            evaluate_every=flags.FLAGS.epochs,
            augmentation_period=flags.FLAGS.augmentation_period,
            teacher_cache=is_cached,
            teacher_cache_dir=parent / "cache",
        )
    same = are_equal([parent / f"{method}-{x}" for x in (False, True)])
    return seconds[False], seconds[True], same


def main(argv) -> None:
    """Runs the grid twice and prints a line for each method and one for all."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        parent = pathlib.Path(folder)
        given, totals = teacher(parent), np.zeros(2)
        for i, method in enumerate(flags.FLAGS.methods):
            *seconds, same = measure(method, given, parent, cached_first=i % 2 > 0)
            totals += seconds
            equal = "bit-identical" if same else "DIFFERENT"
            print(_line(method, *seconds), f"students {equal}", flush=True)
        print(_line("all", *totals))


def _line(name: str, live: float, cached: float) -> str:
    share = cached / live
    return f"{name}: {live:.0f} s without, {cached:.0f} s with the cache ({share:.2f}),"


if __name__ == "__main__":
    app.run(main)
