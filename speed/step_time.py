"""Step time of a method against the machine's matrix-product rate.

Runs as `python -m speed.step_time`. Every measurement is a process of its own;
the precisions take turns, so that a machine whose speed drifts favours none. Prints
medians. The multiply-accumulates of a step are one teacher forward and three student
forwards (backward counts twice).
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import json
import statistics
import subprocess
import sys
import time

import tensorflow as tf
from absl import app, flags

import distiller
from nets import costs
from speed import workload

flags.DEFINE_string("teacher", "WResNet-40-2", "The teacher net.")
flags.DEFINE_string("student", "WResNet-16-2", "The student net.")
flags.DEFINE_string("distiller", "Soft_logits", "The method.")
flags.DEFINE_multi_string("precision", ["float32"], "One or more, to compare.")
flags.DEFINE_integer("batch_size", 64, "Images a step.")
flags.DEFINE_integer("steps", 8, "Timed steps of a process.")
flags.DEFINE_integer("processes", 5, "Processes for each precision.")
flags.DEFINE_bool("xla", False, "Compile forward and backward with XLA.")
flags.DEFINE_bool("measure", False, "Measure here, once; what the processes do.")

MATRIX = 2048  # rows and columns of the matrix product


def median_seconds(function, repeats: int) -> float:
    """Median time of a call, after two calls that warm up."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        function().numpy()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def matrix_rate(dtype: str) -> float:
    """Multiply-accumulates a second of a large matrix product."""
    matrix = tf.cast(tf.random.stateless_normal([MATRIX, MATRIX], [1, 2]), dtype)
    product = tf.function(lambda: tf.reduce_max(tf.matmul(matrix, matrix)))
    return MATRIX**3 / median_seconds(product, 5)


def build_step(precision: str):
    """A compiled step on one fixed batch, and its multiply-accumulates."""
    size = flags.FLAGS.batch_size
    names = flags.FLAGS.student, flags.FLAGS.teacher
    student, teacher = (workload.build_net(name, precision) for name in names)
    method = distiller.build(
        flags.FLAGS.distiller, student.tap_specs, teacher.tap_specs, workload.data(size)
    )
    cost = 3 * costs.multiply_accumulates(student)
    cost += costs.multiply_accumulates(teacher)
    options = {"precision": precision, "xla": flags.FLAGS.xla}
    phase = method.phases()[-1]
    given = workload.batch(size)
    step = workload.step_function(method, phase, student, teacher, given, **options)
    return step, size * cost


def measure(precision: str) -> dict[str, float]:
    """Seconds of a step, and both rates, in this process."""
    step, cost = build_step(precision)
    seconds = median_seconds(step, flags.FLAGS.steps)
    dtype = precision.removeprefix("mixed_")
    return {"seconds": seconds, "rate": cost / seconds, "matrix": matrix_rate(dtype)}


def main(argv) -> None:
    """Measures in processes that take turns, and prints medians."""
    precisions = flags.FLAGS.precision
    if flags.FLAGS.measure:
        print(json.dumps(measure(precisions[0])))
        return
    found = {precision: [] for precision in precisions}
    for _ in range(flags.FLAGS.processes):
        for precision, results in found.items():
            command = [sys.executable, "-m", "speed.step_time", *argv[1:]]
            command += flags.FLAGS.flags_into_string().split()
            command += ["--measure", f"--precision={precision}"]
            output = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(output.stdout.splitlines()[-1]))
    for precision, results in found.items():
        seconds = statistics.median(r["seconds"] for r in results)
        rate = statistics.median(r["rate"] for r in results)
        share = statistics.median(r["rate"] / r["matrix"] for r in results)
        print(
            f"{precision}: {1000 * seconds:.0f} ms a step, {rate / 1e9:.1f} G "
            f"multiply-accumulates/s, {share:.2f} of the matrix product's rate"
        )


if __name__ == "__main__":
    app.run(main)
