"""Fair comparison: grids of runs, their cells one after another, and the report."""

from common import moved

__getattr__ = moved.keep_old_names(__name__)
