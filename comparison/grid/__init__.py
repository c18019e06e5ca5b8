"""A grid of runs: what it varies, its cells, and how they are run."""

from common import moved

__getattr__ = moved.names_of("comparison.grid")
