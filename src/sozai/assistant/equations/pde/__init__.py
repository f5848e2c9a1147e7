"""Partial differential equations on boxes of one to three dimensions: solved, and proven."""

from sozai.assistant.equations.pde.solve import solve_pde

__all__ = ["solve_pde"]
