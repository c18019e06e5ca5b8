"""What a class must be to be registered as a method; checked once, when it is."""

import inspect
import re
import types
import typing

from common.errors import wrong
from distiller.framework import base, hyperparameters

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_RESERVED = ("all",)  # what a grid calls all methods
_TYPES = (
    "int, float, str, bool, Literal of texts, tuple[one of these, ...], or ... | None"
)
_POSITIONAL = ("student_taps", "teacher_taps", "data")


def check_name(name) -> None:
    """Raises ValueError unless a command line can take it as a method's name."""
    is_text = isinstance(name, str)
    if not (is_text and _NAME.fullmatch(name) and name.lower() not in _RESERVED):
        raise wrong(
            "This cannot be the name of a method",
            expected='a letter, then letters, digits, "_" and "-" ("+" sums methods), '
            'as in @distiller.register("Mine")',
            received=f"{name=}",
        )


def check(method, name: str) -> None:
    """Raises ValueError unless the class can be used wherever a built-in method can.

    Args:
        method: what was registered.
        name: for the error's text.
    """
    if not (inspect.isclass(method) and issubclass(method, base.Distiller)):
        raise wrong(
            "Only a class can be a method",
            expected="a subclass of distiller.Distiller",
            received=f"{name} = {method!r}",
        )
    own = {n for n in ("loss", "phases") if method is not base.Distiller
           if getattr(method, n) is not getattr(base.Distiller, n)}  # fmt: skip
    if not own:
        raise wrong(
            "The method does not say what it minimises",
            expected="loss(self, student, teacher, batch), or phases(self)",
            received=f"{_of(method, name)} with neither",
        )
    _check_arguments(method, name)
    for one in _hyperparameters(method, name).values():
        _check_hyperparameter(one, method, name)


def _of(method: type, name: str) -> str:
    return f"{name} = class {method.__name__}"


def _check_arguments(method: type, name: str) -> None:
    signature = inspect.signature(method)
    kinds = inspect.Parameter
    named = [
        p.name
        for p in signature.parameters.values()
        if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    has_rest = any(
        p.kind is kinds.VAR_POSITIONAL for p in signature.parameters.values()
    )
    if len(named) > 3 or (len(named) < 3 and not has_rest):
        raise wrong(
            "The method's constructor takes other arguments",
            expected=f"__init__(self, {', '.join(_POSITIONAL)}, *, NAME: TYPE = "
            "DEFAULT, ...), with the hyperparameters after the *",
            received=f"{_of(method, name)} with {signature}",
        )


def _hyperparameters(method: type, name: str):
    try:
        return hyperparameters.of(method)
    except NameError as error:  # an annotation as text, of what is not imported
        raise wrong(
            "An annotation of the method cannot be read",
            expected="names that its file imports",
            received=f"{_of(method, name)} with {error}",
        ) from error


def _check_hyperparameter(one, method: type, name: str) -> None:
    where = f"{_of(method, name)} with {one.name}"
    form = f"{one.name}: TYPE = DEFAULT with TYPE one of {_TYPES}"
    if one.annotation is None or one.default is inspect.Parameter.empty:
        lacks = "type" if one.annotation is None else "default"
        raise wrong(
            f"A hyperparameter of the method has no {lacks}, by which --hparam reads "
            "it",
            expected=form,
            received=where,
        )
    if not _is_known(one.annotation):
        raise wrong(
            "A hyperparameter of the method has a type that --hparam cannot read",
            expected=form,
            received=f"{where}: {one.annotation}",
        )
    try:
        again = hyperparameters.read(name, method, [str(one)])[one.name]
    except ValueError:
        again = None if one.default is not None else ""
    if again != one.default:
        raise wrong(
            "A hyperparameter's default does not fit its type",
            expected=f"a value that --hparam={one} gives again",
            received=f"{where}: {one.annotation} = {one.default!r}",
        )


def _is_known(annotation, is_inner: bool = False) -> bool:
    """Whether `hyperparameters.read` reads this type, and no other by mistake."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        others = [a for a in arguments if a is not types.NoneType]
        is_optional = len(others) == 1 and len(arguments) == 2
        return is_optional and not is_inner and _is_known(others[0])
    if origin is typing.Literal:
        return all(isinstance(a, str) for a in arguments)
    if origin is tuple:
        is_open = len(arguments) == 2 and arguments[1] is Ellipsis
        return is_open and not is_inner and _is_known(arguments[0], is_inner=True)
    return annotation in (int, float, str, bool)
