"""Memory and time of training on images that are read from their files.

Runs as `python -m speed.input_pipeline`. Writes a folder of small PNG files,
unless it is there, and trains on it with nothing held in memory. Prints the resident
memory after each epoch, and what the reading costs: blocks of steps on real batches
take turns with blocks on one batch again and again, so that a machine whose speed
drifts favours neither. They are long, because at the start of a block on one batch the
pipeline still fills its buffer.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import pathlib
import re
import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import dataloader
import distiller
from speed import workload
from training import step as step_lib

flags.DEFINE_string("folder", "runs/small_images", "Where the images are written.")
flags.DEFINE_integer("images", 20_000, "Training images.")
flags.DEFINE_string("net", "resnet20", "The net.")
flags.DEFINE_integer("batch_size", 64, "Images a step.")
flags.DEFINE_integer("epochs", 3, "Epochs to train.")
flags.DEFINE_integer("block", 104, "Steps of a block.")
flags.DEFINE_float("cache_gib", 1e-6, "As of train_w_distill.py.")


def write_images(root: pathlib.Path, count: int) -> None:
    """Writes noise, which is the largest PNG there is, in ten classes."""
    rng = np.random.default_rng(0)
    for split, size in (("train", count), ("test", count // 20)):
        for i in range(size):
            folder = root / split / f"class_{i % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            image = rng.integers(0, 256, (32, 32, 3), np.uint8)
            (folder / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())


def memory(name: str) -> float:
    """VmRSS (resident now) or VmHWM (its peak) of this process, in MiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024


def step_function(data):
    """(raw batch) -> one training step on it."""
    net = workload.build_net(flags.FLAGS.net)
    spec = workload.data(flags.FLAGS.batch_size)
    method = distiller.build("none", net.tap_specs, {}, spec)
    step = workload.step(method, method.phases()[-1], net, None)
    rest = workload.batch(flags.FLAGS.batch_size)

    def run(batch):
        image = step_lib.normalise(batch["image"], data.dataset.mean, data.dataset.std)
        return step({**rest, **batch, "image": image}, tf.constant(1e-4))["loss"]

    return run


def main(argv) -> None:
    """Prints what was measured."""
    del argv
    root = pathlib.Path(flags.FLAGS.folder)
    if not root.exists():
        write_images(root, flags.FLAGS.images)
    began = time.perf_counter()
    data = dataloader.prepare(
        f"folder:{root}",
        batch_size=flags.FLAGS.batch_size,
        cache_gib=flags.FLAGS.cache_gib,
    )
    print(f"prepared {len(data.train)} images in {time.perf_counter() - began:.1f} s")
    step = step_function(data)
    iterator = iter(data.batches(0, flags.FLAGS.epochs, 0))
    same = {name: tf.constant(value) for name, value in next(iterator).items()}

    @tf.function
    def real_steps(n):
        for _ in tf.range(n):
            step(next(iterator))

    @tf.function
    def same_steps(n):
        for _ in tf.range(n):
            step(same)

    def seconds(steps, n):
        began = time.perf_counter()
        steps(tf.constant(n))
        return (time.perf_counter() - began) / n

    seconds(real_steps, 2), seconds(same_steps, 2)  # trace
    done, pairs, block = 3, [], flags.FLAGS.block
    for epoch in range(1, flags.FLAGS.epochs + 1):
        while done + block <= epoch * data.steps_per_epoch:
            pairs.append((seconds(real_steps, block), seconds(same_steps, block)))
            done += block
        now, peak = memory("VmRSS"), memory("VmHWM")
        print(f"epoch {epoch}: resident {now:.0f} MiB, peak {peak:.0f} MiB", flush=True)
    real, repeated = (statistics.median(times) for times in zip(*pairs, strict=True))
    share = statistics.median(1 - b / a for a, b in pairs)
    print(
        f"{1000 * real:.1f} ms a step on real batches, {1000 * repeated:.1f} ms on one "
        f"batch; the input takes {100 * share:.1f} % (median of {len(pairs)} pairs of "
        f"{block} steps)"
    )


if __name__ == "__main__":
    app.run(main)
