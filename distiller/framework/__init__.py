"""What all methods stand on: base class, phases, sums, hyperparameters."""
