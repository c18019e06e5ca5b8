"""Weights of other code bases: readers, and the names they give."""
