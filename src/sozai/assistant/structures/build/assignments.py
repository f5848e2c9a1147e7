"""Which elements sit on which Wyckoff positions: all ways that give the formula, the plausible ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache

import numpy as np

from sozai.assistant.structures.build.targets import Targets
from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.materials.wyckoff import Gene, WyckoffPosition, space_group

MOST_ATOMS = 240
"""Atoms of the conventional cell up to which assignments are searched."""
_MOST_PER_ELEMENT = 3000
MOST_SEARCHED = 20_000
"""Assignments that are listed at most before they are ranked."""


@dataclass(frozen=True)
class Assignment:
    """Elements on Wyckoff positions.

    Attributes:
        space_group: international number.
        sites: (element, letter) of each orbit.
        units: formula units in the conventional cell.
        held: fractional coordinates of one atom of an orbit where the rules state them, else ``None``.
        penalty: how implausible it is; the sum of free coordinates, strange site symmetries and unbalanced bonds.
    """

    space_group: int
    sites: tuple[tuple[str, str], ...]
    units: int
    held: tuple[tuple[float, float, float] | None, ...] = ()
    penalty: float = 0.0

    @cached_property
    def gene(self) -> Gene:
        """Space group and sites in the form of ``materials.wyckoff``."""
        return Gene(self.space_group, tuple(sorted(self.sites)))

    @property
    def degrees_of_freedom(self) -> int:
        """Free coordinates of all sites."""
        return self.gene.degrees_of_freedom

    def __str__(self) -> str:
        group = space_group(self.space_group)
        sites = ", ".join(f"{element} {group.by_letter[letter].multiplicity}{letter}" for element, letter in self.sites)
        return f"{group.symbol} (No. {group.number}), Z = {self.units}: {sites}"


@dataclass(frozen=True)
class Search:
    """Assignments to try.

    Attributes:
        found: the plausible first, without equivalent ones.
        complete: whether none was left out by a bound.
        told: what the search did, one sentence.
        stated: whether the rules fix the assignment wholly.
    """

    found: tuple[Assignment, ...]
    complete: bool
    told: str
    stated: bool


def assignments(rules: StructureRules, targets: Targets, most: int = 200) -> Search:
    """All assignments that the rules allow, the plausible first, at most ``most``.

    Stated sites are kept. For the atoms that no stated site holds, positions are searched; the number of
    formula units follows from stated multiplicities or the cell, else 1, 2, 3, ... are tried. Without a
    space group the commonest ones of known materials are tried, in that order.
    """
    groups = (rules.space_group,) if rules.space_group else common_space_groups()
    every: list[Assignment] = []
    complete = rules.space_group is not None
    for rank, number in enumerate(groups):
        room = MOST_SEARCHED if rules.space_group else MOST_SEARCHED // 10
        before = len(every)
        for units in _units(rules, targets, number):
            for assignment, whole in _of_group(rules, targets, number, units):
                complete &= whole
                # Small cells and common space groups first.
                crowd = 0.1 * assignment.gene.n_atoms
                every.append(replace(assignment, penalty=assignment.penalty + 0.1 * rank + crowd))
                if len(every) - before >= room:
                    break
            if len(every) - before >= room:
                complete = False
                break
    # Balance and equivalence cost milliseconds each: only for those that are simple.
    every.sort(key=_rank)
    simple = [
        replace(item, penalty=item.penalty + 10.0 * unbalanced(item.space_group, item.sites, targets))
        for item in every[: 8 * most]
    ]
    found: dict[Gene, Assignment] = {}
    for item in sorted(simple, key=_rank):
        gene = item.gene if any(item.held) else item.gene.canonical
        found.setdefault(gene, item)
        if len(found) > most:
            break
    kept = tuple(found.values())[:most]
    bounded = not complete or len(every) > 8 * most or len(found) > most
    told = f"{len(every)} assignment{'s' * (len(every) != 1)} of Wyckoff positions"
    if bounded:
        told += f", the {len(kept)} most plausible are tried" + " (the search was bounded)" * (not complete)
    elif len(kept) < len(every):
        told += f", {len(kept)} without equivalent ones"
    stated = len(kept) == 1 and all(site.letter for site in rules.sites) and bool(rules.sites)
    return Search(kept, not bounded, told, stated)


def _rank(item: Assignment) -> tuple:
    return item.penalty, item.units, item.sites


@lru_cache(maxsize=1)
def common_space_groups() -> tuple[int, ...]:
    """The 30 space groups that most of the bundled known materials have, the commonest first."""
    from sozai.materials.known import known_materials

    counted = known_materials().table["space_group"].value_counts()
    return tuple(int(number) for number in counted.index[:30])


def _units(rules: StructureRules, targets: Targets, number: int) -> Sequence[int]:
    """Numbers of formula units in the conventional cell worth trying."""
    group = space_group(number)
    atoms = sum(targets.counts.values())
    listed = Counter[str]()
    for site in rules.sites:
        listed[site.element] += _multiplicity(site, number) or 0
    complete = all(_multiplicity(site, number) for site in rules.sites)
    if rules.sites and complete and set(listed) == set(targets.counts):
        ratios = {listed[element] / count for element, count in targets.counts.items()}
        if len(ratios) == 1 and (ratio := ratios.pop()) == int(ratio):
            return (int(ratio),)
        return ()
    least = max((-(-listed[element] // count) for element, count in targets.counts.items()), default=1)
    low, high = max(least, 1), max(1, MOST_ATOMS // atoms)
    if {"a", "b", "c"} <= rules.cell.keys() or (group.crystal_system == "cubic" and "a" in rules.cell):
        edges = [rules.cell.get(name, rules.cell["a"]) for name in "abc"]
        slant = 0.866 if group.crystal_system in ("trigonal", "hexagonal") else 1.0
        volumes = [float(np.prod([edge[k] for edge in edges])) * slant for k in (0, 1)]
        low = max(low, int(np.ceil(volumes[0] * 0.97 / targets.volume[1])))
        high = min(high, int(volumes[1] * 1.03 / targets.volume[0]))
    # Small cells first: more than eight formula units a lattice point are rare.
    high = min(high, max(8 * group.lattice_points, least))
    return range(low, high + 1)


def _multiplicity(site: Site, number: int) -> int | None:
    if site.letter is not None:
        position = space_group(number).by_letter.get(site.letter)
        return position.multiplicity if position else None
    return site.multiplicity


def _of_group(rules: StructureRules, targets: Targets, number: int, units: int) -> Iterator[tuple[Assignment, bool]]:
    """Assignments in one space group with so many formula units."""
    group = space_group(number)
    choices: list[list[tuple[tuple[str, str, tuple[float, float, float] | None], ...]]] = []
    whole = True
    for element, count in targets.counts.items():
        ways, all_of_them = _ways(rules, number, element, count * units)
        whole &= all_of_them
        if not ways:
            return
        choices.append(ways)
    fixed = {position.letter for position in group.positions if position.degrees_of_freedom == 0}
    # Elements with the fewest ways first, so that clashes show early.
    choices.sort(key=len)
    stack: list[tuple[int, tuple, frozenset[str]]] = [(0, (), frozenset())]
    while stack:
        depth, chosen, used = stack.pop()
        if depth == len(choices):
            sites = tuple((element, letter) for element, letter, _ in chosen)
            held = tuple(place for _, _, place in chosen)
            penalty = _penalty(number, sites, targets)
            yield Assignment(number, sites, units, held, penalty), whole
            continue
        for way in reversed(choices[depth]):
            special = frozenset(letter for _, letter, _ in way if letter in fixed)
            if not special & used:
                stack.append((depth + 1, chosen + way, used | special))


def _ways(
    rules: StructureRules, number: int, element: str, atoms: int
) -> tuple[list[tuple[tuple[str, str, tuple[float, float, float] | None], ...]], bool]:
    """Ways to put ``atoms`` atoms of one element on positions, the stated sites among them."""
    group = space_group(number)
    stated = [site for site in rules.sites if site.element == element]
    open_sites: list[list[WyckoffPosition]] = []
    for site in stated:
        fits = [
            position
            for position in group.positions
            if (site.letter is None or position.letter == site.letter)
            and (site.multiplicity is None or position.multiplicity == site.multiplicity)
        ]
        if not fits:
            return [], True
        open_sites.append(fits)
    found: list[tuple[tuple[str, str, tuple[float, float, float] | None], ...]] = []
    seen: set[tuple] = set()

    def rest(left: int, first: int, chosen: tuple) -> None:
        if len(found) >= _MOST_PER_ELEMENT:
            return
        if left == 0:
            key = tuple(sorted((letter, str(place)) for _, letter, place in chosen))
            if key not in seen:
                seen.add(key)
                found.append(chosen)
            return
        if stated and any(site.multiplicity or site.letter for site in stated):
            # Sites of this element are stated: they are all of its sites.
            return
        for index in range(first, len(group.positions)):
            position = group.positions[index]
            if position.multiplicity <= left and len(chosen) < 8:
                again = index if position.degrees_of_freedom else index + 1
                rest(left - position.multiplicity, again, (*chosen, (element, position.letter, None)))

    def place(depth: int, left: int, chosen: tuple) -> None:
        if depth == len(stated):
            rest(left, 0, chosen)
            return
        for position in open_sites[depth]:
            taken = [letter for _, letter, _ in chosen].count(position.letter)
            if position.multiplicity <= left and not (taken and not position.degrees_of_freedom):
                place(
                    depth + 1,
                    left - position.multiplicity,
                    (*chosen, (element, position.letter, stated[depth].coordinates)),
                )

    place(0, atoms, ())
    return found, len(found) < _MOST_PER_ELEMENT


@cache
def _operation_orders(number: int, letter: str) -> frozenset[int]:
    """Types of the rotations that fix a site, as the Tables write them: 1, 2, 3, 4, 6 and -1, -2 (m), -3, -4, -6."""
    group = space_group(number)
    general, position = group.positions[-1], group.by_letter[letter]
    point = position.orbit([0.1378, 0.2713, 0.0519][: position.degrees_of_freedom])[0]
    shift = general.rotations @ point + general.translations - point
    fixing = np.abs(shift - np.round(shift)).max(axis=1) < 1e-6
    kinds = set()
    for rotation in general.rotations[fixing]:
        sign = round(float(np.linalg.det(rotation)))
        order = {3: 1, 2: 6, 1: 4, 0: 3, -1: 2}[round(sign * float(np.trace(rotation)))]
        kinds.add(sign * order)
    return frozenset(kinds)


_TETRAHEDRON = frozenset({1, 2, 3, -2, -4})
_OCTAHEDRON = frozenset({1, 2, 3, 4, -1, -2, -3, -4})


def _penalty(number: int, sites: tuple[tuple[str, str], ...], targets: Targets) -> float:
    """Free coordinates and polyhedra on sites that cannot hold them."""
    group = space_group(number)
    penalty = float(sum(group.by_letter[letter].degrees_of_freedom for _, letter in sites))
    penalty += 0.5 * len(sites)
    for element, letter in sites:
        kinds = _operation_orders(number, letter)
        for bond in targets.bonds:
            if bond.centre != element:
                continue
            weight = 20.0 if bond.stated else 2.0
            if (bond.count == 4 and not kinds <= _TETRAHEDRON) or (bond.count == 6 and not kinds <= _OCTAHEDRON):
                penalty += weight
            if bond.count % 2 and -1 in kinds:
                penalty += weight
    return penalty


def unbalanced(number: int, sites: tuple[tuple[str, str], ...], targets: Targets) -> float:
    """Least share by which ligands miss their charge when whole numbers of bonds are dealt out (Pauling's second rule).

    Each centre's bonds go to ligand orbits in numbers that make whole coordination numbers of both.
    """
    options = bond_counts(number, sites, targets, most=1)
    return options[0][0] if options else 2.0


def bond_counts(
    number: int, sites: tuple[tuple[str, str], ...], targets: Targets, most: int = 6
) -> list[tuple[float, dict[tuple[int, int], tuple[int, ...]]]]:
    """Ways to deal each centre's bonds to the ligand orbits, the most balanced first.

    Args:
        number: space group.
        sites: (element, letter) of each orbit.
        targets: what is wanted.
        most: ways to return.

    Returns:
        pairs of the imbalance (root mean square over ligand orbits, relative to their charge) and the bonds: by
        (orbit of the centre, index of the bond rule), the number to each orbit. Only stated bonds are dealt.
    """
    group = space_group(number)
    multiplicities = [group.by_letter[letter].multiplicity for _, letter in sites]
    # Where rules of one centre are alternatives, it is not known which one holds for an orbit.
    alone = Counter((bond.centre, frozenset(bond.ligands)) for bond in targets.bonds if bond.stated)
    wanted = [
        (orbit, index)
        for orbit, (element, _) in enumerate(sites)
        for index, bond in enumerate(targets.bonds)
        if bond.centre == element and bond.stated and alone[(bond.centre, frozenset(bond.ligands))] == 1
    ]
    charge = np.array([abs(targets.charges[element]) or 1.0 for element, _ in sites])
    strengths = np.zeros((1, len(sites)))  # that the ligands of each partial deal get, and its rows of bonds
    taken: list[np.ndarray] = []
    for orbit, index in wanted:
        bond = targets.bonds[index]
        ligands = [k for k, (element, _) in enumerate(sites) if element in bond.ligands]
        deals = _deals(bond.count, multiplicities[orbit], tuple(multiplicities[k] for k in ligands))
        if not deals:
            return []
        rows = np.zeros((len(deals), len(sites)))
        rows[:, ligands] = deals
        added = rows * multiplicities[orbit] / np.array(multiplicities) * bond.strength
        grown = (strengths[:, None] + added[None]).reshape(-1, len(sites))
        # Overbonded ligands can only get worse; keep the least of them.
        over = np.sum(np.maximum(grown / charge - 1.15, 0.0) ** 2, axis=1)
        best = np.argsort(over, kind="stable")[:400]
        strengths = grown[best]
        taken = [kept[best // len(deals)] for kept in taken] + [rows[best % len(deals)]]
    ligand_orbits = [
        k
        for k, (element, _) in enumerate(sites)
        if any(element in bond.ligands for bond in targets.bonds if bond.stated)
    ]
    if not wanted or not ligand_orbits:
        return [(0.0, {})]
    # Cations without stated polyhedra give what they have to all ligands alike.
    weight = np.array([multiplicities[k] for k in ligand_orbits], float)
    given = strengths[:, ligand_orbits]
    missing = np.maximum(np.sum(charge[ligand_orbits] * weight) - given @ weight, 0.0) / weight.sum()
    relative = (given + missing[:, None]) / charge[ligand_orbits] - 1
    imbalance = np.sqrt(np.average(relative**2, weights=weight, axis=1))
    return [
        (float(imbalance[k]), {key: tuple(map(int, rows[k])) for key, rows in zip(wanted, taken, strict=True)})
        for k in np.argsort(imbalance, kind="stable")[:most]
    ]


@lru_cache(maxsize=4096)
def _deals(count: int, multiplicity: int, ligands: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Ways to split ``count`` bonds over ligand orbits so that every ligand has a whole number of them."""
    if not ligands:
        return ()
    if len(ligands) == 1:
        return ((count,),) if count * multiplicity % ligands[0] == 0 else ()
    found = []
    for bonds in range(count + 1):
        if bonds * multiplicity % ligands[0] == 0:
            found += [(bonds, *rest) for rest in _deals(count - bonds, multiplicity, ligands[1:])]
    return tuple(found[:2000])
