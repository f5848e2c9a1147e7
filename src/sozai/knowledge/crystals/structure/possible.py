"""Why no structure can obey the rules: told before anything is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import floor, inf

from sozai.errors import UserError
from sozai.knowledge.crystals.structure.fillings import Filling, fillings, spell_filling, z_that_fill
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, Site, StructureRules
from sozai.knowledge.crystals.structure.space_groups import symbol_of
from sozai.knowledge.crystals.wish import parse_formula, reduced
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS, space_group

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
    reasons += _coordination(rules)
    reasons += _sharing(rules, counts)
    reasons += _cell(rules)
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


def _bad_letter(rules: StructureRules) -> bool:
    if not rules.space_group:
        return True
    by_letter = space_group(rules.space_group).by_letter
    return any(site.letter is not None and site.letter not in by_letter for site in rules.sites)


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
        amounts = [_atoms(site, rules.space_group) for site in rules.sites if site.element == element]
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
        known = [_atoms(site, rules.space_group) or 0 for site in rules.sites if site.element == element]
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


def _atoms(site: Site, number: int) -> int | None:
    if site.letter is not None:
        return space_group(number).by_letter[site.letter].multiplicity
    return site.multiplicity


def _spell_sites(sites: Sequence[Site], number: int) -> str:
    return " + ".join(f"{_atoms(site, number) or ''}{site.letter or ''}" for site in sites)


def _spell_placed(placed: Mapping[str, int]) -> str:
    return " and ".join(f"{amount} {element}" for element, amount in placed.items())


def _coordination(rules: StructureRules) -> list[str]:
    reasons = []
    groups: dict[tuple[str, tuple[str, ...]], list[Polyhedron]] = {}
    for rule in rules.polyhedra:
        groups.setdefault((rule.centre, tuple(sorted(rule.ligands))), []).append(rule)
        for ligand in rule.ligands:
            limits = rules.distances.get("-".join(sorted((rule.centre, ligand))))
            if limits and rule.low is not None and rule.high is not None:
                if rule.high < limits[0]:
                    reasons.append(
                        f"The bonds {rule.centre}-{ligand} of {rule.low:g} to {rule.high:g} angstrom are shorter than "
                        f"the least distance allowed, {limits[0]:g}."
                    )
                elif rule.low > limits[1]:
                    reasons.append(
                        f"The bonds {rule.centre}-{ligand} of {rule.low:g} to {rule.high:g} angstrom are longer than "
                        f"the nearest distance allowed, {limits[1]:g}."
                    )
    for (centre, ligands), alternatives in groups.items():
        numbers = sorted({rule.coordination for rule in alternatives})
        sites = [site for site in rules.sites if site.element == centre]
        if sites and len(numbers) > len(sites):
            told = " and ".join(f"{number}" for number in numbers)
            places = "one site" if len(sites) == 1 else f"{len(sites)} sites"
            reasons.append(f"{centre} is to have {told} {'/'.join(ligands)} around it, but is on {places} only.")
    return reasons


def _sharing(rules: StructureRules, counts: Mapping[str, int] | None) -> list[str]:
    reasons = []
    for one, other in combinations(rules.connections, 2):
        if {one.first, one.second} != {other.first, other.second}:
            continue
        told = f"{one.first} and {one.second} polyhedra"
        if (one.how == "none") != (other.how == "none"):
            reasons.append(
                f"{told} cannot share {one.how} and {other.how} at the same time.".replace("none", "nothing")
            )
        same = one.first == other.first and one.how == other.how
        if same and None not in (one.count, other.count) and one.count != other.count:
            reasons.append(f"{told} cannot share {one.count} {one.how}s and {other.count} {one.how}s at the same time.")
    for rule in rules.connections:
        reasons += _ligands(rule, rules, counts)
    return reasons


def _ligands(rule: Connection, rules: StructureRules, counts: Mapping[str, int] | None) -> list[str]:
    """Sharing that the number of ligands forbids."""
    first, second = _vertices(rule.first, rules), _vertices(rule.second, rules)
    if first is None or second is None:
        return []
    apart = _shares_nothing(rule.second, rules)
    size = {"corner": 1, "edge": 2, "face": 3, "none": 0}[rule.how]
    reasons: list[str] = []
    if size > min(first[0], second[0]):
        small = rule.first if first[0] < second[0] else rule.second
        reasons.append(f"A polyhedron with {min(first[0], second[0])} ligands, that of {small}, has no {rule.how}.")
    if rule.count is not None and size and rule.first != rule.second and apart:
        most = first[0] // size
        if rule.count > most:
            reasons.append(
                f"Each {rule.first} polyhedron has {first[0]} ligands and {rule.second} polyhedra share nothing with "
                f"each other, so it can share {rule.how}s with at most {most} of them, not {rule.count}."
            )
    if not counts or not {rule.first, rule.second, *first[1], *second[1]} <= set(counts):
        return reasons
    if rule.count is not None and size and rule.first != rule.second:
        pairs = counts[rule.first] * rule.count
        if _shares_nothing(rule.first, rules):
            most = counts[rule.second] * (second[0] // size)
            if pairs > most:
                reasons.append(
                    f"{counts[rule.first]} {rule.first} polyhedra sharing {rule.count} {rule.how}s each make {pairs}, "
                    f"but the {counts[rule.second]} {rule.second} polyhedra of {rules.formula} have room for {most}."
                )
        back = next(
            (c.count for c in rules.connections
             if (c.first, c.second, c.how) == (rule.second, rule.first, rule.how) and c.count is not None), None
        )  # fmt: skip
        if back is not None and counts[rule.second] * back != pairs and rule.first < rule.second:
            reasons.append(
                f"{counts[rule.first]} x {rule.count} {rule.how}s from {rule.first} to {rule.second} are not "
                f"{counts[rule.second]} x {back} back."
            )
    if rule.first == rule.second:
        reasons += _among_themselves(rule, rules, counts, first)
    return reasons


def _among_themselves(
    rule: Connection, rules: StructureRules, counts: Mapping[str, int], vertices: tuple[int, tuple[str, ...]]
) -> list[str]:
    """Polyhedra of one element: so many corners on so few ligands must be shared."""
    ligands = sum(counts[ligand] for ligand in vertices[1])
    corners = counts[rule.first] * vertices[0]
    told = (
        f"The {counts[rule.first]} {rule.first} polyhedra of {rules.formula} have {corners} corners and there are "
        f"{ligands} {'/'.join(vertices[1])}"
    )
    if rule.how == "none":
        return [f"{told}, so some must be shared."] if corners > ligands else []
    ways = {c.how for c in rules.connections if {c.first, c.second} == {rule.first}}
    if rule.how == "corner" and rule.count is not None and ways == {"corner"}:
        # Spread evenly, the corners share least; with only corners shared, each pair on a ligand is one neighbour.
        each = floor(corners / ligands)
        over = corners - each * ligands
        least = ((ligands - over) * each * (each - 1) + over * (each + 1) * each) / counts[rule.first]
        if rule.count < least - 1e-9:
            return [f"{told}, so each shares corners with at least {least:g} others, not {rule.count}."]
    return []


def _vertices(centre: str, rules: StructureRules) -> tuple[int, tuple[str, ...]] | None:
    """Ligands in all and which, where the rules state one polyhedron of this centre."""
    stated = [rule for rule in rules.polyhedra if rule.centre == centre]
    return (stated[0].coordination, stated[0].ligands) if len(stated) == 1 else None


def _shares_nothing(centre: str, rules: StructureRules) -> bool:
    return any(c.first == c.second == centre and c.how == "none" for c in rules.connections)


_EQUAL = {
    "tetragonal": (("a", "b"),), "trigonal": (("a", "b"),), "hexagonal": (("a", "b"),),
    "cubic": (("a", "b"), ("a", "c"), ("b", "c")),
}  # fmt: skip
_ANGLES = {
    "monoclinic": {"alpha": 90.0, "gamma": 90.0},
    **{name: {"alpha": 90.0, "beta": 90.0, "gamma": 90.0} for name in ("orthorhombic", "tetragonal", "cubic")},
    **{name: {"alpha": 90.0, "beta": 90.0, "gamma": 120.0} for name in ("trigonal", "hexagonal")},
}


def _cell(rules: StructureRules) -> list[str]:
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
    if any(site.element not in counts for site in rules.sites) or _bad_letter(rules):
        return []
    amounts = {e: [_atoms(s, rules.space_group) for s in rules.sites if s.element == e] for e in counts}
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
