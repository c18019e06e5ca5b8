"""How long a run would take, and what it would need."""
