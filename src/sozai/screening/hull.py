"""Energy above the convex hull of the known materials, by the same potential.

Competing phases with a structure in the library carry the potential's own relaxed energy. Of about 12,000 more
only formula and DFT formation energy are at hand; leaving them out would call too much stable, so they are put
on the potential's scale by its energies of the pure elements (the potential was trained on the same corrected
energies; the two agree within 0.06 eV/atom on average).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.materials.known import KnownMaterials, KnownPhase, known_materials, known_phases

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
        phases: known phases without a structure; by default the bundled ones with the bundled library, else none.
        without: ids to leave out (for honest tests on known materials).
    """

    def __init__(
        self,
        known: KnownMaterials | None = None,
        phases: Mapping[frozenset[str], list[KnownPhase]] | None = None,
        without: frozenset[str] = frozenset(),
    ):
        self.known = known or known_materials()
        bundled = self.known is known_materials()
        self.phases = phases if phases is not None else known_phases() if bundled else {}
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

        sizes = range(1, len(system) + 1)
        subsets = [frozenset(c) for c in chain.from_iterable(combinations(sorted(system), n) for n in sizes)]
        found = self._competing(subsets)
        name = "-".join(sorted(system))
        bare = sorted(system - {_only(formula) for formula, _, _ in found})
        if bare:
            return None, len(found), f"unknown: the reference has no pure {', '.join(bare)}"
        needed = REFERENCES_PER_ELEMENT * len(system)
        if len(found) < needed:
            return None, len(found), f"unknown: only {len(found)} known materials in {name}, fewer than {needed}"
        best: dict[str, tuple[float, str]] = {}
        for formula, energy, identifier in found:  # of polymorphs only the lowest can lie on the hull
            if formula not in best or energy < best[formula][0]:
                best[formula] = energy, identifier
        entries = []
        for formula, (energy, identifier) in best.items():
            composition = Composition(formula)
            entries.append(PDEntry(composition, energy * composition.num_atoms, name=identifier))
        return PhaseDiagram(entries), len(found), ""

    def _competing(self, systems: Iterable[frozenset[str]]) -> list[tuple[str, float, str]]:
        """Formula, energy (eV/atom) and id of every known material in these chemical systems."""
        columns = (self.known.table[name].to_numpy() for name in ("formula", "energy", "id"))
        formulas, energies, identifiers = columns
        found = []
        for system in systems:
            for row in self.known.by_system.get(system, ()):
                if np.isfinite(energies[row]) and identifiers[row] not in self.without:
                    found.append((str(formulas[row]), float(energies[row]), str(identifiers[row])))
            for phase in self.phases.get(system, ()):
                energy = phase.formation_energy + self._unmixed(phase.formula)
                if phase.id not in self.without and np.isfinite(energy):
                    found.append((phase.formula, energy, phase.id))
        return found

    def _unmixed(self, formula: str) -> float:
        from pymatgen.core import Composition

        return mean_element_energy(Composition(formula).get_el_amt_dict(), self.element_energies)

    @cached_property
    def element_energies(self) -> dict[str, float]:
        """Lowest energy of each pure element in the library, eV/atom: the zero of formation energies."""
        energies = self.known.table["energy"].to_numpy()
        lowest: dict[str, float] = {}
        for system, rows in self.known.by_system.items():
            if len(system) == 1:
                finite = [float(energies[row]) for row in rows if np.isfinite(energies[row])]
                if finite:
                    lowest[next(iter(system))] = min(finite)
        return lowest


def mean_element_energy(counts: Mapping[str, float], of_elements: Mapping[str, float]) -> float:
    """Energy per atom of the unmixed elements; NaN when one of them is not in the library."""
    total = sum(counts.values())
    return sum(count * of_elements.get(element, float("nan")) for element, count in counts.items()) / total


@lru_cache(maxsize=100_000)
def _only(formula: str) -> str:
    """The element of an elemental formula such as ``"O2"``, else empty."""
    from pymatgen.core import Composition

    elements = Composition(formula).elements
    return elements[0].symbol if len(elements) == 1 else ""
