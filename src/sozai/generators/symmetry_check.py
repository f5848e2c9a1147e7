"""Whether a built crystal really has the symmetry of its gene, and not a higher one by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffError

if TYPE_CHECKING:
    from pymatgen.core import Structure


def keeps_symmetry(structure: Structure, gene: Gene, symprec: float = 0.1) -> bool:
    """Whether spglib finds the gene's space group and number of atoms (primitive cell) in the structure.

    Args:
        structure: the crystal.
        gene: what it was built from.
        symprec: tolerance in angstrom, the one with which the library was read.
    """
    try:
        found = WyckoffCrystal.from_structure(structure, symprec)
    except WyckoffError:
        return False
    return found.space_group == gene.space_group and found.gene.n_atoms == gene.n_atoms
