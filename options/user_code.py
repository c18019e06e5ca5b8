"""Python files of the user, imported so that Keras knows the classes in them."""

import hashlib
import importlib
import importlib.util
import inspect
import pathlib
import sys
import traceback
from collections.abc import Sequence

from common.digests import file_digest, tree_digest
from common.errors import wrong

_NOT_THE_USERS = ("builtins", "keras", "numpy", "tensorflow")


def load(names: Sequence[str]) -> None:
    """Imports modules once.

    Args:
        names: of files, "my_nets.py", or of modules that Python finds, "package.nets".

    Raises:
        ValueError: there is no such file or module, or it fails.
    """
    for name in names:
        try:
            _load_file(name) if name.endswith(".py") else importlib.import_module(name)
        except (Exception, SystemExit) as error:  # The user's code may raise anything.
            raise wrong(
                "A module of yours cannot be imported",
                expected="a Python file or module that runs",
                received=f"--imports={name} "
                f"({type(error).__name__}{_line_of(error, name)}: {error})",
            ) from error
        _tell_keras(pathlib.Path(name).stem if name.endswith(".py") else name)


def digest(name: str) -> str:
    """SHA-256 of what a name of `load` stands for.

    Of a file its bytes, of a package all Python files in it; what else they import is
    not known. Empty for what is part of Python.
    """
    if name.endswith(".py"):
        return file_digest(name)
    spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if folders:
        texts = [tree_digest(folder, ["."]) for folder in folders]
        return hashlib.sha256("".join(texts).encode()).hexdigest()
    return file_digest(spec.origin) if spec and spec.has_location else ""


def _line_of(error: BaseException, name: str) -> str:
    """Where in the user's code an error came up: " in FILE, line N"; "" if unknown.

    In the imported file, or another one in its folder: not in what these call.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f" in {error.filename}, line {error.lineno}"
    file = name if name.endswith(".py") else getattr(_spec_of(name), "origin", None)
    folder = pathlib.Path(file or "").resolve().parent
    places = [
        f" in {frame.filename}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if file
        and pathlib.Path(frame.filename).resolve().parent == folder
        and not frame.filename.startswith("<")  # Python's own, "<frozen importlib>"
    ]
    return places[-1] if places else ""


def _spec_of(name: str):
    try:
        return importlib.util.find_spec(name)
    except Exception:  # There is none, or its package fails, with whatever error.
        return None


def _load_file(path: str) -> None:
    if not pathlib.Path(path).is_file():
        raise ImportError("there is no such file")
    name = pathlib.Path(path).stem  # by which a .keras file knows its classes
    loaded = sys.modules.get(name)
    if loaded is not None:
        if (
            pathlib.Path(loaded.__file__ or "").resolve()
            != pathlib.Path(path).resolve()
        ):
            raise ImportError(f"there is another module {name!r}; rename the file")
        return
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # as Python does: half a module is none
        raise


def _tell_keras(name: str) -> None:
    """Registers with Keras, by its name, what a module and those inside it hold.

    As "module>Name", which stands for no built-in object: a file that names a class can
    be rebuilt although the class was not registered, or under another package.

    Args:
        name: of a module that is imported.
    """
    keras = sys.modules.get("keras")
    if keras is None:  # then none of its classes is there
        return
    known = keras.saving.get_custom_objects()
    found = [n for n in sys.modules if n == name or n.startswith(f"{name}.")]
    for module in found:
        for key, value in tuple(vars(sys.modules[module]).items()):
            if _is_the_users(value):
                known.setdefault(f"{module}>{key}", value)


def _is_the_users(value) -> bool:
    is_named = inspect.isclass(value) or inspect.isfunction(value)
    origin = getattr(value, "__module__", None) or "builtins"
    return is_named and origin.partition(".")[0] not in _NOT_THE_USERS
