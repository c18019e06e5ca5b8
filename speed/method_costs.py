"""Step time of every method as a ratio to the step of Soft_logits.

Runs as `python -m speed.method_costs`. Steps of the two take turns, so that a
machine whose speed drifts favours none; a ratio is the median over the pairs. A method
with several phases has a row for each. Prints a Markdown table row by row.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import statistics
import time

from absl import app, flags

import distiller
from speed import workload

flags.DEFINE_string("teacher", "WResNet-40-2", "The teacher net.")
flags.DEFINE_string("student", "WResNet-16-2", "The student net.")
flags.DEFINE_list("distillers", [], "The methods; all if empty.")
flags.DEFINE_string("precision", "float32", "The dtype policy.")
flags.DEFINE_integer("batch_size", 64, "Images a step.")
flags.DEFINE_integer("pairs", 5, "Pairs of steps.")
flags.DEFINE_bool(
    "one_class",
    False,
    "Images of one class that both nets are certain of: BSS attacks no others, and "
    "attacks these to the last step.",
)
flags.DEFINE_bool("xla", False, "Compile forward and backward with XLA.")

BASELINE = "Soft_logits"


def net(name: str):
    """A fresh net as the flags ask for."""
    return workload.build_net(name, flags.FLAGS.precision, flags.FLAGS.one_class)


def steps(name: str, teacher) -> dict:
    """Phase -> compiled step, all of one method and student."""
    options = {"precision": flags.FLAGS.precision, "xla": flags.FLAGS.xla}
    size = flags.FLAGS.batch_size
    student = net(flags.FLAGS.student)
    method = distiller.build(
        name, student.tap_specs, teacher.tap_specs, workload.data(size)
    )
    given = workload.batch(size, 1 if flags.FLAGS.one_class else workload.NUM_CLASSES)
    return {
        phase.name: workload.step_function(
            method, phase, student, teacher, given, **options
        )
        for phase in method.phases()
    }


def seconds(step) -> float:
    """Time of one step."""
    began = time.perf_counter()
    step().numpy()
    return time.perf_counter() - began


def compare(step, baseline) -> tuple[float, float]:
    """Median ratio and median seconds of steps that take turns with the baseline's."""
    for _ in range(2):  # tracing, and what is set up at the first step
        step().numpy()
    pairs = [(seconds(step), seconds(baseline)) for _ in range(flags.FLAGS.pairs)]
    ratio = statistics.median(a / b for a, b in pairs)
    return ratio, statistics.median(a for a, _ in pairs)


def main(argv) -> None:
    """Prints a row for each phase of each method."""
    del argv
    teacher = net(flags.FLAGS.teacher)
    (baseline,) = steps(BASELINE, teacher).values()
    baseline().numpy()
    print(f"| method | phase | ms a step | ratio to {BASELINE} |\n|---|---|---|---|")
    for name in flags.FLAGS.distillers or distiller.names():
        # Some train their teacher; its weights do not change the time.
        for phase, step in steps(name, teacher).items():
            ratio, duration = compare(step, baseline)
            row = f"| `{name}` | {phase} | {1000 * duration:.0f} | {ratio:.2f} |"
            print(row, flush=True)


if __name__ == "__main__":
    app.run(main)
