"""Toward a goal: wishes in, ranked candidates out."""
