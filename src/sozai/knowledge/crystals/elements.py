"""Numbers by element that the crystal rules use, from the bundled ``elements.csv``.

The file is written by ``scripts/build_element_table.py``, whose docstring names the source of every column.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from sozai.errors import UserError
from sozai.knowledge.crystals.wish import SYMBOLS

if TYPE_CHECKING:
    from pymatgen.core import Structure

NON_METALS = frozenset(["H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "Te", "I"])
"""Elements whose contacts with one another are covalent bonds or repulsion, never a metallic bond."""

HEAVIEST = len(SYMBOLS)
"""Atomic number of the heaviest element that the rules know."""


@dataclass(frozen=True)
class ElementNumbers:
    """One row of the element table; ``None`` where the source has no number.

    Attributes:
        mass: atomic mass (g/mol).
        covalent_radius: angstrom (Cordero 2008).
        volume: cubic angstrom an atom takes in a crystal, on average (fitted).
        bv_r, bv_c: bond-valence parameters (O'Keeffe and Brese 1991).
        hhi_production, hhi_reserve: Herfindahl-Hirschman index (Gaultois 2013), 0 to 10,000.
        price: US dollars a kilogram, 2013.
        electronegativity: Pauling's scale.
        radioactive: whether it has no stable isotope.
    """

    mass: float
    covalent_radius: float | None
    volume: float | None
    bv_r: float | None
    bv_c: float | None
    hhi_production: float | None
    hhi_reserve: float | None
    price: float | None
    electronegativity: float | None
    radioactive: bool


@cache
def element_table() -> Mapping[str, ElementNumbers]:
    """The table, by symbol from H to Lr."""
    text = files("sozai.knowledge.crystals").joinpath("elements.csv").read_text(encoding="utf-8")
    table = {}
    for row in csv.DictReader(text.splitlines()):
        symbol = row.pop("symbol")
        radioactive = row.pop("radioactive") == "1"
        mass = float(row.pop("mass"))
        numbers = {name: float(value) if value else None for name, value in row.items()}
        table[symbol] = ElementNumbers(mass=mass, radioactive=radioactive, **numbers)
    return table


def atomic_numbers(structure: Structure) -> list[int]:
    """Atomic number of each site.

    Raises:
        UserError: a site is disordered or partly occupied, or its element is heavier than Lr.
    """
    numbers = []
    for position, site in enumerate(structure):
        species = site.species
        if len(species) != 1 or abs(species.num_atoms - 1) > 1e-6:
            raise UserError(
                f"site {position + 1} is disordered ({site.species_string})",
                mend="give an ordered structure; the rules judge one element on each site",
            )
        (element,) = species
        number = int(element.Z)
        if not 1 <= number <= HEAVIEST:
            raise UserError(f"site {position + 1} holds {element}, an element the rules do not know")
        numbers.append(number)
    return numbers


def element_counts(numbers: list[int]) -> dict[str, int]:
    """Number of atoms of each element, by symbol, in order of atomic number."""
    return {SYMBOLS[number - 1]: numbers.count(number) for number in sorted(set(numbers))}
