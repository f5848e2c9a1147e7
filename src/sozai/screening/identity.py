"""Which crystals are the same: unique within a set, novel against the known ones.

Two crystals are the same when pymatgen's ``StructureMatcher`` maps their primitive cells onto each other
(parameters below, volumes scaled). The reduced formula is the cheap first key. The primitive cells come from
spglib: the matcher's own reduction can deny that a crystal equals its conventional cell.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from sozai.materials.known import KnownMaterials, known_materials, known_phases, reduced_formula

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

MATCHER = {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}
"""Tolerances of StructureMatcher: fractional length, site distance in units of (V/n)^(1/3), degrees."""


@lru_cache(maxsize=1)
def matcher() -> StructureMatcher:
    """The matcher that all comparisons share."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher(**MATCHER, primitive_cell=False, scale=True)  # type: ignore[arg-type]


def primitive(structure: Structure) -> Structure:
    """The structure in its primitive cell (spglib, 0.1 angstrom); itself where none is found."""
    import spglib
    from pymatgen.core import Structure

    cell = (structure.lattice.matrix, structure.frac_coords, [site.specie.Z for site in structure])
    try:
        found = spglib.find_primitive(cell, symprec=0.1)  # type: ignore[arg-type]
    except Exception:  # newer spglib raises its own error where older ones return None
        found = None
    return structure if found is None else Structure(found[0], found[2], found[1])  # type: ignore[arg-type]


def counts_of(structure: Structure) -> dict[str, int]:
    """Atoms by element in the cell."""
    counts: dict[str, int] = defaultdict(int)
    for site in structure:
        counts[site.specie.symbol] += 1
    return dict(counts)


def formula_of(structure: Structure) -> str:
    """Reduced formula, the first key."""
    return reduced_formula(counts_of(structure))


class Seen:
    """Structures met so far; tells whether a new one is among them."""

    def __init__(self) -> None:
        self._by_formula: dict[str, list[tuple[str, Structure]]] = defaultdict(list)

    def twin(self, identifier: str, structure: Structure) -> str | None:
        """Id of an equal structure met before, else ``None`` (and this one is remembered)."""
        others = self._by_formula[formula_of(structure)]
        structure = primitive(structure)
        for name, other in others:
            if matcher().fit(structure, other):
                return name
        others.append((identifier, structure))
        return None


@dataclass(frozen=True)
class Nearest:
    """The known material that is most like a crystal.

    Attributes:
        space_group: 0 where its structure is not known.
        same: whether it is the same structure.
    """

    id: str
    formula: str
    space_group: int
    same: bool
    note: str


class Novelty:
    """Compares crystals with the known materials."""

    def __init__(self, known: KnownMaterials | None = None):
        self.known = known or known_materials()
        bundled = self.known is known_materials()
        phases = chain.from_iterable(known_phases().values()) if bundled else ()
        self._listed = {phase.formula: phase for phase in phases}
        self._structure = lru_cache(maxsize=4096)(self.known.structure)

    def nearest(self, structure: Structure) -> Nearest | None:
        """The same known material, else one of the same formula, else ``None``."""
        rows = self.known.by_formula.get(formula_of(structure), [])
        table = self.known.table
        structure = primitive(structure)
        for row in rows:
            if matcher().fit(structure, self._structure(row)):
                return self._named(row, True, "the same structure")
        if not rows:
            listed = self._listed.get(formula_of(structure))
            if listed is None:
                return None
            return Nearest(listed.id, listed.formula, 0, False, "same formula; its structure is not in the library")
        row = min(rows, key=lambda row: _missing_last(table["energy_above_hull"].iloc[row]))
        return self._named(row, False, f"same formula, another structure ({len(rows)} known)")

    def _named(self, row: int, same: bool, note: str) -> Nearest:
        values = self.known.table.iloc[row]
        return Nearest(str(values["id"]), str(values["formula"]), int(values["space_group"]), same, note)


def _missing_last(value: float) -> float:
    return float("inf") if value != value else float(value)
