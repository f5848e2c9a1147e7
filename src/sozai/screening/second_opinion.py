"""A second potential's word on a candidate: its energy above the same competing phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.errors import UserError
from sozai.materials.known import KnownMaterials
from sozai.screening import potentials
from sozai.screening.corrections import mp2020_energy

if TYPE_CHECKING:
    from pymatgen.core import Structure

NAME = "sevennet-l3i5"


class SecondOpinion:
    """SevenNet-l3i5 at the geometry that the first potential found.

    The candidate and the phases it would decompose into (those the first potential's hull names) are
    evaluated by the same potential and corrected alike (MP2020), so that its errors cancel in part.
    """

    def __init__(self, known: KnownMaterials):
        self.known = known
        self._potential = potentials.load(NAME)
        self._rows = {identifier: row for row, identifier in enumerate(known.table["id"])}
        self._energies: dict[str, float] = {}

    @staticmethod
    def available() -> bool:
        """Whether its package is installed (the extra ``second-opinion``)."""
        from importlib.util import find_spec

        return find_spec("sevenn") is not None

    def judge(self, structure: Structure, decomposition: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Energy per atom and, where the phases are known, energy above them (eV/atom)."""
        energy = self._per_atom(structure)
        if not np.isfinite(energy):
            return None
        above = None
        if decomposition:
            competing = [self._of_known(phase["id"]) * phase["fraction"] for phase in decomposition]
            total = sum(competing) / sum(phase["fraction"] for phase in decomposition)
            above = round(energy - total, 4) if np.isfinite(total) else None
        return {"potential": NAME, "energy_per_atom": round(energy, 4), "energy_above_hull": above}

    def _per_atom(self, structure: Structure) -> float:
        total = float(self._potential.energies([structure])[0])
        if not np.isfinite(total):
            return float("nan")
        try:
            return mp2020_energy(structure, total) / len(structure)
        except UserError:
            return float("nan")

    def _of_known(self, identifier: str) -> float:
        if identifier not in self._energies:
            self._energies[identifier] = self._per_atom(self.known.structure(self._rows[identifier]))
        return self._energies[identifier]
