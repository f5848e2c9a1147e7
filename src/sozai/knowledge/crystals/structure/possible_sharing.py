"""Coordination that contradicts itself, and sharing that the number of ligands forbids."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import floor

from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, StructureRules
from sozai.knowledge.crystals.structure.shapes import SHAPES, shapes_of
from sozai.knowledge.crystals.structure.site_symmetry import site_rotations
from sozai.knowledge.crystals.structure.space_groups import symbol_of
from sozai.materials.wyckoff import space_group


def coordination_faults(rules: StructureRules) -> list[str]:
    """Reasons from polyhedra and distances."""
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
    return reasons + _shape_faults(rules, groups)


def _shape_faults(rules: StructureRules, groups: Mapping[tuple[str, tuple[str, ...]], list[Polyhedron]]) -> list[str]:
    """Shapes that the symmetry of the centre's site rules out.

    Of up to six ligands only: of more, shapes of different symmetry differ by little.
    """
    reasons = []
    for (centre, _), alternatives in groups.items():
        letters = {site.letter for site in rules.sites if site.element == centre}
        if len(alternatives) > 1 or rules.space_group is None or len(letters) != 1 or None in letters:
            continue
        rule, letter = alternatives[0], str(letters.pop())
        position = space_group(rules.space_group).by_letter.get(letter)
        if rule.shape is None or rule.coordination > 6 or position is None:
            continue
        if not (held := site_rotations(rules.space_group, letter)) <= SHAPES[rule.shape].rotations:
            fits = [shape.name for shape in shapes_of(rule.coordination) if held <= shape.rotations]
            mend = f", only {' or '.join(fits)}" if fits else ""
            site = f"{position.multiplicity}{letter} of {symbol_of(rules.space_group)}"
            reasons.append(
                f"The polyhedron of {centre} on {site} cannot be '{rule.shape}': the site's symmetry forbids it{mend}."
            )
    return reasons


def sharing_faults(rules: StructureRules, counts: Mapping[str, int] | None) -> list[str]:
    """Reasons from how polyhedra share."""
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
