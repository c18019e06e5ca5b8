"""Distillation methods: what a student learns from a teacher."""

from distiller.fit_checkpoint import MethodCheckpoint
from distiller.framework.base import DataSpec, Distiller, Phase
from distiller.framework.specs import Description, Spec, build, describe, resolve
from distiller.keras_model import DistillationModel
from distiller.registry import canonical, names, register

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
