"""Vectors of published definitions: losses and gradients that were computed in float64.

What a file holds: tests/data/parity/FORMAT.md. A method's test file has the adapters to
its folders, as `PARITY = {folder: adapter}`, and tests/test_parity.py runs them.

An adapter takes a `Vector` and returns (compute, variables). compute() gives all
expected results but the gradients, by their keys; variables are those that stand for
`param/<name>`, where a class owns them. It renames and reshapes, no more.
"""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from nets.taps import Output, TapSpec


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

    def levels(self, kind="feature"):
        """Names of the student's maps: `feature`, or `feature_0`, `feature_1`, ..."""
        return sorted(
            (name for name in self.student if name.startswith(kind)),
            key=lambda name: int(name.removeprefix(kind).strip("_") or 0),
        )


def read(path) -> Vector:
    inputs = {"student": {}, "teacher": {}, "param": {}, "other": {}}
    expected = {}
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        for key in file.files:
            kind, _, name = key.partition("/")
            if kind in ("loss", "grad", "updated", "output", "attack"):
                expected[key] = file[key]
            elif kind in ("student", "teacher", "param"):
                inputs[kind][name] = tf.constant(file[key])
            elif key != "meta":
                inputs["other"][key] = tf.constant(file[key])
    return Vector(meta, inputs, expected)


def specs(arrays, names) -> dict[str, TapSpec]:
    """Taps of the shapes of these arrays."""
    return {name: TapSpec(tuple(arrays[name].shape[1:]), 1) for name in names}


def output(arrays) -> Output:
    """An Output with these arrays as taps, and as logits where there are any."""
    return Output(arrays.get("logits"), dict(arrays))


def sides(vector, levels) -> tuple:
    """The nets' maps under names of their own, so that a crossed tap is an error.

    Returns:
        The hyperparameter `taps`, the specs of both nets and the outputs of both.
    """
    taps = tuple(f"student_{name}:teacher_{name}" for name in levels)
    both = [
        {f"{side}_{name}": arrays[name] for name in levels}
        for side, arrays in (("student", vector.student), ("teacher", vector.teacher))
    ]
    return taps, [specs(x, x) for x in both], [output(x) for x in both]


def results(terms) -> dict:
    """A method's terms as expected results: their sum, and each as a part."""
    parts = {f"loss/{name}": term for name, term in terms.items()}
    return {"loss": tf.add_n(list(terms.values())), **parts}


def sum_of_levels(vector, part, function, **hyperparameters):
    """The adapter of a function of lists of maps that returns one loss a level."""

    def compute():
        levels = vector.levels()
        students = [vector.student[name] for name in levels]
        teachers = [vector.teacher[name] for name in levels]
        losses = function(students, teachers, **hyperparameters)
        parts = {f"loss/{part}_{i}": loss for i, loss in enumerate(losses)}
        return {"loss": tf.add_n(losses), **parts}

    return compute, {}


def tanh_classifier(parameters, side):
    """The net tanh(flat(x) K0 + b0) K1 + b1 with the parameters `side/dense_0/...`."""
    k0, b0, k1, b1 = (
        parameters[f"{side}/dense_{layer}/{kind}"]
        for layer in (0, 1)
        for kind in ("kernel", "bias")
    )

    def net(images, training=False, with_taps=False):
        del training
        hidden = tf.tanh(tf.reshape(images, [images.shape[0], -1]) @ k0 + b0)
        logits = hidden @ k1 + b1
        return Output(logits, {}) if with_taps else logits

    return net
