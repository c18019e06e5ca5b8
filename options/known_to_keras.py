"""Tells Keras of the classes and functions in a user's modules."""

import inspect
import sys

_NOT_THE_USERS = ("builtins", "keras", "numpy", "tensorflow")


def add(name: str) -> None:
    """Registers what a module and those inside it define or import, by its name.

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
