"""How fast things are; never part of the tests."""
