"""Keras models that users bring along: read, checked and wrapped."""
