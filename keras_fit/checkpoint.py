"""All that learns in a `fit`, in one file: student, method, and what else is trained.

The file is NumPy's .npz: `meta`, JSON that says whose it is, `labels` of the data, and
the variables by group and number. `save_weights` writes the deployed student alone.
"""

import json
import os
import pathlib
import zipfile
from collections.abc import Mapping

import keras
import numpy as np

from common import files
from common.errors import wrong
from distiller.framework import base

FORMAT = 1
SUFFIX = ".npz"
_UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile)


class MethodCheckpoint(keras.callbacks.Callback):
    """Writes `model.save_all_weights` at the end of epochs, of every phase.

        best = MethodCheckpoint("best.npz", monitor="val_accuracy", mode="max")
        model.fit(images, labels, callbacks=[best], validation_data=...)
        again.load_all_weights("best.npz")  # in a DistillationModel made alike
        again.fit(images, labels)

    Args:
        filepath: ends in .npz; `{phase}`, `{epoch}` and the names of the epoch's
            results may stand in it, as in `keras.callbacks.ModelCheckpoint`.
        monitor: a result, such as "val_accuracy": written are only epochs better than
            all before in the same phase; epochs without it are not. None writes each.
        mode: "max" or "min", which `monitor` needs.

    Raises:
        ValueError: the name does not end so, or `monitor` and `mode` do not fit; within
            `fit`, that the model is another one, or has no such result.
    """

    def __init__(
        self,
        filepath: str | os.PathLike,
        *,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        super().__init__()
        self.filepath = _checked(filepath)
        if mode not in (("min", "max") if monitor else (None,)):
            raise wrong(
                "What is better is not clear",
                expected="monitor=NAME with mode='min' or 'max', or neither",
                received=f"{monitor=}, {mode=}",
            )
        self.monitor, self.sign = monitor, -1.0 if mode == "min" else 1.0
        self.best = -np.inf

    def on_train_begin(self, logs=None):
        """A phase begins: what was best before does not count."""
        del logs
        if not hasattr(self.model, "save_all_weights"):
            raise wrong(
                "Only what fit distils has such weights",
                expected="a DistillationModel; keras.callbacks.ModelCheckpoint is for "
                "other models",
                received=f"model={self.model.name!r}, a {type(self.model).__name__}",
            )
        self.best = -np.inf

    def on_epoch_end(self, epoch, logs=None):
        """Writes the file, if it is due."""
        logs = dict(logs or {})
        if self.monitor:
            value = self.sign * float(logs.get(self.monitor, np.nan))
            if not value > self.best:
                return
            self.best = value
        facts = {**logs, "phase": self.model.phase, "epoch": epoch + 1}
        path = pathlib.Path(self._named(facts))
        path.parent.mkdir(parents=True, exist_ok=True)  # as ModelCheckpoint does
        self.model.save_all_weights(path)

    def _named(self, facts: Mapping) -> str:
        try:
            return str(self.filepath).format(**facts)
        except (IndexError, KeyError, ValueError) as error:
            raise wrong(
                "The file cannot be named so",
                expected="{phase}, {epoch} or results of an epoch: "
                f"{', '.join(sorted(facts))}",
                filepath=self.filepath,
            ) from error


def write(filepath: os.PathLike, model) -> None:
    """Writes what `fit` goes on from, completely or not at all.

    It is the student, the method's variables, those of a teacher that the method
    trains, and how many steps were trained. Optimizers are not: each `fit` begins with
    new ones.

    Args:
        filepath: ends in .npz.
        model: a `DistillationModel`.

    Raises:
        ValueError: the method is not built, as before the first `fit`, or the name does
            not end so.
    """
    path = _checked(filepath)
    if model.method is None:
        raise wrong(
            "The method has no variables before fit",
            expected="save_weights for the student alone, or a fit before",
            filepath=path,
        )
    meta = {
        "format": FORMAT,
        "method": _name(model),
        "batch_size": model.data.batch_size,
        "num_classes": model.data.num_classes,
    }
    arrays = {"meta": json.dumps(meta), "labels": model.data.labels}
    for name, variable in _variables(model, model.method).items():
        arrays[name] = _array(variable)
    files.write_atomically(path, lambda temporary: np.savez(temporary, **arrays))


def read(filepath: os.PathLike, model) -> None:
    """Reads what `write` wrote into a model made alike, which may not have fitted yet.

    Args:
        filepath: of the file.
        model: a `DistillationModel` of the same nets, method and hyperparameters.

    Raises:
        ValueError: it is no such file, or another model's; nothing is changed then.
    """
    found = _arrays(_checked(filepath))
    meta, labels = found.pop("meta"), found.pop("labels")
    data = base.DataSpec(len(labels), meta["num_classes"], labels, meta["batch_size"])
    _check(filepath, "method", _name(model), meta["method"])
    _check(filepath, "num_classes", model.student.num_classes, data.num_classes)
    if model.data is not None:
        _check(filepath, "data", _of_data(model.data), _of_data(data))
    method = model.method or model.method_for(data)
    variables = _variables(model, method)
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    received = {name: array.shape for name, array in found.items()}
    for name in (*shapes, *received):
        expected = shapes.get(name)
        _check(filepath, f"{name} of shape", expected, received.get(name))
    model.begin_with(method, data)
    for name, variable in variables.items():
        variable.assign(found[name])


def _variables(model, method) -> dict:
    """What is written, by what it belongs to and its number there."""
    groups = {
        "student": model.student.variables,
        "method": method.variables,
        "steps": model.counters[1:],
    }
    if any(phase.trains_teacher for phase in method.phases()):
        groups["teacher"] = model.teacher.variables
    return {
        f"{name}/{i}": variable
        for name, group in groups.items()
        for i, variable in enumerate(group)
    }


def _name(model) -> str:
    """What a file and a model must agree in."""
    spec = model.spec
    if spec is None:
        return type(model.method).__name__
    return " ".join((spec.name, *spec.settings))


def _of_data(data: base.DataSpec) -> str:
    return f"{data.num_examples} images in batches of {data.batch_size}"


def _array(variable) -> np.ndarray:
    # NumPy's files know no bfloat16; float32 holds its values.
    dtype = keras.backend.standardize_dtype(variable.dtype)
    array = np.asarray(variable)
    return array.astype(np.float32) if dtype == "bfloat16" else array


def _checked(filepath) -> pathlib.Path:
    path = pathlib.Path(filepath)
    if path.suffix != SUFFIX:
        raise wrong(
            "All weights of a fit have a file of their own kind",
            expected=f"a name ending in {SUFFIX}",
            filepath=filepath,
        )
    return path


def _arrays(path: pathlib.Path) -> dict:
    """Everything in the file, of which each part is compared with its checksum."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = dict(archive.items())
        found["meta"] = meta = json.loads(str(found["meta"]))
        if meta["format"] != FORMAT:
            raise ValueError("another version's")
        lacking = {"method", "batch_size", "num_classes"} - meta.keys()
        if lacking or "labels" not in found:
            raise ValueError("it does not say of which data it is")
    except FileNotFoundError:
        raise wrong(
            "There is no such file", expected="one of save_all_weights", filepath=path
        ) from None
    except _UNREADABLE as error:
        raise wrong(
            "The file cannot be read",
            expected="one of save_all_weights, complete",
            received=f"filepath={str(path)!r}: {type(error).__name__}: {error}",
        ) from error
    return found


def _check(filepath, what: str, expected, received) -> None:
    if expected != received:
        raise wrong(
            "The file belongs to another model",
            expected=f"{what} {expected}",
            received=f"{received} in {str(filepath)!r}",
        )
