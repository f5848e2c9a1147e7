"""Rules about where the atoms are: distances, volume, dimensionality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.contacts import BOND_FACTOR, Contacts, component_dimensions, covalent_radii
from sozai.knowledge.crystals.elements import NON_METALS, element_table
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure

DIMENSIONS = {0: "molecules", 1: "chains", 2: "layers", 3: "a framework"}
_IS_NON_METAL = np.array([False] + [symbol in NON_METALS for symbol in SYMBOLS])


def least_distances(
    first: np.ndarray,
    second: np.ndarray,
    factor: float,
    factor_non_metals: float,
    pairs: Mapping[str, float],
) -> np.ndarray:
    """Least distance (angstrom) allowed between atomic numbers ``first`` and ``second``, shape (m,).

    NaN where a covalent radius is missing and the pair is not listed.
    """
    radii = covalent_radii()
    both = _IS_NON_METAL[first] & _IS_NON_METAL[second]
    least = np.where(both, factor_non_metals, factor) * (radii[first] + radii[second])
    for pair, distance in pairs.items():
        one, other = (SYMBOLS.index(symbol) + 1 for symbol in pair.split("-"))
        least[((first == one) & (second == other)) | ((first == other) & (second == one))] = distance
    return least


def greatest_least_distance(
    numbers: Sequence[int], factor: float, factor_non_metals: float, pairs: Mapping[str, float]
) -> float:
    """The greatest of the least distances (angstrom) between the elements of a structure: how far one must look."""
    species = np.unique(numbers)
    one, other = (grid.ravel() for grid in np.meshgrid(species, species))
    least = least_distances(one, other, factor, factor_non_metals, pairs)
    return float(np.nanmax([*least, 0.0]))


def interatomic_distances(
    contacts: Contacts,
    factor: float = 0.70,
    factor_non_metals: float = 0.77,
    pairs: Mapping[str, float] | None = None,
    severity: str = "hard",
) -> Verdict:
    """Whether no two atoms are closer than their elements allow.

    Args:
        contacts: pairs of atoms near each other.
        factor: least distance as a share of the sum of the covalent radii.
        factor_non_metals: the same where both are non-metals, whose bonds vary less.
        pairs: least distance (angstrom) for pairs such as ``"O-O"``, instead of the radii.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is the worst shortfall (angstrom).
    """
    rule, unit = "interatomic_distances", "angstrom"
    numbers = contacts.numbers
    one, other = numbers[contacts.first], numbers[contacts.second]
    least = least_distances(one, other, factor, factor_non_metals, pairs or {})
    shortfall = np.nan_to_num(least - contacts.distances, nan=-np.inf)
    close = shortfall > 1e-9
    if close.any():
        worst = int(shortfall.argmax())
        names = SYMBOLS[one[worst] - 1], SYMBOLS[other[worst] - 1]
        message = (
            f"{names[0]} (site {contacts.first[worst] + 1}) and {names[1]} (site {contacts.second[worst] + 1}) are "
            f"{contacts.distances[worst]:.2f} angstrom apart; at least {least[worst]:.2f} is allowed "
            f"({int(close.sum()) // 2} such contacts in the cell). Move them apart or enlarge the cell."
        )
        return Verdict(rule, False, message, float(shortfall[worst]), unit, severity)
    if contacts.cutoff < greatest_least_distance(numbers.tolist(), factor, factor_non_metals, pairs or {}):
        message = f"Not judged beyond {contacts.cutoff:.2f} angstrom: the cell has too many atoms."
        return Verdict(rule, None, message, unit=unit, severity=severity)
    blank = sorted({SYMBOLS[number - 1] for number in numbers if np.isnan(covalent_radii()[number])})
    if blank:
        message = f"Not judged for {', '.join(blank)}: no covalent radius is known."
        return Verdict(rule, None, message, unit=unit, severity=severity)
    ratio = contacts.distances / (covalent_radii()[one] + covalent_radii()[other])
    if not len(ratio):
        message = f"No two atoms are within {contacts.cutoff:.1f} angstrom."
        return Verdict(rule, True, message, unit=unit, severity=severity)
    closest = int(ratio.argmin())
    message = (
        f"The closest contact for its elements, {SYMBOLS[one[closest] - 1]}-{SYMBOLS[other[closest] - 1]} at "
        f"{contacts.distances[closest]:.2f} angstrom, is above the least of {least[closest]:.2f}."
    )
    return Verdict(rule, True, message, unit=unit, severity=severity)


def volume_per_atom(
    structure: Structure,
    counts: Mapping[str, int],
    low: float = 0.7,
    high: float = 2.0,
    severity: str = "hard",
) -> Verdict:
    """Whether the cell has about the volume that its atoms take in known crystals.

    Args:
        structure: the structure.
        counts: its atoms by element.
        low, high: least and greatest ratio of the cell's volume to the sum of the element volumes.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is how far the volume an atom is outside (cubic angstrom).
    """
    rule, unit = "volume_per_atom", "angstrom^3/atom"
    volumes = {symbol: element_table()[symbol].volume for symbol in counts}
    blank = sorted(symbol for symbol, volume in volumes.items() if volume is None)
    if blank:
        message = f"Not judged: no typical volume is known for {', '.join(blank)}."
        return Verdict(rule, None, message, unit=unit, severity=severity)
    atoms = sum(counts.values())
    actual = float(structure.volume) / atoms
    usual = sum((volumes[symbol] or 0.0) * number for symbol, number in counts.items()) / atoms
    ratio = actual / usual
    told = f"{actual:.1f} cubic angstrom an atom, {ratio:.2f} times the usual {usual:.1f}"
    if ratio < low:
        message = f"The cell is too small: {told} (at least {low:g}). Enlarge the cell."
        return Verdict(rule, False, message, low * usual - actual, unit, severity)
    if ratio > high:
        message = f"The cell is too large: {told} (at most {high:g}). Shrink the cell or fill its voids."
        return Verdict(rule, False, message, actual - high * usual, unit, severity)
    return Verdict(rule, True, f"{told[0].upper()}{told[1:]}.", unit=unit, severity=severity)


def dimensionality(
    contacts: Contacts,
    allowed: Sequence[int] = (1, 2, 3),
    bond_factor: float = BOND_FACTOR,
    severity: str = "soft",
) -> Verdict:
    """Whether the bonded network has an allowed dimension: 0 molecules, 1 chains, 2 layers, 3 a framework.

    The dimension of the structure is that of its most extended component (Larsen et al. 2019); atoms are bonded
    up to ``bond_factor`` times the sum of their covalent radii.

    Returns:
        the verdict; its amount is the distance to the nearest allowed dimension.
    """
    rule = "dimensionality"
    if not contacts.complete or np.isnan(covalent_radii()[contacts.numbers]).any():
        return Verdict(rule, None, "Not judged: the bonds could not be told.", severity=severity)
    parts = component_dimensions(contacts, contacts.bonded(bond_factor))
    dimension = max(parts)
    told = f"The bonds (up to {bond_factor:g} times the covalent radii) form {DIMENSIONS[dimension]}"
    if len(set(parts)) > 1:
        told += f" among {', '.join(DIMENSIONS[part] for part in sorted(set(parts)) if part != dimension)}"
    passed = dimension in allowed
    amount = 0.0 if passed else float(min(abs(dimension - wanted) for wanted in allowed))
    wish = "" if passed else f"; wanted: {' or '.join(DIMENSIONS[wanted] for wanted in sorted(allowed))}"
    return Verdict(rule, passed, f"{told} (dimension {dimension}){wish}.", amount, "", severity)
