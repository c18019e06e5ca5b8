"""All methods of the registry, for tests that each of them has to pass."""

import typing

import pytest

import distiller
from distiller import hyperparameters, registry


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


def _name(case) -> str:
    return "-".join((case[0], *case[1]))


every_case = pytest.mark.parametrize("case", cases(), ids=_name)
# For tests of several seconds a case.
every_case_variants_slow = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=_name(case), marks=[pytest.mark.slow] if case[1] else [])
        for case in cases()
    ],
)
every_method = pytest.mark.parametrize("name", distiller.names())
