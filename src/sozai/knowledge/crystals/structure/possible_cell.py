"""Cell against crystal system, and density against cell."""

from __future__ import annotations

from math import inf

from sozai.knowledge.crystals.structure.fillings import atoms_of, letters_known
from sozai.knowledge.crystals.structure.rules import StructureRules
from sozai.knowledge.crystals.structure.space_groups import symbol_of
from sozai.knowledge.crystals.wish import parse_formula, reduced
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS

_EQUAL = {
    "tetragonal": (("a", "b"),), "trigonal": (("a", "b"),), "hexagonal": (("a", "b"),),
    "cubic": (("a", "b"), ("a", "c"), ("b", "c")),
}  # fmt: skip
_ANGLES = {
    "monoclinic": {"alpha": 90.0, "gamma": 90.0},
    **{name: {"alpha": 90.0, "beta": 90.0, "gamma": 90.0} for name in ("orthorhombic", "tetragonal", "cubic")},
    **{name: {"alpha": 90.0, "beta": 90.0, "gamma": 120.0} for name in ("trigonal", "hexagonal")},
}


def cell_faults(rules: StructureRules) -> list[str]:
    """Reasons from the cell, the crystal system and the density."""
    if not rules.space_group:
        return []
    system = next(name for name, last in CRYSTAL_SYSTEMS if rules.space_group <= last)
    name = f"{symbol_of(rules.space_group)} is {system}"
    reasons = []
    for one, other in _EQUAL.get(system, ()):
        if one in rules.cell and other in rules.cell:
            (low, high), (low2, high2) = rules.cell[one], rules.cell[other]
            if max(low, low2) > min(high, high2):
                reasons.append(f"{name}: {one} and {other} must be equal, but their ranges do not meet.")
    for angle, value in _ANGLES.get(system, {}).items():
        low, high = rules.cell.get(angle, (value, value))
        if not low - 1e-6 <= value <= high + 1e-6:
            reasons.append(f"{name}: {angle} must be {value:g} degrees, not {low:g} to {high:g}.")
    return reasons + ([] if reasons else _density(rules, system))


def _density(rules: StructureRules, system: str) -> list[str]:
    """Density against cell and number of formula units, where the cell's volume follows from its lengths."""
    counts = parse_formula(rules.formula) if rules.formula else None
    if rules.density is None or not counts or not rules.space_group or system in ("triclinic", "monoclinic"):
        return []
    if any(site.element not in counts for site in rules.sites) or not letters_known(rules):
        return []
    amounts = {e: [atoms_of(s, rules.space_group) for s in rules.sites if s.element == e] for e in counts}
    whole = [sum(a or 0 for a in each) / reduced(counts)[e] for e, each in amounts.items() if each and None not in each]
    lengths = {axis: rules.cell.get(axis) for axis in "abc"}
    if system != "orthorhombic":
        lengths["b"] = lengths["b"] or lengths["a"]
    if system == "cubic":
        lengths["c"] = lengths["c"] or lengths["a"]
    if not whole or any(value is None for value in lengths.values()):
        return []
    from sozai.knowledge.crystals.elements import element_table

    unit = sum(element_table()[e].mass * n for e, n in reduced(counts).items())
    sine = 0.8660254 if system in ("trigonal", "hexagonal") else 1.0
    volumes = [sine, sine]
    for value in lengths.values():
        assert value is not None
        volumes = [volumes[0] * value[0], volumes[1] * value[1]]
    mass = unit * whole[0] * 1.66053907
    low, high = mass / volumes[1] if volumes[1] < inf else 0.0, mass / volumes[0] if volumes[0] else inf
    if high < rules.density[0] or low > rules.density[1]:
        return [
            f"{whole[0]:g} formula units in that cell have a density of {low:.2f} to {high:.2f} g/cm3, not "
            f"{rules.density[0]:g} to {rules.density[1]:g}."
        ]
    return []
