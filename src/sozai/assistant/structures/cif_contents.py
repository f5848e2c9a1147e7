"""The contents of a CIF's cell against what the file says of them: formula, Z, weight, density, charge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import gcd

from sozai.assistant.structures.cif_numbers import number_of
from sozai.assistant.structures.cif_sites import Site
from sozai.assistant.structures.cif_symmetry import Report
from sozai.assistant.structures.cif_text import Block
from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import SYMBOLS

SHARE = 0.01
"""Greatest difference of an atomic fraction between formula and partly occupied sites (an error three times that)."""
SHARE_FULL = 0.001
"""The same where every site is full."""
_PART = re.compile(r"([A-Z][a-z]?)\s*(\d*\.?\d*)")
_DALTON = 1.66053907  # g/cm3 of one dalton in one cubic angstrom


def contents(sites: list[Site]) -> dict[str, float]:
    """Atoms of each element in the cell."""
    amounts: dict[str, float] = {}
    for site in sites:
        if site.element:
            amounts[site.element] = amounts.get(site.element, 0.0) + site.occupancy * len(site.images)
    return {element: amount for element, amount in amounts.items() if amount > 0}


def audit_contents(block: Block, sites: list[Site], volume: float, report: Report) -> None:
    """Formula, number of formula units, weight, density and charge."""
    amounts = contents(sites)
    if not amounts:
        return
    formula = _formula(block, report)
    units = _units(block, amounts, formula, report)
    if formula is not None:
        _weight(block, formula, report)
    _density(block, amounts, volume, report)
    _charge(sites, report)
    _packing(amounts, volume, units, report)


def _formula(block: Block, report: Report) -> dict[str, float] | None:
    value = block.one("_chemical_formula_sum")
    if value is None:
        return None
    text = " ".join(value.text.split())
    counts: dict[str, float] = {}
    left = re.sub(r"[\s,]", "", _PART.sub("", text))
    for symbol, number in _PART.findall(text):
        symbol = "H" if symbol == "D" else symbol
        if symbol not in SYMBOLS:
            told = f"'{symbol}' in the formula '{text}' is no element."
            report("formula-syntax", "error", value.line, "_chemical_formula_sum", told, "Mend the formula.")
            return None
        if number in (".",):
            left += number
        counts[symbol] = counts.get(symbol, 0.0) + float(number or 1)
    if left or not counts:
        told = f"The sum formula '{text}' is not of the form 'O3 Sr Ti'."
        report("formula-syntax", "warning", value.line, "_chemical_formula_sum", told, "Write elements with numbers.")
        return None
    return {symbol: number for symbol, number in counts.items() if number > 0}


def _units(
    block: Block, amounts: Mapping[str, float], formula: Mapping[str, float] | None, report: Report
) -> float | None:
    stated = block.one("_cell_formula_units_z")
    units = number_of(stated)
    if stated is not None and units is not None and (units < 0.5 or units != int(units)):
        told = f"Z = {units:g} is no number of formula units."
        report(
            "formula-units", "error", stated.line, "_cell_formula_units_Z", told, "Give a whole number.", value=units
        )
        return None
    if formula is None:
        return units
    line = block.tags["_chemical_formula_sum"][1]
    whole_cell = _off_by_atoms(block, amounts, formula, units)
    if _compare(amounts, formula, line, report, whole_cell) and units is not None and stated is not None:
        if "H" in formula and "H" not in amounts:  # not located, see _compare: the others are counted
            formula = {element: number for element, number in formula.items() if element != "H"} or formula
        total, whole = sum(amounts.values()), sum(formula.values())
        structural = block.one("_chemical_formula_structural", "_chemical_formula_moiety")
        # Some programs write the formula of the whole cell and Z beside it; then Z must divide the atoms.
        as_cell = abs(total / whole - 1) < 0.02 and _divides(amounts, units)
        if as_cell and structural is not None and units > 1:
            unit = {s: float(n or 1) for s, n in _PART.findall(structural.text)} if "(" not in structural.text else {}
            as_cell = not unit or not set(unit) <= set(SYMBOLS) or abs(sum(unit.values()) * units / total - 1) < 0.02
        if abs(total / (whole * units) - 1) > 0.03 and not as_cell:
            told = f"Z = {units:g} times {_spell(formula)} is {whole * units:g} atoms, but the cell has {total:g}."
            report("formula-units", "error", stated.line, "_cell_formula_units_Z", told,
                   f"Z would be {total / whole:.3g}.", stated=units, found=total / whole)  # fmt: skip
    return units


def _off_by_atoms(
    block: Block, amounts: Mapping[str, float], formula: Mapping[str, float], units: float | None
) -> bool:
    """Whether an occupancy is stated that Z and a formula of whole numbers rule out.

    In a large cell one atom that is half there changes the shares too little to be seen in them. An occupancy that was
    refined (it has an uncertainty) says nothing against an ideal formula.
    """
    values = block.items.get("_atom_site_occupancy", [])
    refined = any(parsed is not None and parsed[1] is not None for parsed in (value.number() for value in values))
    if units is None or refined or any(number != int(number) for number in formula.values()):
        return False
    off = {element: amounts.get(element, 0.0) - number * units for element, number in formula.items()}
    agree = [element for element, atoms in off.items() if abs(atoms) < 0.02 and amounts.get(element)]
    wrong = [element for element, atoms in off.items() if 0.4 < abs(atoms) < 0.1 * formula[element] * units]
    return bool(agree) and len(wrong) == 1 and len(agree) == len(off) - 1


def _divides(amounts: Mapping[str, float], units: float) -> bool:
    divisor = 0
    for amount in amounts.values():
        if abs(amount - round(amount)) > 0.02:
            return True  # partly occupied: nothing to divide
        divisor = gcd(divisor, round(amount))
    return divisor % int(units) == 0


def _compare(
    amounts: Mapping[str, float], formula: Mapping[str, float], line: int, report: Report, whole_cell: bool
) -> bool:
    """Formula and atoms element by element; whether they agree.

    ``whole_cell``: see ``_off_by_atoms``.
    """
    bare, without = dict(amounts), ""
    wanted = dict(formula)
    if "H" in wanted and "H" not in bare and len(wanted) > 1:
        wanted.pop("H")
        without = " (its H are not among the atoms)"
        told = "The formula has H, but no H is among the atoms."
        report("hydrogen-missing", "note", line, "_chemical_formula_sum", told, "Hydrogen is often not located.")
    if not wanted:
        return True
    total, whole = sum(bare.values()), sum(wanted.values())
    off = {e: bare.get(e, 0.0) / total - wanted.get(e, 0.0) / whole for e in {*bare, *wanted}}
    worst = max(sorted(off), key=lambda element: abs(off[element]))
    missing = [element for element in wanted if element not in bare]
    extra = [element for element in bare if element not in wanted]
    full = all(abs(amount - round(amount)) < 1e-3 for amount in bare.values())
    if abs(off[worst]) <= (SHARE_FULL if full or whole_cell else SHARE) and not missing and not extra:
        return True
    if missing or extra:
        parts = [f"{', '.join(missing)} of the formula is not among the atoms"] if missing else []
        parts += [f"{', '.join(extra)} among the atoms is not in the formula"] if extra else []
        told = f"{' and '.join(parts)}: formula {_spell(wanted)}, atoms {_spell(bare)}{without}."
    else:
        told = (
            f"The atoms make {_spell(bare)} in the cell, which has {abs(off[worst]):.1%} too "
            f"{'much' if off[worst] > 0 else 'little'} {worst} for {_spell(wanted)}{without}."
        )
    hard = missing or extra or full or abs(off[worst]) > 3 * SHARE
    mend = "Mend the formula, an occupancy or the list of atoms; the file may be cut off."
    report("formula", "error" if hard else "warning", line, "_chemical_formula_sum", told, mend, off=abs(off[worst]))
    return False


def _spell(amounts: Mapping[str, float]) -> str:
    return " ".join(f"{element}{round(amount, 3):g}" for element, amount in sorted(amounts.items()))


def _mass(amounts: Mapping[str, float]) -> float:
    return sum(element_table()[element].mass * amount for element, amount in amounts.items())


def _weight(block: Block, formula: Mapping[str, float], report: Report) -> None:
    stated = block.one("_chemical_formula_weight")
    weight = number_of(stated)
    if stated is None or weight is None or not weight > 0:
        return
    mass = _mass(formula)
    if abs(weight / mass - 1) > 0.01:
        told = f"The formula weight stated is {weight:g}; {_spell(formula)} has {mass:.2f}."
        report("formula-weight", "error", stated.line, "_chemical_formula_weight", told, "Mend weight or formula.",
               stated=weight, found=mass)  # fmt: skip


def _density(block: Block, amounts: Mapping[str, float], volume: float, report: Report) -> None:
    stated = block.one("_exptl_crystal_density_diffrn")
    density = number_of(stated)
    if stated is None or density is None:
        return
    found = _mass(amounts) * _DALTON / volume
    if abs(density / found - 1) > 0.03:
        told = f"The density stated is {density:g} g/cm3; the atoms in the cell make {found:.3f}."
        report("density", "error", stated.line, "_exptl_crystal_density_diffrn", told,
               "Mend it, or the atoms, occupancies or cell.", stated=density, found=found)  # fmt: skip


def _charge(sites: list[Site], report: Report) -> None:
    charged = [site for site in sites if site.element and site.occupancy > 0]
    if not charged or any(site.charge is None for site in charged):
        return
    if not any(site.charge for site in charged):
        return
    total = sum((site.charge or 0.0) * site.occupancy * len(site.images) for site in charged)
    size = sum(abs(site.charge or 0.0) * site.occupancy * len(site.images) for site in charged) / 2
    if abs(total) > 0.03 * size:
        told = f"The charges stated add up to {total:+.2f} in the cell, of {size:.3g} positive and negative ones."
        mend = "An oxidation state, an occupancy or an atom is wrong."
        report("charge", "error" if abs(total) > 0.1 * size else "warning", charged[0].line, "charges", told, mend,
               total=total)  # fmt: skip


def _packing(amounts: Mapping[str, float], volume: float, units: float | None, report: Report) -> None:
    """Cubic angstrom an atom, as checkCIF looks at it; only far outside reason."""
    heavy = sum(amount for element, amount in amounts.items() if element != "H")
    if not heavy:
        return
    each = volume / heavy
    if each < 4.0 or each > 120.0:
        told = f"{each:.1f} cubic angstrom for each atom that is not hydrogen."
        mend = (
            "The cell, Z or the list of atoms is wrong." if each < 4 else "Atoms may be missing, or the cell is wrong."
        )
        report("packing", "warning", 0, "cell", told, mend, volume_per_atom=each)
