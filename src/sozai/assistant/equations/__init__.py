"""Equations: from words to a proven solution."""
