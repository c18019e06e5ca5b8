"""Copies of Keras models with fewer channels."""
