"""Families of crystal structures by the names people use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A family of structures.

    Attributes:
        groups: its commonest space groups, the aristotype first.
        ratios: numbers of atoms of cations and then of the anion, e.g. ``(1, 1, 3)``; () when they vary.
        elements: that the family always has.
    """

    groups: tuple[int, ...]
    ratios: tuple[int, ...] = ()
    elements: tuple[str, ...] = ()


FAMILIES: Mapping[str, Family] = {
    "double perovskite": Family((225, 14, 87), (2, 1, 1, 6)),
    "antiperovskite": Family((221, 62)),
    "perovskite": Family((221, 62, 140, 167, 99), (1, 1, 3)),
    "inverse spinel": Family((227, 74), (1, 2, 4)),
    "spinel": Family((227, 141, 74), (1, 2, 4)),
    "garnet": Family((230, 142, 220)),
    "olivine": Family((62,)),
    "nasicon": Family((167, 15, 148), elements=("P", "O")),
    "argyrodite": Family((216, 33)),
    "rock salt": Family((225,), (1, 1)),
    "rocksalt": Family((225,), (1, 1)),
    "zinc blende": Family((216,), (1, 1)),
    "zincblende": Family((216,), (1, 1)),
    "wurtzite": Family((186,), (1, 1)),
    "fluorite": Family((225,), (1, 2)),
    "antifluorite": Family((225,), (2, 1)),
    "rutile": Family((136,), (1, 2)),
    "corundum": Family((167,), (2, 3)),
    "ilmenite": Family((148,), (1, 1, 3)),
    "delafossite": Family((166, 194), (1, 1, 2)),
    "pyrochlore": Family((227,), (2, 2, 7)),
    "scheelite": Family((88,), (1, 1, 4)),
    "half-heusler": Family((216,)),
    "heusler": Family((225,)),
    "chalcopyrite": Family((122,), (1, 1, 2)),
    "layered": Family((166, 12, 194, 164, 187, 63)),
}
"""Families by name, with the space groups of the mineral and its common distortions."""
