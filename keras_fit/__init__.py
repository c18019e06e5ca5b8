"""A student and a method behind Keras' compile and fit."""
