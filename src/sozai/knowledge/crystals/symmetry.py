"""Is the symmetry that was asked for really there? Found with spglib, at a stated tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure


@dataclass(frozen=True)
class Symmetry:
    """What spglib finds.

    Attributes:
        number: international number of the space group; 0 when spglib could not tell (overlapping atoms).
        symbol: international symbol.
        primitive_atoms: atoms in the primitive cell.
        tolerance: distance (angstrom) within which atoms counted as equivalent.
    """

    number: int
    symbol: str
    primitive_atoms: int
    tolerance: float


def find_symmetry(structure: Structure, numbers: Sequence[int], tolerance: float = 0.1) -> Symmetry:
    """Space group and primitive cell of a structure (spglib; Togo et al., Sci. Technol. Adv. Mater. Meth. 2024)."""
    import spglib

    cell: Any = (structure.lattice.matrix, np.asarray(structure.frac_coords) % 1.0, np.asarray(numbers))
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    except Exception:  # newer releases of spglib raise where older ones return None
        dataset = None
    if dataset is None:
        return Symmetry(0, "", len(numbers), tolerance)
    primitive = len(set(dataset.mapping_to_primitive.tolist()))
    return Symmetry(int(dataset.number), str(dataset.international), primitive, tolerance)


def space_group(symmetry: Symmetry, wanted: Sequence[int] = (), severity: str = "hard") -> Verdict:
    """Whether the structure has one of the space groups asked for, neither less nor more symmetry.

    Args:
        symmetry: what spglib found.
        wanted: international numbers; empty when none was asked for.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is 1 when the group is another one.
    """
    rule = "space_group"
    at = f"spglib, tolerance {symmetry.tolerance:g} angstrom"
    if symmetry.number == 0:
        passed = False if wanted else None
        message = f"The symmetry could not be told ({at}); atoms may overlap."
        return Verdict(rule, passed, message, float(bool(wanted)), "", severity)
    found = f"space group {symmetry.number} ({symmetry.symbol})"
    if not wanted:
        return Verdict(rule, None, f"None was asked for; the structure has {found} ({at}).", severity=severity)
    if symmetry.number in wanted:
        return Verdict(rule, True, f"The structure has {found} as asked for ({at}).", severity=severity)
    asked = ", ".join(str(group) for group in sorted(wanted)[:5]) + (" ..." if len(wanted) > 5 else "")
    message = f"The structure has {found}, but {asked} was asked for ({at})."
    return Verdict(rule, False, message, 1.0, "", severity)
