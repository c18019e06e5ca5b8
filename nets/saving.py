"""Nets as `.keras` files that say themselves how to rebuild the net."""

import os
import pathlib

import keras

from common import files
from common.errors import wrong
from nets.base import Net
from nets.brought import h5_files, keras_errors, model_files, own_classes

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
        raise wrong(
            "The file holds a Keras model without taps",
            expected="one of the nets of nets.build, or "
            "nets.wrap(nets.saving.load_model(FILE))",
            received=f"path={str(path)!r} with a {type(net).__name__}",
        )
    return net if dtype is None else rebuilt(net, dtype)


def load_model(path: str | os.PathLike) -> keras.Model:
    """Reads any Keras model, not compiled, from a `.keras` or an `.h5` file.

    Classes and functions of the user's own are found by their names in what was
    imported with `--imports`, registered with Keras or not.

    Raises:
        ValueError: there is no such file, it is of another kind or damaged, or it names
            a class that is not known.
    """
    path = model_files.checked(path)
    config = model_files.config_of(path)
    own = own_classes.known(config, path)
    try:
        with own_classes.told(own):
            if model_files.is_h5(path):
                return h5_files.load(path, config)
            return keras.saving.load_model(path, compile=False)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            "The file does not hold a model that Keras can rebuild here. Expected "
            "one whose classes are built in, of nets, or give in get_config all that "
            "their constructors take. "
            f"Received: path={str(path)!r} ({keras_errors.line_of(error)})"
        ) from error


def name_of(path: str | os.PathLike) -> str:
    """The name of the model in a file, without building it; of our nets the net's.

    Raises:
        ValueError: there is no such file or it is none of a whole model.
    """
    return model_files.config_of(model_files.checked(path))["config"]["name"]


def rebuilt(net: Net, dtype) -> Net:
    """A copy of the net under another dtype policy."""
    config = {**net.get_config(), "dtype": dtype}
    with own_classes.told(own_classes.known(config, net.name)):
        copy = type(net).from_config(config)
    copy.set_weights(net.get_weights())
    return copy


def _checked_suffix(path) -> pathlib.Path:
    path = pathlib.Path(path)
    if path.suffix != SUFFIX:
        raise wrong(
            "A net's file is a Keras archive",
            expected=f"a name ending in {SUFFIX}",
            path=path,
        )
    return path
