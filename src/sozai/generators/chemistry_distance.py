"""How alike two elements are, and how much room they take: what carries a structure over to other elements.

Likeness is the gap on the modified Pettifor scale (Glawe et al., New J. Phys. 2016, 18, 093011): one number an
element, mined from known crystals so that neighbours on the scale replace one another in the same structure.
Being a single number, it makes the cheapest assignment between two sets of elements a sort.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import SYMBOLS

NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}
"""Atomic number by symbol."""

# fmt: off
_PETTIFOR = (
    "He", "Ne", "Ar", "Kr", "Xe", "Rn", "Fr", "Cs", "Rb", "K", "Na", "Li", "Ra", "Ba", "Sr", "Ca", "Eu",
    "Yb", "Lu", "Tm", "Y", "Er", "Ho", "Dy", "Tb", "Gd", "Sm", "Pm", "Nd", "Pr", "Ce", "La", "Ac", "Th",
    "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Sc", "Zr", "Hf", "Ti",
    "Ta", "Nb", "V", "Cr", "Mo", "W", "Re", "Tc", "Os", "Ru", "Ir", "Rh", "Pt", "Pd", "Au", "Ag", "Cu",
    "Ni", "Co", "Fe", "Mn", "Mg", "Zn", "Cd", "Hg", "Be", "Al", "Ga", "In", "Tl", "Pb", "Sn", "Ge", "Si",
    "B", "C", "N", "P", "As", "Sb", "Bi", "Po", "Te", "Se", "S", "O", "At", "I", "Br", "Cl", "F", "H",
)
# fmt: on

_USUAL_VOLUME = 20.0
_USUAL_RADIUS = 1.5


@cache
def element_scale() -> np.ndarray:
    """Modified Pettifor number by atomic number, scaled to 0-1, shape (104,); entry 0 is unused (NaN)."""
    scale = np.full(len(SYMBOLS) + 1, np.nan)
    for place, symbol in enumerate(_PETTIFOR):
        scale[NUMBER[symbol]] = place / (len(_PETTIFOR) - 1)
    return scale


@cache
def element_volumes() -> dict[str, float]:
    """Volume an atom takes in a crystal (cubic angstrom), by symbol; 20 where too few crystals are known."""
    return {symbol: numbers.volume or _USUAL_VOLUME for symbol, numbers in element_table().items()}


@cache
def covalent_radii() -> dict[str, float]:
    """Covalent radius (angstrom) by symbol; 1.5 where none is tabulated."""
    return {symbol: numbers.covalent_radius or _USUAL_RADIUS for symbol, numbers in element_table().items()}


def expected_volume(counts: Mapping[str, int]) -> float:
    """Sum of the elements' volumes (cubic angstrom) for atoms by element."""
    volumes = element_volumes()
    return sum(volumes[symbol] * count for symbol, count in counts.items())
