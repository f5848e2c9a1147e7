"""All proofs, by system."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from sozai.generators.catalog import FAMILIES, recipe
from sozai.generators.proofs.proof import CHECKS, Check


@lru_cache(1)
def checks() -> tuple[Check, ...]:
    """Every check, in the order of the families."""
    for family in FAMILIES:
        import_module(f"sozai.generators.proofs.{family}")
    return tuple(CHECKS)


def checks_of(system: str) -> list[Check]:
    """The proof of one system.

    Raises:
        UserError: there is no such system.
    """
    name = recipe(system).name
    return [each for each in checks() if name in each.systems]
