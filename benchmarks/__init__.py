"""The old name of speed/, whose commands still answer to it."""

from common import moved

__getattr__ = moved.keep_old_names(__name__)
