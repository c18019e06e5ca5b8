"""All methods of the registry, for tests that each of them has to pass."""

import typing

import pytest

import distiller
from distiller import registry
from distiller.framework import hyperparameters


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


def _slow_or_not(*slow: str):
    """Every case; the variants, and these methods, only with `-m slow`."""
    params = [
        pytest.param(
            case,
            id=_name(case),
            marks=[pytest.mark.slow] if case[1] or case[0] in slow else [],
        )
        for case in cases()
    ]
    return pytest.mark.parametrize("case", params)


# For tests of several seconds a case.
every_case_variants_slow = _slow_or_not()
# XLA compiles their loops and decompositions for ten seconds and more.
every_case_but_slow_to_compile = _slow_or_not(
    "BSS", "FT", "KD_EID", "KD_SVD", "MHGD", "Sobolev"
)
every_method = pytest.mark.parametrize("name", distiller.names())
