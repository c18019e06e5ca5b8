"""The files of examples/, run as their users run them, on fewer epochs."""

import importlib
import pathlib

import keras
import numpy as np
import pytest

import dataloader

ROOT = pathlib.Path(__file__).parent.parent
# What tests run: here, and my_method.py in test_own_code.py.
TESTED = {"own_keras_teacher", "own_loop", "label_free", "grid_from_python"}
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What an example writes is no part of the repository."""
    monkeypatch.chdir(tmp_path)


def example(name: str):
    return importlib.import_module(f"examples.{name}")


def test_every_example_is_run():
    assert {*NAMES} == TESTED | {"my_method"}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_says_how_it_is_run(name):
    source = (ROOT / f"examples/{name}.py").read_text()
    assert 30 <= len(source.splitlines()) <= 60
    how = f"python -m examples.{name}\n" if name in TESTED else "--imports=my_method.py"
    assert how in source
    assert f"({name}.py)" in (ROOT / "examples/README.md").read_text()


def test_own_keras_teacher():
    found = example("own_keras_teacher").main(epochs=5)
    assert found["teacher"] > 0.3 and found.keys() == {"teacher", "alone", "taught"}
    test = dataloader.load("digits").test
    student = keras.saving.load_model("runs/own_keras_teacher.keras")
    right = student.predict(test.images, verbose=0).argmax(axis=1) == test.labels
    assert np.mean(right) == pytest.approx(found["taught"])


@pytest.mark.slow
def test_own_loop():
    short, longer = (example("own_loop").main(epochs) for epochs in (1, 6))
    assert longer.keys() == {"task", "nll"}
    assert longer["task"] < short["task"] and longer["nll"] < short["nll"]


@pytest.mark.slow
def test_label_free():
    found = example("label_free").main(epochs=10)
    assert found["before"] < found["after"] < found["teacher"] + 0.05


@pytest.mark.slow
def test_grid_from_python():
    few = {"methods": ["none", "AT"], "epochs": 2, "teacher_epochs": 1, "jobs": 2}
    grid = example("grid_from_python")
    found = grid.main("out", **few)
    assert {label: seeds for label, (_, seeds) in found.items()} == {"none": 2, "AT": 2}
    assert all(0 < accuracy < 1 for accuracy, _ in found.values())
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path("out").rglob("r*")}
    assert grid.main("out", **few) == found, "it ran again"
    results = {p: t for p, t in before.items() if p.name == "result.json"}
    assert results == {path: path.stat().st_mtime_ns for path in results}
