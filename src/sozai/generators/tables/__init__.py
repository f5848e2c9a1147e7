"""Generators of table rows: the neural systems and the classical methods under one interface."""
