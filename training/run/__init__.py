"""The folder of a run: what is in it, and what it depends on."""
