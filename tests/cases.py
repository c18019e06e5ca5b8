"""All methods of the registry, for tests that each of them has to pass."""

import typing

import pytest

import distiller
from distiller import registry
from distiller.framework import hyperparameters
from tests import seams


def cases() -> list[tuple[str, tuple[str, ...]]]:
    """Every method with its defaults, and with each of its variants."""
    found = []
    for name in distiller.names():
        found.append((name, ()))
        for one in hyperparameters.of(registry.method_class(name)).values():
            if typing.get_origin(one.annotation) is typing.Literal:
                others = set(typing.get_args(one.annotation)) - {one.default}
                found += [(name, (f"{one.name}={other}",)) for other in sorted(others)]
    return found


def all_cases(*slow: str) -> pytest.MarkDecorator:
    """Every case; with the fast tests the seams' defaults, and all of a user's.

    Args:
        slow: methods of the seams that are slow all the same.
    """
    params = [
        pytest.param(
            (name, hparams),
            id="-".join((name, *hparams)),
            marks=_marks(name, bool(hparams) or name in slow),
        )
        for name, hparams in cases()
    ]
    return pytest.mark.parametrize("case", params)


def methods(names: typing.Iterable[str]) -> list:
    """Parameters of these methods; with the fast tests the seams and a user's."""
    return [pytest.param(name, id=name, marks=_marks(name)) for name in names]


def _marks(name, is_slow=False) -> list[pytest.MarkDecorator]:
    is_built_in = name in registry.METHODS
    is_slow = is_built_in and (is_slow or name not in seams.SEAMS)
    return [pytest.mark.slow] if is_slow else []


every_case = all_cases()
# XLA compiles their loops and decompositions for ten seconds and more.
every_case_but_slow_to_compile = all_cases(
    "BSS", "FT", "KD_EID", "KD_SVD", "MHGD", "Sobolev"
)
# For what only reads what a method declares, and takes no time.
every_method = pytest.mark.parametrize("name", distiller.names())
every_method_that_runs = pytest.mark.parametrize("name", methods(distiller.names()))
