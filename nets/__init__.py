"""Nets that show their taps.

Importing the package registers all nets with Keras, so that
`keras.saving.load_model("student.keras")` needs no architecture.
"""

from common import moved
from nets.base import Net
from nets.brought.unit_head import two_classes
from nets.brought.wrapped import seen_by, wrap
from nets.costs import count_parameters, multiply_accumulates
from nets.narrowing.narrowed import narrow
from nets.registry import build, canonical_name, names, register
from nets.saving import load, save
from nets.taps import Output, TapSpec

__getattr__ = moved.keep_old_names(__name__)

__all__ = [
    "Net",
    "Output",
    "TapSpec",
    "build",
    "canonical_name",
    "count_parameters",
    "load",
    "multiply_accumulates",
    "names",
    "narrow",
    "register",
    "save",
    "seen_by",
    "two_classes",
    "wrap",
]
