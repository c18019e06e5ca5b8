"""Distillation methods: what a student learns from a teacher."""

from typing import TYPE_CHECKING

from common import moved
from distiller.framework.base import DataSpec, Distiller, Phase
from distiller.framework.specs import Description, Spec, build, describe, resolve
from distiller.registry import canonical, names, register

if TYPE_CHECKING:
    from keras_fit.checkpoint import MethodCheckpoint
    from keras_fit.model import DistillationModel

__all__ = [
    "DataSpec",
    "Description",
    "DistillationModel",
    "Distiller",
    "MethodCheckpoint",
    "Phase",
    "Spec",
    "build",
    "canonical",
    "describe",
    "names",
    "register",
    "resolve",
]

# Of `fit`, which stands above the methods: imported when they are asked for.
_OF_FIT = {
    "DistillationModel": "keras_fit.model",
    "MethodCheckpoint": "keras_fit.checkpoint",
}


__getattr__ = moved.keep_old_names(__name__, _OF_FIT)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_FIT})
