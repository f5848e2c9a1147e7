"""Energy above the convex hull of the known materials, by the same potential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.materials.known import KnownMaterials, known_materials

if TYPE_CHECKING:
    from pymatgen.analysis.phase_diagram import PhaseDiagram

REFERENCES_PER_ELEMENT = 3
"""A chemical system with fewer known materials than this times its elements gets no number."""

IMPLAUSIBLE = -0.25
"""eV/atom. Of 116 materials further below sozai's hull, nearly all lacked a competing phase (docs/benchmarks.md)."""


@dataclass(frozen=True)
class HullDistance:
    """Where a material stands against the competing known ones.

    Attributes:
        above: eV/atom above the hull of the *known* materials, negative below it; ``None`` if unknown.
        note: why it is unknown, else empty.
        decomposition: competing phases as ``{"formula", "fraction", "id"}``, fractions of atoms.
        references: known materials in the chemical system and its subsystems.
    """

    above: float | None
    note: str = ""
    decomposition: list[dict[str, Any]] = field(default_factory=list)
    references: int = 0


class Hull:
    """Convex hulls of the known materials, one a chemical system, made when asked for.

    Args:
        known: the library; its ``energy`` column is used.
        without: ids to leave out (for honest tests on known materials).
    """

    def __init__(self, known: KnownMaterials | None = None, without: frozenset[str] = frozenset()):
        self.known = known or known_materials()
        self.without = without
        self._diagram = lru_cache(maxsize=4096)(self._build)

    def distance(self, counts: Mapping[str, int], energy_per_atom: float) -> HullDistance:
        """Energy above hull of a composition (atoms by element) with this energy (eV/atom)."""
        from pymatgen.core import Composition

        if not np.isfinite(energy_per_atom):
            return HullDistance(None, "unknown: the potential gave no energy")
        system = frozenset(counts)
        diagram, references, note = self._diagram(system)
        if diagram is None:
            return HullDistance(None, note, references=references)
        phases, hull_energy = diagram.get_decomp_and_hull_energy_per_atom(Composition(dict(counts)))
        decomposition = [
            {
                "formula": entry.composition.reduced_formula,
                "fraction": round(float(share), 4),
                "id": getattr(entry, "name", ""),
            }
            for entry, share in sorted(phases.items(), key=lambda item: -item[1])
        ]
        above = float(energy_per_atom - hull_energy)
        if above < IMPLAUSIBLE:
            note = (
                f"unknown: {-above:.2f} eV/atom below every known phase, more than new materials gain; "
                "a competing phase is missing or the potential fails here"
            )
            return HullDistance(None, note, decomposition, references)
        return HullDistance(above, "", decomposition, references)

    def hull_energy(self, counts: Mapping[str, int]) -> float:
        """Energy of the hull at a composition, eV/atom; NaN if unknown."""
        from pymatgen.core import Composition

        diagram, _, _ = self._diagram(frozenset(counts))
        if diagram is None:
            return float("nan")
        return float(diagram.get_hull_energy_per_atom(Composition(dict(counts))))

    def _build(self, system: frozenset[str]) -> tuple[PhaseDiagram | None, int, str]:
        from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
        from pymatgen.core import Composition

        by_system = self.known.by_system
        subsets = chain.from_iterable(combinations(sorted(system), size) for size in range(1, len(system) + 1))
        rows = list(chain.from_iterable(by_system.get(frozenset(subset), ()) for subset in subsets))
        energies = self.known.table["energy"].to_numpy()
        identifiers = self.known.table["id"].to_numpy()
        formulas = self.known.table["formula"].to_numpy()
        rows = [row for row in rows if np.isfinite(energies[row]) and identifiers[row] not in self.without]
        name = "-".join(sorted(system))
        bare = sorted(system - {_only(formulas[row]) for row in rows})
        if bare:
            return None, len(rows), f"unknown: the reference has no pure {', '.join(bare)}"
        needed = REFERENCES_PER_ELEMENT * len(system)
        if len(rows) < needed:
            return None, len(rows), f"unknown: only {len(rows)} known materials in {name}, fewer than {needed}"
        best: dict[str, int] = {}
        for row in rows:  # of polymorphs only the lowest can lie on the hull
            if formulas[row] not in best or energies[row] < energies[best[formulas[row]]]:
                best[formulas[row]] = row
        entries = []
        for row in best.values():
            composition = Composition(formulas[row])
            entry = PDEntry(composition, float(energies[row]) * composition.num_atoms, name=str(identifiers[row]))
            entries.append(entry)
        return PhaseDiagram(entries), len(rows), ""


@lru_cache(maxsize=100_000)
def _only(formula: str) -> str:
    """The element of an elemental formula such as ``"O2"``, else empty."""
    from pymatgen.core import Composition

    elements = Composition(formula).elements
    return elements[0].symbol if len(elements) == 1 else ""
