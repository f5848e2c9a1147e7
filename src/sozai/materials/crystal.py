"""A crystal with its name, its properties and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure


@dataclass
class Crystal:
    """One ordered crystal structure on its way through sozai.

    Attributes:
        id: unique within a run; the same in every file that is written.
        structure: ``pymatgen.core.Structure`` (lattice in angstrom, fractional coordinates).
        properties: numbers and labels known about it, e.g. ``{"energy_above_hull": 0.02}`` (eV/atom).
        provenance: how it came about: source file, or generator, seed, gene and template.
    """

    id: str
    structure: Structure
    properties: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """A piece of input that could not be used: where it is, why, and how to mend it."""

    where: str
    reason: str
    mend: str = ""

    def sentence(self) -> str:
        """One line for a person."""
        return f"{self.where}: {self.reason}" + (f"; {self.mend}" if self.mend else "")
