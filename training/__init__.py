"""A training: its step, its loop, and what is kept and told of it."""
