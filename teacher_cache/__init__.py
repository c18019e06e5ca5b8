"""The teacher's outputs, computed once and kept for other epochs and runs."""
