"""Finished runs side by side: a table and a plot of their learning curves.

python -m comparison.report.plots.curves --plot=curves.png NAME=RUN_FOLDER ...
"""

import os
import pathlib
from collections.abc import Mapping

from absl import flags
from matplotlib.figure import Figure

from common import files
from common.errors import wrong
from comparison.report.plots import accuracy, drawing
from options import command_line
from training import report
from training.observers import metrics_table
from training.run import run_files
from training.run.run_folder import RunFolder

flags.DEFINE_string("plot", "", "Where to write the plot; its suffix says the format.")


def read_results(folders: Mapping[str, RunFolder]) -> dict[str, dict]:
    """The trained net's entry in each run's result.

    Raises:
        ValueError: a run is not finished, or its files are not what it wrote.
    """
    results = {}
    for name, folder in folders.items():
        if not folder.is_finished:
            raise wrong(
                f"{name} is not a finished run",
                expected="a folder with result.json",
                received=folder.path,
            )
        result = files.read_json(folder.result)
        run_files.check(folder.path, result)
        results[name] = result["student"]
    return results


def plot(folders: Mapping[str, RunFolder], path: os.PathLike) -> None:
    """Test accuracy in % over the step, one line a run."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    labels = []
    for name, folder in folders.items():
        curve = accuracy.curve(metrics_table.read(folder.metrics))
        axes.plot([100 * x for x in curve], [100 * y for y in curve.values()])
        labels.append(f"{drawing.literal(name)} ({100 * [*curve.values()][-1]:.1f} %)")
    axes.set(xlabel="training done in %", ylabel="test accuracy in %")
    axes.grid(alpha=0.3)
    axes.legend(axes.lines, labels)  # By itself it leaves out names that begin with _.
    files.write_atomically(path, lambda p: figure.savefig(p, dpi=150))


def main(arguments: list[str]) -> None:
    """Prints the table and writes the plot."""
    for argument in arguments:
        if "=" not in argument:
            raise wrong(
                "a run needs a name", expected="NAME=RUN_FOLDER", received=argument
            )
    if not arguments:
        raise ValueError("no runs were given. Expected NAME=RUN_FOLDER ....")
    pairs = (argument.split("=", 1) for argument in arguments)
    folders = {name: RunFolder(pathlib.Path(path)) for name, path in pairs}
    print(report.table(read_results(folders)))
    if flags.FLAGS.plot:
        plot(folders, flags.FLAGS.plot)
        print(f"saved {flags.FLAGS.plot}")


if __name__ == "__main__":
    command_line.run(main, takes_arguments=True)
