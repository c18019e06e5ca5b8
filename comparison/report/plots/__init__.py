"""Plots: those of a report, and the learning curves of single runs."""
