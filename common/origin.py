"""Where a user's function or class was written, and whether it was run again."""

import inspect
from collections.abc import Callable


def file_of(made: Callable) -> str:
    """The file of a function or class, whatever the module is called; "" if unknown."""
    inner = vars(made).values() if inspect.isclass(made) else (made,)
    codes = (function.__code__ for function in inner if inspect.isfunction(function))
    # A prompt's and a notebook's are none, and begin so.
    files = (c.co_filename for c in codes if not c.co_filename.startswith("<"))
    return next(files, "")


def is_same(before: Callable, now: Callable) -> bool:
    """Whether one takes the place of the other: both come from one text."""
    if before.__qualname__ != now.__qualname__:
        return False
    is_module = before.__module__ == now.__module__
    return is_module or file_of(before) == file_of(now) != ""
