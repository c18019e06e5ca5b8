"""Losses and gradients against float64 vectors of published definitions.

`PARITY_DIR=... pytest tests/test_parity.py` reads other vectors than the copy in
tests/data/parity. What a file holds: FORMAT.md there.
"""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import distiller
from distiller import at, fitnet, soft_logits, vid
from nets.taps import Output, TapSpec

DIRECTORY = pathlib.Path(
    os.environ.get("PARITY_DIR") or pathlib.Path(__file__).parent / "data" / "parity"
)
FILES = sorted(DIRECTORY.glob("*/*.npz"))

# Folders that are not called as their method is, or as an alias of it.
METHOD_OF_FOLDER = {
    "AT_sum": "at",
    "CC_rbf": "cc",
    "CO_tf": "ofd",
    "FT_translator": "ft",
    "HCL": "reviewkd",
    "KDSVD_tf": "kd_svd",
    "OFD_zoo": "ofd",
}


@dataclasses.dataclass
class Vector:
    """One file: meta data, inputs by kind, and what is expected."""

    meta: dict
    inputs: dict[str, dict[str, tf.Tensor]]
    expected: dict[str, np.ndarray]

    @property
    def student(self):
        return self.inputs["student"]

    @property
    def teacher(self):
        return self.inputs["teacher"]

    @property
    def param(self):
        return self.inputs["param"]

    @property
    def hyperparameters(self):
        return self.meta["hyperparameters"]

    def levels(self):
        """Names of the features: `feature`, or `feature_0`, `feature_1`, ..."""
        return sorted(
            (name for name in self.student if name.startswith("feature")),
            key=lambda name: int(name.partition("_")[2] or 0),
        )


def read(path) -> Vector:
    inputs = {"student": {}, "teacher": {}, "param": {}, "other": {}}
    expected = {}
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        for key in file.files:
            kind, _, name = key.partition("/")
            if kind in ("loss", "grad", "updated", "output"):
                expected[key] = file[key]
            elif kind in ("student", "teacher", "param"):
                inputs[kind][name] = tf.constant(file[key])
            elif key != "meta":
                inputs["other"][key] = tf.constant(file[key])
    return Vector(meta, inputs, expected)


# Adapters: vector -> (compute, variables). compute() gives all expected results but
# the gradients, by their keys; variables are those that stand for `param/<name>`,
# where a class owns them. They only rename and reshape.


def kd(vector):
    def compute():
        return {
            "loss": soft_logits.soft_logits_loss(
                vector.student["logits"],
                vector.teacher["logits"],
                vector.hyperparameters["temperature"],
            )
        }

    return compute, {}


def hint(vector):
    def compute():
        s, t = vector.student["feature"], vector.teacher["feature"]
        return {"loss": fitnet.hint_loss(s, t)}

    return compute, {}


def attention(vector):
    return _gaps(vector, "level", at.attention_gaps, p=vector.hyperparameters["p"])


def summed_attention(vector):
    given = vector.hyperparameters
    assert given["layer_reduction"] == "mean", "the only one that is published"
    return _gaps(
        vector,
        "layer",
        at.summed_attention_gaps,
        p=given["p"],
        epsilon=given["epsilon"],
    )


def _gaps(vector, part, function, **hyperparameters):
    def compute():
        levels = vector.levels()
        students = [vector.student[name] for name in levels]
        teachers = [vector.teacher[name] for name in levels]
        gaps = function(students, teachers, **hyperparameters)
        parts = {f"loss/{part}_{i}": gap for i, gap in enumerate(gaps)}
        return {"loss": tf.add_n(gaps), **parts}

    return compute, {}


def information(vector):
    given = vector.hyperparameters
    levels = vector.levels()
    method = vid.VID(
        _specs(vector.student, levels),
        _specs(vector.teacher, levels),
        None,
        taps=tuple(levels),
        weight=1.0,
        eps=given["eps"],
        initial_variance=given["init_pred_var"],
        mid_channels=given["mid_channels"],
    )
    variables = {"log_scale": method.log_scales[0]} | {
        f"regressor_{i}/kernel": layer.kernel
        for i, layer in enumerate(method.regressors[0])
    }

    def compute():
        s = Output(None, {name: vector.student[name] for name in levels})
        t = Output(None, {name: vector.teacher[name] for name in levels})
        (loss,) = method.loss(s, t, {}).values()
        return {"loss": loss}

    return compute, variables


def _specs(maps, names):
    return {name: TapSpec(tuple(maps[name].shape[1:]), 1) for name in names}


ADAPTERS = {
    "KD": kd,
    "FitNet": hint,
    "AT": attention,
    "AT_sum": summed_attention,
    "VID": information,
}


def registered(folder) -> bool:
    try:
        distiller.canonical(METHOD_OF_FOLDER.get(folder, folder))
    except ValueError:
        return False
    return True


def test_there_are_vectors():
    assert FILES, f"no */*.npz under PARITY_DIR={DIRECTORY}"


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_vector(path):
    folder = path.parent.name
    if folder not in ADAPTERS:
        assert not registered(folder), f"the method of {folder}/ has no adapter here"
        pytest.skip(f"{folder}: no such method yet")
    vector = read(path)
    compute, variables = ADAPTERS[folder](vector)
    for name, variable in variables.items():
        assert variable.shape == vector.param[name].shape, name
        variable.assign(vector.param[name])
    sources = {**vector.inputs, "param": {**vector.param, **variables}}
    with tf.GradientTape() as tape:
        for kind in ("student", "teacher", "param"):
            for value in vector.inputs[kind].values():
                if value.dtype.is_floating:
                    tape.watch(value)
        results = compute()
    compare(vector, results, gradients(tape, results["loss"], sources, vector))


def gradients(tape, loss, sources, vector) -> dict:
    """The gradients that the vector has, by key; None counts as zero."""
    keys = [key for key in vector.expected if key.startswith("grad/")]
    values = []
    for key in keys:
        _, kind, name = key.split("/", 2)
        values.append(sources[kind][name])
    found = tape.gradient(loss, values)
    return {
        key: tf.zeros(value.shape) if gradient is None else gradient
        for key, value, gradient in zip(keys, values, found, strict=True)
    }


def compare(vector, results, found):
    relative = vector.meta.get("rtol")
    missing = set(vector.expected) - set(results) - set(found)
    assert not missing, f"the adapter does not give {sorted(missing)}"
    for key, expected in vector.expected.items():
        is_gradient = key.startswith("grad/")
        actual = np.asarray((found if is_gradient else results)[key], np.float64)
        assert actual.shape == expected.shape, key
        rtol, atol = (1e-3, 1e-6) if is_gradient else (1e-4, 1e-7)
        bound = (relative or rtol) * np.max(np.abs(expected), initial=0.0) + atol
        error = np.max(np.abs(actual - expected), initial=0.0)
        assert error <= bound, f"{key} is off by {error:.2e}, allowed are {bound:.2e}"
