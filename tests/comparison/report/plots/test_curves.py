import json

import pytest

from comparison.report.plots import curves
from training.run import run_files
from training.run.run_folder import RunFolder


def make_run(path, accuracies, finished=True):
    path.mkdir()
    rows = "".join(f"{5 * i},{a}\n" for i, a in enumerate(accuracies, start=1))
    (path / "metrics.csv").write_text("step,test_accuracy\n" + rows)
    if finished:
        (path / "result.json").write_text(json.dumps({"student": {"top1": 0.5}}))
    return RunFolder(path)


def test_results_are_those_of_the_trained_nets(tmp_path):
    folders = {"a": make_run(tmp_path / "a", [0.5]), "b": make_run(tmp_path / "b", [1])}
    assert curves.read_results(folders) == {"a": {"top1": 0.5}, "b": {"top1": 0.5}}


def test_unfinished_run_is_an_error(tmp_path):
    folders = {"mine": make_run(tmp_path / "a", [0.5], finished=False)}
    with pytest.raises(ValueError, match="mine is not a finished run"):
        curves.read_results(folders)


def test_a_table_that_the_run_did_not_write_is_an_error(tmp_path):
    folder = make_run(tmp_path / "a", [0.5])
    recorded = {"student": {"top1": 0.5}, "files": run_files.digests(folder.path)}
    folder.result.write_text(json.dumps(recorded))
    curves.read_results({"a": folder})
    folder.metrics.write_text(folder.metrics.read_text().replace("0.5", "0.9"))
    with pytest.raises(ValueError, match="metrics.csv is not what the run wrote"):
        curves.read_results({"a": folder})


def test_plot_names_runs_with_their_last_accuracy(tmp_path):
    folder = make_run(tmp_path / "a", ["0.25", "", "0.5", "0.75"])
    curves.plot({"alone": folder}, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert "alone (75.0 %)" in text
    assert "test accuracy in %" in text


@pytest.mark.parametrize("name", ["$x_1$", r"$\frac$", "_hidden", r"a\$b$"])
def test_names_of_runs_are_no_formulas(name, tmp_path):
    folder = make_run(tmp_path / "a", ["0.25", "0.75"])
    curves.plot({name: folder}, tmp_path / "plot.svg")
    # The text of the legend is beside its glyphs; what stood in "$" would be an image.
    assert f"<!-- {name} (75.0 %) -->" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize("arguments", [[], ["runs/a"]])
def test_runs_need_names(arguments):
    with pytest.raises(ValueError, match="NAME=RUN_FOLDER"):
        curves.main(arguments)
