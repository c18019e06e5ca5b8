"""The settings of a run, their flags, and how a command starts and ends."""
