"""docs/quickstart.ipynb: its cells run, and what it shows came out of them."""

import contextlib
import json
import pathlib
import re

import pytest
import tensorflow as tf
from matplotlib import pyplot

DOCS = pathlib.Path(__file__).parent.parent / "docs"
CELLS = json.loads((DOCS / "quickstart.ipynb").read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
# In place of the first cell.
SHORT = """
TEACHER_EPOCHS = STUDENT_EPOCHS = 1
SEEDS, FRACTION, NUM_IMAGES = (0,), 0.4, 99
"""


def run(parameters: str) -> dict:
    """The names after all cells, the first one replaced."""
    first, *others = ("".join(cell["source"]) for cell in CODE)
    names = {}
    exec(first, names)
    exec(parameters, names)
    with contextlib.chdir(DOCS):
        for cell in others:
            exec(cell, names)
    pyplot.close("all")
    return names


def test_its_cells_run(capsys):
    tf.config.run_functions_eagerly(True)  # faster than tracing three models
    try:
        names = run(SHORT)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(names["few_images"]) == 31
    accuracies = [run[0][1][-1] for run in names["runs"].values()]
    rows = re.findall(r"^(?:alone|distilled) +([\d.]+)", capsys.readouterr().out, re.M)
    assert rows == [f"{100 * accuracy:.1f}" for accuracy in accuracies]


def test_what_it_shows_is_of_one_clean_run():
    assert "parameters" in CODE[0]["metadata"]["tags"]
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    shown = [output for cell in CODE for output in cell["outputs"]]
    assert {output.get("name", "stdout") for output in shown} == {"stdout"}
    assert sum("image/png" in output.get("data", ()) for output in shown) == 1
    text = "".join(line for output in shown for line in output.get("text", ()))
    assert re.search(r"distilled( +\d\d\.\d){4}", text)
    for output in shown:
        output.get("data", {}).pop("image/png", None)
        assert not re.search(r"/\w+/\w+/", json.dumps(output))


@pytest.mark.slow
def test_it_shows_what_comes_out():
    """Two minutes; on other machines the last digits differ."""
    names = run("")
    alone, distilled = (
        [accuracies[-1] for _, accuracies in names["runs"][name]]
        for name in ("alone", "distilled")
    )
    assert names["teacher_accuracy"] > 0.95
    assert sum(distilled) - sum(alone) > 3 * 0.03
