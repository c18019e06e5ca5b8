"""What a grid's results say: statistics, tables, plots, pages."""

from common import moved

__getattr__ = moved.names_of("comparison.report")
