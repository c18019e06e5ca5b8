"""Losses and gradients against float64 vectors of published definitions.

`PARITY_DIR=... pytest tests/test_parity.py` reads other vectors than the copy in
tests/data/parity. Each method's adapters are in its own test file, as `PARITY`.
"""

import importlib
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import distiller
from distiller import registry
from tests import vectors

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


def adapters() -> dict:
    """Folder -> adapter, from the test files of all methods."""
    found = {}
    for name in distiller.names():
        module = registry.method_class(name).__module__.rpartition(".")[2]
        tests = importlib.import_module(f"tests.distiller.test_{module}")
        for folder, adapter in getattr(tests, "PARITY", {}).items():
            assert folder not in found, f"two methods have an adapter to {folder}/"
            found[folder] = adapter
    return found


ADAPTERS = adapters()


def method_of(folder) -> str | None:
    """The method whose vectors these are, if it is registered."""
    try:
        return distiller.canonical(METHOD_OF_FOLDER.get(folder, folder))
    except ValueError:
        return None


def parameter(path):
    """A vector; its time is counted as its method's."""
    folder = path.parent.name
    marks = [pytest.mark.method(name) for name in [method_of(folder)] if name]
    return pytest.param(path, id=f"{folder}/{path.stem}", marks=marks)


@pytest.mark.skipif("PARITY_DIR" in os.environ, reason="others may have fewer")
def test_every_adapter_has_vectors():
    assert ADAPTERS.keys() <= {path.parent.name for path in FILES}


def test_there_are_vectors():
    assert FILES, f"no */*.npz under PARITY_DIR={DIRECTORY}"


@pytest.mark.parametrize("path", [parameter(path) for path in FILES])
def test_vector(path):
    folder = path.parent.name
    if folder not in ADAPTERS:
        assert not method_of(folder), f"the method of {folder}/ has no adapter here"
        pytest.skip(f"{folder}: no such method yet")
    vector = vectors.read(path)
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
