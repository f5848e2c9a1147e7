"""A second potential's word on a candidate: its energy above the same competing phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.errors import UserError
from sozai.materials.known import KnownMaterials, known_phases
from sozai.screening.corrections import mp2020_energy
from sozai.screening.relax import Relaxation, relax_stream

if TYPE_CHECKING:
    from pymatgen.core import Structure

NAME = "sevennet-l3i5"


class SecondOpinion:
    """SevenNet-l3i5 on what the first potential found.

    A candidate is relaxed further by this potential for a few steps (known materials lie near its minimum
    already, a candidate does not yet), then compared with the phases that the first potential's hull names, all
    by the same potential and corrected alike (MP2020), so that its errors cancel in part.

    Args:
        known: library that holds the competing phases.
        steps: of relaxation, at most.
    """

    def __init__(self, known: KnownMaterials, steps: int = 15):
        self.known = known
        self.steps = steps
        self._rows = {identifier: row for row, identifier in enumerate(known.table["id"])}
        self._phases = {phase.id: phase for group in known_phases().values() for phase in group}

    def _pure(self, element: str) -> str:
        """Id of the pure element that lies lowest in the library."""
        rows = self.known.by_system[frozenset([element])]
        energies = self.known.table["energy"].to_numpy()[rows]
        return str(self.known.table["id"].iloc[rows[int(np.nanargmin(energies))]])

    @staticmethod
    def available() -> bool:
        """Whether its package is installed (the extra ``second-opinion``)."""
        from importlib.util import find_spec

        return find_spec("sevenn") is not None

    def judge(
        self,
        structures: Sequence[Structure],
        decompositions: Sequence[Sequence[Mapping[str, Any]]],
        deadline: float | None = None,
        processes: int | None = None,
        on_progress: Callable[[int, int, str], None] | None = None,
    ) -> list[dict[str, Any] | None]:
        """Energies per atom and, where the phases are known, energies above them (eV/atom); None where time ran out.

        Args:
            structures: candidates, in order of importance.
            decompositions: the competing phases of each, ``{"id", "fraction"}``, fractions of atoms.
        """
        needed = {phase["id"] for phases in decompositions for phase in phases}
        bare = {identifier: found for identifier in needed if (found := self._phases.get(identifier))}
        elements = {element for phase in bare.values() for element in _amounts(phase.formula)}
        pure = {element: self._pure(element) for element in elements}
        phases = sorted((needed - set(bare)) | set(pure.values()))
        stream = relax_stream(
            [*(self.known.structure(self._rows[name]) for name in phases), *structures],
            potential=NAME,
            fmax=0.1,
            max_steps=self.steps,
            deadline=deadline,
            processes=processes,
            on_progress=on_progress,
        )
        energies: dict[int, float] = {}
        for index, relaxation in stream:
            if np.isfinite(relaxation.energy_per_atom):
                energies[index] = _corrected(relaxation)
        of_phase = {name: energies.get(index, float("nan")) for index, name in enumerate(phases)}
        for name, phase in bare.items():  # of these only the formation energy by DFT is known
            amounts = _amounts(phase.formula)
            unmixed = sum(of_phase[pure[element]] * amount for element, amount in amounts.items())
            of_phase[name] = phase.formation_energy + unmixed / sum(amounts.values())
        opinions: list[dict[str, Any] | None] = []
        for number, decomposition in enumerate(decompositions):
            energy = energies.get(len(phases) + number, float("nan"))
            if not np.isfinite(energy):
                opinions.append(None)
                continue
            above = None
            if decomposition:
                competing = sum(of_phase[phase["id"]] * phase["fraction"] for phase in decomposition)
                difference = energy - competing / sum(phase["fraction"] for phase in decomposition)
                above = round(difference, 4) if np.isfinite(difference) else None
            opinions.append({"potential": NAME, "energy_per_atom": round(energy, 4), "energy_above_hull": above})
        return opinions


def _amounts(formula: str) -> dict[str, float]:
    from pymatgen.core import Composition

    return Composition(formula).get_el_amt_dict()


def _corrected(relaxation: Relaxation) -> float:
    """MP2020-corrected energy, eV/atom; NaN where no correction is known."""
    size = len(relaxation.structure)
    try:
        return mp2020_energy(relaxation.structure, relaxation.energy_per_atom * size) / size
    except UserError:
        return float("nan")
