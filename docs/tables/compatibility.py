"""Which methods work on which published pairs of nets: docs/compatibility.md.

Runs as `python -m docs.tables.compatibility`. Each method takes two steps of each of
its phases on each pair; what refuses a pair is quoted. Cells that the file has already
are kept, so that a run that was stopped goes on.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import functools
import pathlib

import tensorflow as tf
from absl import app, flags

import distiller
from common import files
from speed import workload

# Tables 1 and 2 of Tian et al. 2020 (https://arxiv.org/abs/1910.10699), and the pairs
# of PkuDavidGuan's code on CINIC-10.
PAIRS = (
    ("wrn_40_2", "wrn_16_2"),
    ("wrn_40_2", "wrn_40_1"),
    ("resnet56", "resnet20"),
    ("resnet110", "resnet20"),
    ("resnet110", "resnet32"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "vgg8"),
    ("vgg13", "MobileNetV2"),
    ("ResNet50", "MobileNetV2"),
    ("ResNet50", "vgg8"),
    ("resnet32x4", "ShuffleV1"),
    ("resnet32x4", "ShuffleV2"),
    ("wrn_40_2", "ShuffleV1"),
    ("shufflenetV2-2.0", "shufflenetV2-1.0"),
    ("shufflenetV2-2.0", "shufflenetV2-0.5"),
    ("shufflenetV2-1.0", "shufflenetV2-0.5"),
)
BATCH_SIZE, STEPS = 4, 2
WORKS = "yes"

flags.DEFINE_string(
    "cells", "results/compatibility.json", "JSON file of the finished cells."
)
flags.DEFINE_string("out", "docs/compatibility.md", "The Markdown file to write.")
flags.DEFINE_list("distillers", [], "The methods; all if empty.")

HEAD = """# Which method works on which pair

Every method, with its defaults, on the 13 pairs of Tian et al. 2020 (tables 1 and 2,
CIFAR-100, 32x32 images) and the three pairs of ShuffleNetV2 of CINIC-10. "yes": two
steps of each phase were taken and every loss was finite. A number: the pair is refused
with the error below. Written by `python -m docs.tables.compatibility`.

"""


@functools.lru_cache(maxsize=2)
def teacher_net(name: str):
    """A net with the batch statistics of noise; two pairs often share it.

    Without them the maps of a deep fresh net grow beyond float32.
    """
    net = workload.build_net(name)
    norms = [layer for layer in net._flatten_layers() if hasattr(layer, "momentum")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    net(workload.batch(BATCH_SIZE)["image"], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return net


def attempt(name: str, pair: tuple[str, str]) -> str:
    """`WORKS`, or the error that refuses the pair."""
    teacher, student = teacher_net(pair[0]), workload.build_net(pair[1])
    spec = distiller.resolve(name, ())
    taps = teacher.tap_specs if spec.uses_teacher else {}
    try:
        method = spec.build(student.tap_specs, taps, workload.data(BATCH_SIZE))
    except ValueError as error:
        return str(error)
    if spec.trains_teacher:
        teacher = workload.build_net(pair[0])
    for phase in method.phases():
        step = workload.step_function(
            method,
            phase,
            student,
            teacher,
            workload.batch(BATCH_SIZE),
            precision="float32",
            xla=False,
        )
        for _ in range(STEPS):
            loss = float(step())
            if not abs(loss) < float("inf"):
                raise ArithmeticError(f"{name} on {pair}: loss {loss} in {phase.name}")
    return WORKS


def markdown(cells: dict[str, str], names) -> str:
    """The table and the errors that its numbers mean."""
    errors = sorted({cell for cell in cells.values() if cell != WORKS})
    numbers = {error: str(i) for i, error in enumerate(errors, 1)} | {WORKS: WORKS}
    methods = [f"`{name}`" for name in names]
    rows = [["teacher", "student", *methods], ["---"] * (2 + len(names))]
    for pair in PAIRS:
        found = [cells.get(key(name, pair)) for name in names]
        rows.append([*pair, *(numbers[cell] if cell else "?" for cell in found)])
    # One method a row, because there are more of them than pairs.
    turned = zip(rows[0], *rows[2:], strict=True)
    lines = [f"| {' | '.join(row)} |" for row in turned]
    lines.insert(1, "|" + "---|" * (1 + len(PAIRS)))
    listed = [
        f"{number}. {error}" for error, number in numbers.items() if error != WORKS
    ]
    return "\n".join([*lines, "", *listed, ""])


def key(name: str, pair: tuple[str, str]) -> str:
    """A cell's name in the file of finished ones."""
    return " ".join((name, *pair))


def main(argv) -> None:
    """Fills the table cell by cell."""
    del argv
    tf.config.run_functions_eagerly(True)  # tracing takes longer than two steps
    out = pathlib.Path(flags.FLAGS.out)
    store = pathlib.Path(flags.FLAGS.cells)
    cells = files.read_json(store) if store.exists() else {}
    names = flags.FLAGS.distillers or distiller.names()
    for pair in PAIRS:
        for name in names:
            if key(name, pair) in cells:
                continue
            cells[key(name, pair)] = attempt(name, pair)
            files.write_json(store, cells)
            text = HEAD + markdown(cells, names)
            files.write_atomically(out, lambda path, text=text: path.write_text(text))
            print(key(name, pair), cells[key(name, pair)], flush=True)


if __name__ == "__main__":
    app.run(main)
