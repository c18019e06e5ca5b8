"""The methods on which every seam of the framework is tested with the fast tests.

A seam is where a method may differ from the base class. What all methods have to keep
(the conformance tests, XLA, trainings of real nets) is tested with `-m slow` for all,
and with the fast tests for these alone, so that another method costs them nothing.
`tests/test_seams.py` tells when a method uses a seam that none of these has.
"""

import dataclasses

from distiller.framework import base

# Name -> the seam for which it is here.
SEAMS = {
    "none": "no teacher, no terms",
    "Soft_logits": "logits alone, another weight of the label loss than 1",
    "DML": "the teacher learns, too, in the same phase",
    "AB": "an initialising phase with variables of its own, then one without a teacher",
    "LwM": "gradients with respect to inputs: forwards of its own for both nets",
    "BSS": "draws, and other images than the batch's in the student's forward",
    "MHGD": "a phase without the student, gradients combined, equal widths needed",
    "RKD": "relations between images: no weights of images, a least batch size",
    "CRD": "the images' index, banks, variables that learn and some that do not",
    "MLKD": "several views of each image: more forward passes than one",
}

# What every method gives, or what is no choice of its own.
_GIVEN = {"loss", "overrides", "variables"}
_GIVEN |= {"trainable_variables", "non_trainable_variables"}
_GIVEN_PHASE = {"name", "loss", "own", "method"}


def declared(method: type[base.Distiller]) -> set[str]:
    """What a class declares or overrides of the base class."""
    names = {n for n in vars(base.Distiller) if not n.startswith("_")} - _GIVEN
    return {n for n in names if getattr(method, n) != getattr(base.Distiller, n)}


def used(method: base.Distiller) -> set[str]:
    """What a method, once it is built, uses besides: its phases and variables."""
    phases, found = method.phases(), set()
    for phase in phases:
        for field in dataclasses.fields(phase):
            if field.name in _GIVEN_PHASE:
                continue
            if getattr(phase, field.name) != field.default:
                found.add(f"a phase's {field.name}")
    found |= {"several phases"} if len(phases) > 1 else set()
    found |= {"variables that learn"} if method.trainable_variables else set()
    found |= {"variables that do not"} if method.non_trainable_variables else set()
    return found
