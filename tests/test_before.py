"""Files and run folders of the state before: they load, compute the same and go on."""

import contextlib
import csv
import hashlib
import json
import pathlib
import shutil
import zipfile

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import benchmark
import dataloader
import distiller
import nets
import train_w_distill as script

HERE = pathlib.Path(__file__).parent / "data/before"
ROOT = HERE.parents[2]
EXPECTED = json.loads((HERE / "expected.json").read_text())
ARRAYS = np.load(HERE / "expected.npz")
FOLDERS = json.loads((HERE / "documents/folders.json").read_text())
FILES = {
    "net": "net.keras",
    "wrapped": "wrapped.keras",
    "narrowed": "narrowed.keras",
    "best_student": "run/best_student.keras",
}
RUN = EXPECTED["run"]
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}  # of another processor, in a forward pass


def digest_of(net) -> str:
    """Of all weights, as results have it: the file's bits, on any processor."""
    digest = hashlib.sha256()
    for array in net.get_weights():
        digest.update(f"{array.dtype.name}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def assert_computes(net, name):
    output = net(net.normalise(ARRAYS["images"]), with_taps=True)
    np.testing.assert_allclose(output.logits, ARRAYS[f"{name}_logits"], **ROUNDING)
    np.testing.assert_allclose(output.taps["stage2"], ARRAYS[f"{name}_tap"], **ROUNDING)


@pytest.mark.parametrize("name", FILES)
def test_a_net_is_what_it_was(name):
    net, told = nets.load(HERE / FILES[name]), EXPECTED["nets"][name]
    assert digest_of(net) == told["weights_sha256"]
    assert_computes(net, name)
    assert {n: list(s.shape) for n, s in net.tap_specs.items()} == told["tap_specs"]
    assert getattr(net, "tap_layers", {}) == told["tap_layers"]
    assert (net.name, net.num_classes) == (told["name"], told["num_classes"])
    assert list(net.image_shape) == told["image_shape"]
    assert (list(net.mean), list(net.std)) == (told["mean"], told["std"])
    assert list(net.class_names or ()) == told["class_names"]
    assert nets.count_parameters(net) == told["parameters"]
    assert nets.multiply_accumulates(net) == told["multiply_accumulates"]


def test_a_wrapped_models_own_outputs_are_still_probabilities():
    model = nets.load(HERE / "wrapped.keras").model
    found = model(ARRAYS["images"] / np.float32(255))
    np.testing.assert_allclose(found, ARRAYS["wrapped_probabilities"], **ROUNDING)


def test_keras_knows_all_classes_by_their_names_of_before():
    assert {*EXPECTED["registered"]} <= {*keras.saving.get_custom_objects()}


@pytest.mark.parametrize("name", ["net", "wrapped"])
def test_a_file_is_read_whatever_module_it_names(name, tmp_path):
    """Keras looks a class up by its registered name; a module may have moved."""
    moved = tmp_path / "moved.keras"
    with zipfile.ZipFile(HERE / FILES[name]) as old, zipfile.ZipFile(moved, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part == "config.json":
                assert content.count(b'"module": "nets.') == 1
                content = content.replace(b'"module": "nets.', b'"module": "gone.')
            new.writestr(part, content)
    assert_computes(nets.load(moved), name)
    assert_computes(keras.saving.load_model(moved), name)


def distillation():
    """As in data/before/make.py."""
    told = EXPECTED["fit"]
    student, teacher = (nets.load(HERE / FILES[n]) for n in ("narrowed", "wrapped"))
    made = distiller.DistillationModel(
        student, teacher, told["method"], hparams=told["hparams"], seed=told["seed"]
    )
    made.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    return made


def assert_computes_as_fitted(model):
    found = model.predict(ARRAYS["images"], verbose=0)
    np.testing.assert_allclose(found, ARRAYS["fit_logits"], **ROUNDING)


def test_weights_of_a_fit_are_read():
    student, all_of_it = distillation(), distillation()
    student.load_weights(HERE / "student.weights.h5")
    assert_computes_as_fitted(student)
    all_of_it.load_all_weights(HERE / "fit.npz")
    assert_computes_as_fitted(all_of_it)


@pytest.mark.slow
def test_a_fit_goes_on_from_them():
    model, told = distillation(), EXPECTED["fit"]
    model.load_all_weights(HERE / "fit.npz")
    train = dataloader.load("digits").train
    data = train.images[: told["num_images"]], train.labels[: told["num_images"]]
    found = model.fit(*data, batch_size=told["batch_size"], verbose=0)
    losses = {name: history.history["loss"] for name, history in found.items()}
    assert losses.keys() == told["losses"].keys()
    for name, values in told["losses"].items():
        np.testing.assert_allclose(losses[name], values, rtol=1e-3)
    own = model.method.variables[0]
    np.testing.assert_allclose(own, ARRAYS["fit_own"], rtol=1e-3, atol=1e-3)


@contextlib.contextmanager
def parsed(name, *arguments):
    """The flags of a command line; those of others come back after it."""
    with flagsaver.flagsaver():
        flags.FLAGS([name, *arguments])
        yield


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The interrupted run, in the current folder; goes on when called."""
    shutil.copytree(HERE / "run", tmp_path / "run")
    for name in ("net.keras", "little.keras"):
        shutil.copy(HERE / name, tmp_path)
    monkeypatch.chdir(tmp_path)

    def go_on(*more):
        with parsed(script.__file__, *RUN["command"], *more):
            script.main()

    return go_on


def files_of_the_run():
    paths = pathlib.Path("run").rglob("*")
    return {p: p.read_bytes() for p in paths if p.is_file() and p.name != ".lock"}


def test_the_interrupted_run_asks_before_it_goes_on_under_other_code(run):
    before = files_of_the_run()
    line = f"was {RUN['sources_sha256'][:12]} .*Give --allow_other_code to go on"
    with pytest.raises(ValueError, match=line):
        run()
    assert files_of_the_run() == before


@pytest.mark.slow
def test_the_interrupted_run_goes_on(run):
    run("--allow_other_code")
    result = json.loads(pathlib.Path("run/result.json").read_text())
    first, *_, last = result["provenance"]
    assert first["sources_sha256"] == RUN["sources_sha256"] != last["sources_sha256"]
    assert result["teacher"]["weights_sha256"] == RUN["teacher"]["weights_sha256"]
    for key in ("net", "parameters", "multiply_accumulates", "mean", "std"):
        assert result["student"][key] == RUN["student"][key]
    with open("run/metrics.csv") as file, open(HERE / "run/metrics.csv") as of_before:
        rows, begun = list(csv.DictReader(file)), list(csv.DictReader(of_before))
    # Seconds are equal, too: what was trained is not trained again.
    assert len(rows) == RUN["rows"] and rows[: len(begun)] == begun
    student = nets.load("run/student.keras")
    found = student(student.normalise(ARRAYS["images"]))
    # 42 steps by another processor.
    np.testing.assert_allclose(found, ARRAYS["finished_logits"], atol=5e-3)


@pytest.mark.parametrize("path", FOLDERS["runs"])
def test_a_flag_file_finds_its_run_folder(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with parsed(script.__file__, f"--flagfile={path}"):
        settings = script.canonical(benchmark.option_flags.read())
    found = [settings.default_train_dir()]
    if settings.teacher:
        found.append(settings.for_teacher().train_dir)
    assert found == FOLDERS["runs"][path]


@pytest.mark.parametrize("name", FOLDERS["cells"])
def test_a_grid_finds_its_cells(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    with parsed("benchmark.py", f"--flagfile=configs/grids/{name}.flags"):
        settings = benchmark.option_flags.read()
        cells = benchmark.cells_lib.expand(
            benchmark.grid_flags.read(settings),
            settings,
            set(benchmark.option_flags.given()),
            benchmark.canonical,
            pathlib.Path("out"),
        )
    assert sorted({c.record.folder.name for c in cells}) == FOLDERS["cells"][name]
