"""Nets as `.keras` files that say themselves how to rebuild the net."""

import json
import os
import pathlib
import zipfile

import keras

from nets.base import Net
from op_utils import files

SUFFIX = ".keras"


def save(net: Net, path: str | os.PathLike) -> None:
    """Writes a net so that `path` never holds half a file, and is on the disk.

    Args:
        net: any net of `nets.build`.
        path: ends in `.keras`; an existing file is replaced, missing folders are made.

    Raises:
        ValueError: `path` does not end in `.keras`.
    """
    path = _checked_suffix(path)
    files.make_folder(path.parent)
    files.write_atomically(path, net.save)


def load(path: str | os.PathLike, dtype=None) -> Net:
    """Reads a net that `save` or `net.save` wrote.

    Args:
        path: the `.keras` file.
        dtype: dtype policy or its name, under which the net is rebuilt; None keeps
            the one it was saved with. The weights are float32 in the mixed policies.

    Returns:
        The net, not compiled.

    Raises:
        ValueError: there is no such file, it is no whole `.keras` archive, or it
            holds a model that is not one of our nets.
    """
    net = load_model(path)
    if not isinstance(net, Net):
        raise ValueError(
            "The file holds a Keras model without taps. Expected one of the nets of "
            "nets.build, or a model wrapped by nets.wrap. "
            f"Received: path={str(path)!r} with a {type(net).__name__}."
        )
    return net if dtype is None else rebuilt(net, dtype)


def load_model(path: str | os.PathLike) -> keras.Model:
    """Reads any Keras model, not compiled.

    Raises:
        ValueError: there is no such file, it is no whole `.keras` archive, or Keras
            does not know a class that it names.
    """
    path = _checked_archive(_checked_suffix(path))
    try:
        return keras.saving.load_model(path, compile=False)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            "The archive does not hold a model that Keras can rebuild here. Expected "
            "one whose classes are known: built in, of nets, or registered with "
            "keras.saving.register_keras_serializable in a module that is imported. "
            f"Received: path={str(path)!r} ({reason})"
        ) from error


def name_of(path: str | os.PathLike) -> str:
    """The name of the model in a file, without building it; of our nets the net's.

    Raises:
        ValueError: there is no such file or it is no whole `.keras` archive.
    """
    path = _checked_archive(_checked_suffix(path))
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return config["config"]["name"]


def rebuilt(net: Net, dtype) -> Net:
    """A copy of the net under another dtype policy."""
    copy = type(net).from_config({**net.get_config(), "dtype": dtype})
    copy.set_weights(net.get_weights())
    return copy


def _checked_suffix(path) -> pathlib.Path:
    path = pathlib.Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(
            f"A net's file is a Keras archive. Expected a name ending in {SUFFIX}. "
            f"Received: path={str(path)!r}."
        )
    return path


def _checked_archive(path: pathlib.Path) -> pathlib.Path:
    received = f"Received: path={str(path)!r}."
    if not path.is_file():
        raise ValueError(f"There is no such file. Expected a .keras file. {received}")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            cut = file.read(4) == b"PK\x03\x04"  # the end of a zip is its directory
        what = "is cut off (an incomplete copy?)" if cut else "is no .keras archive"
        raise ValueError(
            f"The file {what}. Expected a whole file written by nets.save. {received}"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        damaged = error
    if damaged is not None:
        raise ValueError(
            f"The file is damaged ({damaged}). Expected a file as nets.save wrote it. "
            f"{received}"
        )
    return path
