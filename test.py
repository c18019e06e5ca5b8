"""Evaluates and profiles a trained net, and compares it with its teacher.

python test.py --checkpoint=runs/.../student.keras --dataset=digits
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import pathlib

from absl import flags

import dataloader
from common import files
from common.errors import wrong
from nets import class_names, costs, for_data, given
from op_utils import metrics
from options import command_line
from options import flags as option_flags
from training import class_results, evaluation, report

DATA = ("image_size", "cache_gib", "skip_bad_images")
SHARED = ("dataset", "data_dir", "teacher_checkpoint", "teacher_scaling", "imports")
option_flags.define(only=(*SHARED, *DATA))
flags.DEFINE_string("checkpoint", "", "The net to evaluate, a .keras file.")
flags.DEFINE_string("scaling", "", "As --teacher_scaling, of the --checkpoint.")
flags.DEFINE_string(
    "output", "", "JSON file for the figures. Default: beside the checkpoint."
)


def load(path: str, scaling: str, role: str, dataset: dataloader.Dataset):
    """A net that fits the data set, in the precision it was trained in."""
    source = given.Given(role, file=path, scaling=scaling)
    return for_data.build(source, dataset)


def measure(net, teacher_path: str, dataset: dataloader.Dataset) -> tuple:
    """All figures of the net on the data set's test split, and those of each class."""
    split = {"test": dataset.test}
    evaluator = evaluation.Evaluator(split, dataloader.eval_batches, net.mean, net.std)
    logits, labels = evaluator.logits(net), dataset.test.labels
    names = dataset.class_names or net.class_names
    balanced, classes = class_results.measure(logits, labels, names)
    figures = {
        **report.quality(logits, labels),
        "balanced_accuracy": balanced,
        "expected_calibration_error": metrics.expected_calibration_error(
            logits, labels
        ),
    }
    if teacher_path:
        teacher = load(teacher_path, flags.FLAGS.teacher_scaling, "teacher", dataset)
        teacher_logits = evaluation.Evaluator(
            split, dataloader.eval_batches, teacher.mean, teacher.std
        ).logits(teacher)
        figures["agreement"] = metrics.agreement(logits, teacher_logits)
        figures["teacher_top1"] = metrics.top_k_accuracy(teacher_logits, labels)
    figures |= costs.sizes(net)
    figures["images_per_second"] = evaluator.images_per_second(net)
    return figures, classes


def main() -> None:
    """Runs what the flags say."""
    path = option_flags.path("checkpoint")
    if not path:
        raise ValueError(
            "there is no net to evaluate. Expected --checkpoint=FILE.keras."
        )
    output = pathlib.Path(
        option_flags.path("output") or pathlib.Path(path).with_suffix(".json")
    )
    is_json, mark = output.suffix == ".json", "expected_calibration_error"
    old = files.read_json(output) if is_json and output.exists() else {mark: None}
    if not is_json or not isinstance(old, dict) or mark not in old:
        raise wrong(
            "the figures would overwrite something else",
            expected="a new .json file or one of an earlier evaluation",
            received=f"--output={output}",
        )
    option_flags.load_imports()
    dataset = dataloader.load(
        flags.FLAGS.dataset,
        option_flags.path("data_dir") or None,
        **{name: flags.FLAGS[name].value for name in DATA},
    )
    for note in dataset.notes:
        print(f"note: {note}")
    net = load(path, flags.FLAGS.scaling, "", dataset)
    names = net.class_names and class_names.listed(net.class_names, most=10)
    print(f"{'classes':32} {names or 'unknown, the file does not name them'}")
    figures, classes = measure(net, option_flags.path("teacher_checkpoint"), dataset)
    for name, value in figures.items():
        text = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
        print(f"{report.TITLES[name]:32} {text}")
    print(class_results.table(classes))
    files.write_json(
        output,
        {
            "checkpoint": path,
            "dataset": flags.FLAGS.dataset,
            "class_names": net.class_names,
            **figures,
            "per_class": classes,
        },
    )
    print(f"saved {output}")


if __name__ == "__main__":
    command_line.run(main)
