"""The old name of speed/, whose commands still answer to it."""

from common import moved

moved.keep_old_names()
