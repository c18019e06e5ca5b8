"""The methods of the fast tests stand for all others, which cost them nothing."""

import keras

import distiller
from distiller import registry
from distiller.framework import base
from tests import cases, fakes, seams

NET = fakes.Net()


def facts(name) -> set[str]:
    """Declared by the class, and used by the method with its defaults."""
    keras.utils.set_random_seed(0)
    taps = NET.tap_specs
    method = distiller.build(name, taps, taps, fakes.data())
    return seams.declared(type(method)) | seams.used(method)


def uncovered(found: dict[str, set[str]]) -> dict[str, list[str]]:
    """Facts that no method of the list has -> those methods that have them."""
    covered = set().union(*(found[name] for name in seams.SEAMS))
    missing = {}
    for name, own in found.items():
        for fact in own - covered:
            missing.setdefault(fact, []).append(name)
    return missing


def test_every_seam_that_a_method_uses_has_one_in_the_list():
    found = {name: facts(name) for name in registry.METHODS}
    assert not uncovered(found), "add one of these methods to tests/seams.py"
    # About ten: whoever adds one with a new seam looks for another that it replaces.
    assert len(seams.SEAMS) <= 12


class Elsewhere(base.Distiller):
    """A method with a seam that is in no other."""

    needs_trained_teacher = True

    def deployed(self, student, teacher):
        return teacher


def test_a_seam_that_none_of_them_has_is_told():
    found = {name: facts(name) for name in seams.SEAMS}
    found["Elsewhere"] = seams.declared(Elsewhere)
    missing = uncovered(found)
    assert missing == {n: ["Elsewhere"] for n in ("needs_trained_teacher", "deployed")}


def test_a_new_method_s_cases_are_slow_by_themselves(monkeypatch):
    """Nobody has to remember it; one that `--imports` names is run, too."""
    monkeypatch.setitem(registry.METHODS, "Planted", (Elsewhere, ()))
    monkeypatch.setitem(registry._REGISTERED, "Mine", (Elsewhere, ()))
    parameters = cases.all_cases().args[1]
    assert names_of(parameters) == {*seams.SEAMS, "Mine"}
    assert names_of(cases.methods(["Planted", "AB", "Mine"])) == {"AB", "Mine"}
    assert "Planted" in names_of(parameters, fast=False)


def names_of(parameters, fast=True) -> set[str]:
    """The methods whose parameters have no mark, or have that of slow ones."""
    return {
        value if isinstance(value, str) else value[0]
        for (value,), marks, _ in parameters
        if (not any(mark.name == "slow" for mark in marks)) == fast
    }
