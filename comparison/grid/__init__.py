"""A grid of runs: what it varies, its cells, and how they are run."""
