"""Why no structure can obey the rules: told before anything is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sozai.errors import UserError
from sozai.knowledge.crystals.structure.fillings import Filling, atoms_of, fillings, spell_filling, z_that_fill
from sozai.knowledge.crystals.structure.possible_cell import cell_faults
from sozai.knowledge.crystals.structure.possible_sharing import coordination_faults, sharing_faults
from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.knowledge.crystals.structure.space_groups import symbol_of
from sozai.knowledge.crystals.wish import parse_formula, reduced
from sozai.materials.wyckoff import space_group

SHOWN = 5  # ways to place an element that a reason names


def impossible(rules: StructureRules) -> list[str]:
    """Reasons why no crystal can obey the rules, one sentence each; empty when none was found.

    Only what follows from arithmetic is told: charges, Wyckoff multiplicities against the formula, positions without
    a free coordinate used twice, coordination that contradicts itself, sharing that the number of ligands forbids,
    cell against crystal system, density against cell. That no reason is found does not prove that a structure exists.
    """
    counts = reduced(parse_formula(rules.formula)) if rules.formula else None
    letters = _letters(rules)
    reasons = _charges(rules, counts) + (letters or _multiplicities(rules, counts)) + _elements(rules, counts)
    reasons += coordination_faults(rules)
    reasons += sharing_faults(rules, counts)
    reasons += cell_faults(rules)
    return list(dict.fromkeys(reasons))


def refuse_impossible(rules: StructureRules) -> None:
    """Raise when ``impossible`` finds a reason.

    Raises:
        UserError: no crystal can obey the rules; with every reason.
    """
    reasons = impossible(rules)
    if reasons:
        raise UserError(f"no crystal can obey these rules: {' Also: '.join(reasons)}", rules.where, "mend the rules")


def _charges(rules: StructureRules, counts: Mapping[str, int] | None) -> list[str]:
    if not counts or not rules.oxidation or not set(counts) <= set(rules.oxidation):
        return []
    total = sum(rules.oxidation[element] * number for element, number in counts.items())
    if abs(total) < 1e-6:
        return []
    told = " + ".join(f"{number} x {element}{rules.oxidation[element]:+g}" for element, number in counts.items())
    mends = []
    for element, number in counts.items():
        needed = rules.oxidation[element] - total / number
        if abs(needed) <= 8 and abs(needed - round(needed)) < 1e-6 and needed * rules.oxidation[element] > 0:
            mends.append(f"{element}{needed:+g}")
    mend = f" It would be neutral with {' or '.join(mends)}." if mends else ""
    return [f"The charges of {rules.formula} add up to {total:+g}, not 0: {told}.{mend}"]


def _elements(rules: StructureRules, counts: Mapping[str, int] | None) -> list[str]:
    if not counts:
        return []
    named = [("sites", site.element) for site in rules.sites]
    named += [("polyhedra", e) for p in rules.polyhedra for e in (p.centre, *p.ligands)]
    named += [("connect", e) for c in rules.connections for e in (c.first, c.second)]
    named += [("distances", e) for pair in rules.distances for e in pair.split("-")]
    named += [("oxidation", e) for e in rules.oxidation]
    wrong = dict.fromkeys((part, element) for part, element in named if element not in counts)
    return [f"{element} ({part}) is not in the formula {rules.formula}." for part, element in wrong]


def _letters(rules: StructureRules) -> list[str]:
    if not rules.space_group:
        return []
    group = space_group(rules.space_group)
    name = f"{symbol_of(rules.space_group)} ({rules.space_group})"
    offered = ", ".join(f"{position.multiplicity}{position.letter}" for position in group.positions)
    reasons = []
    users: dict[str, list[str]] = {}
    for site in rules.sites:
        if site.letter is None:
            if site.multiplicity and not any(p.multiplicity == site.multiplicity for p in group.positions):
                reasons.append(f"{site.element}: {name} has no position of {site.multiplicity} atoms, only {offered}.")
            continue
        position = group.by_letter.get(site.letter)
        if position is None:
            stated = f"{site.multiplicity or ''}{site.letter}"
            reasons.append(f"{site.element}: {name} has no Wyckoff position {stated}, only {offered}.")
            continue
        if site.multiplicity is not None and site.multiplicity != position.multiplicity:
            same = [f"{p.multiplicity}{p.letter}" for p in group.positions if p.multiplicity == site.multiplicity]
            other = f"; {site.multiplicity} atoms are on {', '.join(same)}" if same else ""
            reasons.append(
                f"{site.element}: position {site.letter} of {name} has {position.multiplicity} atoms, "
                f"not {site.multiplicity}{other}."
            )
        users.setdefault(site.letter, []).append(site.element)
    for letter, elements in users.items():
        position = group.by_letter[letter]
        if len(elements) > 1 and position.degrees_of_freedom == 0:
            reasons.append(
                f"Position {position.multiplicity}{letter} of {name} has no free coordinate, so it is there once, but "
                f"{' and '.join(elements)} are put on it."
            )
    return reasons


def _multiplicities(rules: StructureRules, counts: Mapping[str, int] | None) -> list[str]:
    """Whether the stated sites and free ones for the other elements can make the formula."""
    if not counts or not rules.space_group or not rules.sites:
        return []
    group = space_group(rules.space_group)
    placed: dict[str, int] = {}
    for element in dict.fromkeys(site.element for site in rules.sites if site.element in counts):
        amounts = [atoms_of(site, rules.space_group) for site in rules.sites if site.element == element]
        if None not in amounts:
            placed[element] = sum(amount or 0 for amount in amounts)
    if not placed:
        return []
    units = Counter(amount / counts[element] for element, amount in placed.items())
    if len(units) > 1:
        return _unequal(rules, counts, placed, units)
    z = next(iter(units))
    if z != int(z):
        told = ", ".join(f"{amount} {element}" for element, amount in placed.items())
        return [f"The sites hold {told}: that is {z:g} times {rules.formula}, no whole number."]
    used = [site.letter for site in rules.sites if site.letter]
    open_ = {}
    for element in counts:
        known = [atoms_of(site, rules.space_group) or 0 for site in rules.sites if site.element == element]
        open_[element] = counts[element] * int(z) - sum(known)
        if open_[element] < 0:
            told = f"the sites stated for {element} hold {sum(known)} atoms, more than the {counts[element] * z:g} of"
            return [f"With {_spell_placed(placed)} {told} {z:g} formula units."]
    open_ = {element: number for element, number in open_.items() if number}
    if open_ and next(iter(fillings(group, open_, used)), None) is None:
        told = ", ".join(f"{number} {element}" for element, number in open_.items())
        others = z_that_fill(group, counts)
        mend = f" The formula fits for {', '.join(map(str, others))} formula units in the cell." if others else ""
        return [
            f"With {_spell_placed(placed)} the cell holds {z:g} formula units, and the other positions of "
            f"{symbol_of(rules.space_group)} cannot take {told}.{mend}"
        ]
    return []


def _unequal(
    rules: StructureRules, counts: Mapping[str, int], placed: Mapping[str, int], units: Counter[float]
) -> list[str]:
    """The elements that are out of step with the others, each with the places it could have."""
    assert rules.space_group
    group = space_group(rules.space_group)
    most = max(units.values())
    # Where no number of formula units has a majority, the one that leaves whole atoms and comes first counts.
    z = next(unit for unit in [placed[e] / counts[e] for e in placed] if units[unit] == most)
    right = [element for element in placed if placed[element] / counts[element] == z]
    used = [site.letter for site in rules.sites if site.letter and site.element in right]
    reasons = []
    for element in (element for element in placed if element not in right):
        stated = _spell_sites([site for site in rules.sites if site.element == element], rules.space_group)
        needed = counts[element] * z
        told = (
            f"{element} on {stated} is {placed[element]} atoms, but {rules.formula} with "
            f"{_spell_placed({e: placed[e] for e in right})} needs {needed:g} {element} in the cell"
        )
        ways: list[Filling] = []
        if needed == int(needed):
            for filling in fillings(group, {element: int(needed)}, used):
                ways.append(filling)
                if len(ways) >= 40:
                    break
        ways.sort(key=lambda way: (len(way[element]), way[element]))
        shown = " or ".join(spell_filling(group, way[element]) for way in ways[:SHOWN])
        more = " or others" if len(ways) > SHOWN else ""
        mend = f"{element} could be on {shown}{more}" if ways else "no positions of the space group make that"
        reasons.append(f"{told}: {mend}.")
    return reasons


def _spell_sites(sites: Sequence[Site], number: int) -> str:
    return " + ".join(f"{atoms_of(site, number) or ''}{site.letter or ''}" for site in sites)


def _spell_placed(placed: Mapping[str, int]) -> str:
    return " and ".join(f"{amount} {element}" for element, amount in placed.items())
