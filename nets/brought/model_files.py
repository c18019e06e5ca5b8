"""Files that hold a Keras model: which are read, and what the others have to become."""

import contextlib
import json
import os
import pathlib
import zipfile

import h5py

from common.errors import wrong
from nets.brought import archives

SUFFIXES = (".keras", ".h5", ".hdf5")
_EITHER = "a .keras file, or an .h5 file"
_EXPORTED = (".onnx", ".tflite", ".pb", ".tfl")
_TORCH = (".pth", ".pt", ".mat", ".ckpt", ".bin", ".safetensors")


def is_file(name: str) -> bool:
    """Whether a net's name is that of a file which can be read."""
    return name.endswith(SUFFIXES)


def check_no_path(name: str) -> None:
    """Raises ValueError if what should be a net's name is a file or a folder."""
    others = (*_EXPORTED, *_TORCH, ".zip", ".tar", ".tgz", ".gz")
    if os.path.exists(name) or name.lower().endswith(others):
        checked(name)


def is_h5(path: pathlib.Path) -> bool:
    """Whether the content is HDF5, which Keras 2 also wrote under the name .keras."""
    return h5py.is_hdf5(path)


def checked(path: str | os.PathLike) -> pathlib.Path:
    """The path of a whole file with a Keras model.

    Raises:
        ValueError: there is no such file, or it is of another kind: the line says what
            it is and how to make a `.keras` file of it.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        what, expected = _of_folder(path)
        raise wrong(what, expected=expected, path=path)
    if not path.is_file():
        raise wrong("There is no such file", expected=_EITHER, path=path)
    if is_h5(path):
        return _checked_h5(path)
    if path.suffix != SUFFIXES[0]:
        what, expected = _of_other_file(path)
        raise wrong(what, expected=expected, path=path)
    _check_archive(path)
    return path


def config_of(path: pathlib.Path) -> dict:
    """The model's configuration, {"class_name", "config", ...}, of a `checked` file.

    Raises:
        ValueError: it is none.
    """
    if is_h5(path):
        with h5py.File(path) as file:
            text = file.attrs["model_config"]
    else:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("config.json")
    with contextlib.suppress(ValueError):
        config = json.loads(text)
        if isinstance(config, dict):
            return config
    raise wrong(
        "The file's description of the model is damaged",
        expected="a file that Keras wrote",
        path=path,
    )


def _of_folder(path: pathlib.Path) -> tuple[str, str]:
    """What the folder is, and what was expected."""
    if (path / "student.keras").is_file():
        return "The folder is that of a run", f"{path / 'student.keras'}"
    if not (path / "saved_model.pb").is_file():
        return "A folder is no model", _EITHER
    expected = (
        "a .keras file, written where the model was built: model.save('model.keras')"
    )
    if (path / "keras_metadata.pb").is_file():
        expected += (
            "; or, as Keras 2 wrote this folder, with pip install tf-keras: "
            f"tf_keras.models.load_model({str(path)!r}).save('model.h5')"
        )
    return (
        "The folder is a SavedModel: a graph without the layers and variables that "
        "training and taps need (keras.layers.TFSMLayer has none either)",
        expected,
    )


def _of_other_file(path: pathlib.Path) -> tuple[str, str]:
    """What the file is, and what was expected."""
    archives.check_none(path, "one .keras file or checkpoint")
    suffix = path.suffix.lower()
    if suffix in _EXPORTED:
        return (
            "The file is an exported graph, which has no layers that training and taps "
            "need",
            "the .keras file of the model that it was exported from: "
            "model.save('model.keras')",
        )
    if suffix in _TORCH:
        return (
            "The file holds weights without a Keras model",
            "a .keras file; of the published checkpoints of our nets one is made by "
            f"python -m nets.import_weights {path} --out=teacher.keras",
        )
    what = "A net's file is a Keras archive"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archives.is_keras(archive.namelist()):
                return what, f"the name {path.with_suffix('.keras').name} for it"
    return what, "a name ending in .keras"


def _checked_h5(path: pathlib.Path) -> pathlib.Path:
    try:
        with h5py.File(path) as file:
            has_model = "model_config" in file.attrs and "model_weights" in file
    except OSError as error:
        raise wrong(
            f"The file is damaged ({error})", expected="a whole .h5 file", path=path
        ) from error
    if not has_model:
        raise wrong(
            "The file holds weights alone, without the model",
            expected="a file of the whole model: build it, model.load_weights(FILE), "
            "model.save('model.keras')",
            path=path,
        )
    return path


def _check_archive(path: pathlib.Path) -> None:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            cut = file.read(4) == b"PK\x03\x04"  # the end of a zip is its directory
        what = "is cut off (an incomplete copy?)" if cut else "is no .keras archive"
        raise wrong(f"The file {what}", expected="one that model.save wrote", path=path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        damaged = error
    if damaged is not None:
        raise wrong(
            f"The file is damaged ({damaged})",
            expected="it as model.save wrote it",
            path=path,
        )
    if "config.json" not in names:
        archives.check_none(path, "one .keras file, which has a config.json")
        raise wrong(
            "The archive has no config.json", expected="a .keras file", path=path
        )
    _check_version(path)


def _check_version(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        texts = [archive.read(n) for n in names if n == "metadata.json"]
    version = str(json.loads(texts[0]).get("keras_version", "")) if texts else ""
    if version.startswith("2."):
        raise ValueError(
            f"The file is a .keras file of Keras {version}, which Keras 3 cannot read; "
            "an .h5 file can be. Expected, after pip install tf-keras, the file that "
            f"tf_keras.models.load_model({str(path)!r}).save('model.h5') writes. "
            f"Received: path={str(path)!r}."
        )
