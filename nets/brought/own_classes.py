"""Classes and functions of a model that Keras does not know by itself."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import keras

from common.errors import wrong

# Modules that Keras imports by itself when a file names them.
_IMPORTED_BY_KERAS = ("keras_hub", "keras_cv", "keras_nlp")
# Where the package's name is not that of the module with "-" for "_".
_PACKAGES = {
    "classification_models": "image-classifiers",
    "official": "tf-models-official",
    "tfm": "tf-models-official",
    "tensorflow_models": "tf-models-official",
}
_FUNCTIONS = (
    keras.activations,
    keras.constraints,
    keras.initializers,
    keras.losses,
    keras.metrics,
    keras.ops,
    keras.regularizers,
)
_CLASSES = (*_FUNCTIONS, keras, keras.layers, keras.models, keras.optimizers)
_CODE = "__lambda__"  # of a function without a name
# Keras 2 made these of operations between layers.
_OF_OPERATIONS = ("TFOpLambda", "SlicingOpLambda")


class Named(NamedTuple):
    """An object that a configuration names.

    Attributes:
        name: as in Python, "Block".
        key: by which Keras looks it up, "mine>Block".
        module: where it was defined, as far as the file tells, or "".
        layer: name of the layer that has it, or "".
    """

    name: str
    key: str
    module: str
    layer: str


def known(config: dict, path: pathlib.Path | str) -> dict:
    """What Keras needs to be told to rebuild a model: key -> class or function.

    An object is found by its name among those that are registered with Keras, under
    whatever package; the modules of `--imports` are there with all they define.

    Args:
        config: of the model.
        path: of its file, for errors.

    Raises:
        ValueError: an object is not known; the line says which and what to do.
    """
    found, missing = {}, []
    for named in _own(config, ""):
        candidates = _candidates(named)
        if not candidates:
            missing.append(named)
        elif len(candidates) > 1:
            places = ", ".join(
                sorted(f"{x.__module__}.{named.name}" for x in candidates)
            )
            raise wrong(
                f"There are several of the name {named.name}",
                expected="one, or the one that the model was saved with, "
                f"{named.key!r}",
                received=f"path={str(path)!r} with {places}",
            )
        else:
            found[named.key] = candidates[0]
    if missing:
        what, expected = _why(missing)
        raise wrong(what, expected=expected, path=path)
    return found


@contextlib.contextmanager
def told(found: dict) -> Iterator[None]:
    """Meanwhile Keras knows what `known` found.

    Not a custom_object_scope: that would hide the user's own one.
    """
    registered = keras.saving.get_custom_objects()
    added = {key: value for key, value in found.items() if key not in registered}
    registered.update(added)
    try:
        yield
    finally:
        for key in added:
            del registered[key]


def _own(config, layer: str) -> Iterator[Named]:
    """The objects in a configuration that Keras will not find."""
    if isinstance(config, list | tuple):
        for part in config:
            yield from _own(part, layer)
        return
    if not isinstance(config, dict):
        return
    inner = config.get("config")
    if "class_name" in config and "config" in config:
        if isinstance(inner, dict):
            layer = inner.get("name") if isinstance(inner.get("name"), str) else layer
        named = _named(config, layer)
        if named is not None:
            yield named
    for key, value in config.items():
        if key in ("activation", "function") and isinstance(value, str):  # of Keras 2
            if not _has(_FUNCTIONS[:1], value) and not _is_registered(value):
                yield Named(value, value, "", layer)
        elif key not in ("compile_config", "build_config"):
            yield from _own(value, layer)


def _named(config: dict, layer: str) -> Named | None:
    """What this entry is, unless Keras knows it."""
    name, module = str(config["class_name"]), config.get("module") or ""
    key = config.get("registered_name") or name
    if name == "function":
        key = str(config["config"])
        name = key.rpartition(">")[2]
        if _has(_FUNCTIONS, name):
            return None
        module = "" if module == "builtins" else module
    elif name == _CODE or name in _OF_OPERATIONS:
        return Named(name, name, "", layer)
    elif name == "Lambda" and isinstance(config["config"].get("function"), list):
        return Named(_CODE, _CODE, "", layer)  # of Keras 2
    elif name.startswith("__") or _is_builtin(config, name, module.partition(".")[0]):
        return None
    name = name.rpartition(">")[2]
    is_found = module.partition(".")[0] in _IMPORTED_BY_KERAS and _is_there(module)
    return None if is_found or _is_registered(key) else Named(name, key, module, layer)


def _is_builtin(config: dict, name: str, package: str) -> bool:
    is_of_keras_2 = "module" not in config or package in ("tensorflow", "tf_keras")
    return package == "keras" or (
        is_of_keras_2 and (name == "Functional" or _has(_CLASSES, name))
    )


def _candidates(named: Named) -> list:
    """The objects of this name that are registered; of several, the right one."""
    scoped = keras.saving.get_registered_object(named.name)
    if scoped is not None:
        return [scoped]
    found = {
        id(value): value
        for key, value in keras.saving.get_custom_objects().items()
        if key.rpartition(">")[2] == named.name
    }
    same = [x for x in found.values() if x.__module__ == named.module]
    return same or list(found.values())


def _has(modules, name: str) -> bool:
    return any(callable(getattr(module, name, None)) for module in modules)


def _is_registered(key: str) -> bool:
    return keras.saving.get_registered_object(key) is not None


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def _why(missing: list[Named]) -> tuple[str, str]:
    """What is wrong with the first, of the kind that is told first; what is right."""
    for named in missing:
        if named.name == _CODE:
            return (
                f"The layer {named.layer!r} is Python code in the file (a lambda), "
                "which is not run",
                "a layer without it: keras.layers.Rescaling and the like, or a class "
                "of your own with --imports=FILE.py",
            )
        if named.name in _OF_OPERATIONS:
            return (
                f"The layer {named.layer!r} is a TensorFlow operation between layers, "
                f"which Keras 3 does not read ({named.name} of Keras 2)",
                "a model that is built anew with keras.ops or layers, load_weights, "
                "and saved as .keras",
            )
    for named in missing:
        package = named.module.partition(".")[0]
        is_package = package in (*_IMPORTED_BY_KERAS, *_PACKAGES)
        if (is_package or "." in named.module) and not _is_there(package):
            pip = _PACKAGES.get(package, package.replace("_", "-"))
            other = "" if is_package else ", or --imports=FILE.py with such a class"
            return (
                f"The model's class {named.name} is of the package {package}, which is "
                "not installed",
                f"pip install {pip}{other}",
            )
    names = ", ".join(dict.fromkeys(named.name for named in missing))
    modules = list(dict.fromkeys(x.module for x in missing if x.module))
    whence = f", as in {', '.join(modules)}" if modules else ""
    return (
        f"The model has classes or functions of its own: {names}",
        f"--imports=FILE.py, a Python file that defines {names}{whence}; in Python, "
        "keras.saving.custom_object_scope with them",
    )
