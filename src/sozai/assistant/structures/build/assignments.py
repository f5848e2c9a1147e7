"""Which elements sit on which Wyckoff positions: all ways that give the formula, the plausible ones first."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice, product

import numpy as np

from sozai.assistant.structures.build.balance import unbalanced
from sozai.assistant.structures.build.targets import Bond, Targets
from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.knowledge.crystals.structure.site_symmetry import site_rotations
from sozai.materials.wyckoff import Gene, WyckoffPosition, space_group

MOST_ATOMS = 240
"""Atoms of the conventional cell up to which assignments are searched."""
_MOST_WAYS = 600  # of one element in one cell
_MOST_SITES = 6  # of one element, where they are not stated
MOST_SEARCHED = 20_000
"""Combinations that are looked at in one space group with one number of formula units."""

_Way = tuple[tuple[str, str, tuple[float, float, float] | None], ...]


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


def assignments(rules: StructureRules, targets: Targets, most: int = 100) -> Search:
    """All assignments that the rules allow, the plausible first, at most ``most``.

    Stated sites are kept. For the atoms that no stated site holds, positions are searched; the number of
    formula units follows from stated multiplicities or the cell, else 1, 2, 3, ... are tried. Without a
    space group the commonest ones of known materials are tried, in that order.
    """
    groups = (rules.space_group,) if rules.space_group else common_space_groups()
    streams = [
        _of_group(rules, targets, number, units, crowd=0.1 * rank, cap=_MOST_WAYS if rules.space_group else 100)
        for rank, number in enumerate(groups)
        for units in _units(rules, targets, number)
    ]
    # Balance and equivalence cost milliseconds each: only for those that are simple.
    every = list(islice(heapq.merge(*streams, key=_rank), 6 * most + 1))
    complete = rules.space_group is not None and len(every) <= 6 * most
    simple = [
        replace(item, penalty=item.penalty + 10.0 * unbalanced(item.space_group, item.sites, targets))
        for item in every[: 6 * most]
    ]
    found: dict[Gene, Assignment] = {}
    for item in sorted(simple, key=_rank):
        gene = item.gene if any(item.held) else item.gene.canonical
        found.setdefault(gene, item)
        if len(found) > most:
            break
    kept = tuple(found.values())[:most]
    bounded = not complete or len(found) > most
    told = f"{'more than ' * (len(every) > 6 * most)}{len(simple)} assignment{'s' * (len(simple) != 1)}"
    told += " of Wyckoff positions"
    if bounded:
        told += f", the {len(kept)} most plausible are tried"
    elif len(kept) < len(simple):
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
    high = min(high, max((8 if rules.space_group else 4) * group.lattice_points, least))
    return range(low, high + 1)


def _multiplicity(site: Site, number: int) -> int | None:
    if site.letter is not None:
        position = space_group(number).by_letter.get(site.letter)
        return position.multiplicity if position else None
    return site.multiplicity


def _of_group(
    rules: StructureRules, targets: Targets, number: int, units: int, crowd: float, cap: int
) -> Iterator[Assignment]:
    """Assignments in one space group with so many formula units, the least penalty first."""
    group = space_group(number)
    fixed = {position.letter for position in group.positions if position.degrees_of_freedom == 0}
    choices: list[list[tuple[float, _Way]]] = []
    for element, count in targets.counts.items():
        ways = _ways(rules, number, element, count * units, cap)
        if not ways:
            return
        choices.append(sorted(((_penalty(number, way, targets), way) for way in ways), key=lambda item: item[0]))
    # Small cells and common space groups first.
    crowd += 0.1 * units * sum(targets.counts.values()) / group.lattice_points
    first = (0,) * len(choices)
    heap = [(sum(options[0][0] for options in choices), first)]
    seen = {first}
    for _ in range(MOST_SEARCHED):
        if not heap:
            return
        penalty, places = heapq.heappop(heap)
        chosen = [site for options, place in zip(choices, places, strict=True) for site in options[place][1]]
        special = [letter for _, letter, _ in chosen if letter in fixed]
        if len(special) == len(set(special)):
            sites = tuple((element, letter) for element, letter, _ in chosen)
            held = tuple(coordinates for _, _, coordinates in chosen)
            yield Assignment(number, sites, units, held, penalty + crowd)
        for k, place in enumerate(places):
            if place + 1 < len(choices[k]):
                after = (*places[:k], place + 1, *places[k + 1 :])
                if after not in seen:
                    seen.add(after)
                    heapq.heappush(heap, (penalty + choices[k][place + 1][0] - choices[k][place][0], after))


def _ways(rules: StructureRules, number: int, element: str, atoms: int, cap: int) -> list[_Way]:
    """Ways to put ``atoms`` atoms of one element on positions, those with few sites first, at most ``cap``.

    Where sites of the element are stated, they are all of its sites; what they leave open is searched.
    """
    group = space_group(number)
    stated = [site for site in rules.sites if site.element == element]
    found: dict[tuple, _Way] = {}
    if stated:
        options = [
            [
                position
                for position in group.positions
                if (site.letter is None or position.letter == site.letter)
                and (site.multiplicity is None or position.multiplicity == site.multiplicity)
                and position.multiplicity <= atoms
            ]
            for site in stated
        ]
        for positions in islice(product(*options), 100_000):
            if sum(position.multiplicity for position in positions) == atoms and _allowed(positions):
                way = tuple(
                    (element, position.letter, site.coordinates)
                    for position, site in zip(positions, stated, strict=True)
                )
                found.setdefault(tuple(sorted((letter, str(place)) for _, letter, place in way)), way)
            if len(found) >= cap:
                break
        return list(found.values())
    for many in range(1, _MOST_SITES + 1):
        for letters in _sums(number, atoms, many):
            found[letters] = tuple((element, letter, None) for letter in letters)
            if len(found) >= cap:
                return list(found.values())
    return list(found.values())


def _allowed(positions: Sequence[WyckoffPosition]) -> bool:
    """Whether no position without free coordinates is used twice."""
    special = [position.letter for position in positions if position.degrees_of_freedom == 0]
    return len(special) == len(set(special))


def _sums(number: int, atoms: int, many: int, first: int = 0) -> Iterator[tuple[str, ...]]:
    """Letters of ``many`` positions whose multiplicities add up to ``atoms``."""
    positions = space_group(number).positions
    if many == 0:
        if atoms == 0:
            yield ()
        return
    if not many * min(p.multiplicity for p in positions) <= atoms <= many * positions[-1].multiplicity:
        return
    for index in range(first, len(positions)):
        position = positions[index]
        if position.multiplicity <= atoms:
            again = index if position.degrees_of_freedom else index + 1
            for rest in _sums(number, atoms - position.multiplicity, many - 1, again):
                yield (position.letter, *rest)


def _penalty(number: int, way: _Way, targets: Targets) -> float:
    """Free coordinates, sites, and polyhedra on sites that cannot hold them."""
    group = space_group(number)
    penalty = 0.0
    for element, letter, _ in way:
        penalty += group.by_letter[letter].degrees_of_freedom + 0.5
        kinds = site_rotations(number, letter)
        alternatives: dict[frozenset[str], list[float]] = {}
        for bond in targets.bonds:
            if bond.centre == element:
                alternatives.setdefault(frozenset(bond.ligands), []).append(_unfit(bond, kinds))
        penalty += sum(min(each) for each in alternatives.values())
    return penalty


def _unfit(bond: Bond, kinds: frozenset[int]) -> float:
    """What a polyhedron costs on a site with these rotations."""
    weight = 20.0 if bond.stated else 2.0
    if bond.shape is None:
        return weight if bond.count % 2 and -1 in kinds else 0.0
    return 0.0 if kinds <= bond.shape.rotations else weight
