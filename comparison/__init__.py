"""Fair comparison: grids of runs, their cells one after another, and the report."""

from common import moved

moved.keep_old_names()
