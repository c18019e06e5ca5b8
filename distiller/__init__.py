"""Distillation methods: what a student learns from a teacher."""

from distiller.framework.base import DataSpec, Distiller, Phase
from distiller.framework.specs import Description, Spec, build, describe, resolve
from distiller.registry import canonical, names, register
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
