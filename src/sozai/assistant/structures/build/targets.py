"""What the distances of a crystal should be, from its rules: bonds, edges of polyhedra, closest contacts, volume."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from sozai.errors import UserError
from sozai.knowledge.crystals.bonding import SOFTNESS, bond_lengths
from sozai.knowledge.crystals.chemistry import likely_states
from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, StructureRules
from sozai.knowledge.crystals.structure.shapes import SHAPES, Shape, shapes_of, usual_shape
from sozai.knowledge.crystals.structure.site_symmetry import site_rotations
from sozai.knowledge.crystals.wish import SYMBOLS, parse_formula
from sozai.materials.wyckoff import space_group

_NUMERALS = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]
_AVOGADRO_VOLUME = 1.66053907  # g/cm3 of one atomic mass unit in a cubic angstrom

# Where no one shape is usual, ligands are only kept this far apart (in bonds).
_APART = {2: 1.20, 3: 1.25, 4: 1.15, 5: 1.35, 6: 1.25, 7: 1.20, 8: 1.12, 9: 1.05, 10: 1.00, 11: 0.98, 12: 0.96}
# Radius ratio (cation to anion) up to which a coordination number is usual (Pauling's first rule).
_RADIUS_RATIO = ((0.225, 3), (0.414, 4), (0.732, 6), (1.0, 8), (math.inf, 12))
# Distance of two centres, in sums of their bonds, by what they share: least, greatest.
_SHARED = {"corner": (0.78, 1.01), "edge": (0.55, 0.84), "face": (0.48, 0.68)}


@dataclass(frozen=True)
class Bond:
    """The bonds one kind of centre wants.

    Attributes:
        centre: element.
        ligands: elements.
        count: coordination number.
        length: wanted bond, angstrom.
        outer: further ligands stay beyond this, angstrom.
        strength: Pauling's bond strength, charge over coordination number.
        stated: whether the rules state it (else it is guessed from the radii and weighs little).
        shape: of the polyhedron, stated or presumed; ``None`` where no one shape is usual.
        shape_stated: whether the rules state the shape.
        around: ligands around the centre in all: more than ``count`` where several rules hold together.
    """

    centre: str
    ligands: tuple[str, ...]
    count: int
    length: float
    outer: float
    strength: float
    stated: bool
    shape: Shape | None = None
    shape_stated: bool = False
    around: int = 0

    @property
    def apart(self) -> float:
        """Least ligand-ligand distance inside the polyhedron, angstrom."""
        if self.shape is not None:
            return 0.85 * self.shape.edges[0] * self.length
        return _APART.get(max(self.count, self.around), 0.9) * self.length


def presumed_shapes(rules: StructureRules, targets: Targets) -> list[Polyhedron]:
    """The stated polyhedra whose shape was presumed because the rules state none, with that shape."""
    return [
        replace(rule, shape=bond.shape.name)
        for rule, bond in zip(rules.polyhedra, targets.bonds, strict=False)  # bonds that are guessed come after
        if rule.shape is None and bond.shape is not None
    ]


@dataclass(frozen=True)
class Shared:
    """``count`` polyhedra around ``second`` whose centres lie within ``low`` to ``high`` of each ``first``."""

    first: str
    second: str
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Targets:
    """All that a structure is fitted to.

    Attributes:
        counts: atoms of a formula unit by element.
        charges: by element.
        bonds: wanted; those of one centre and the same ligands are alternatives.
        least: least distance by pair of elements in alphabetical order, angstrom (bonds and edges are exempt).
        shared: neighbours among centres.
        volume: of a formula unit: least and greatest, cubic angstrom.
        stated_volume: whether the rules state the density (else the limits are wide).
    """

    counts: Mapping[str, int]
    charges: Mapping[str, float]
    bonds: tuple[Bond, ...]
    least: Mapping[tuple[str, str], float]
    shared: tuple[Shared, ...]
    volume: tuple[float, float]
    stated_volume: bool

    @property
    def anions(self) -> frozenset[str]:
        """Elements of negative charge."""
        return frozenset(element for element, charge in self.charges.items() if charge < 0)


def targets_of(rules: StructureRules) -> Targets:
    """Turn rules into distances.

    A bond is the stated length, else the sum of Shannon's radii (oxides, fluorides) or the length of the
    bond valence (other anions), moved into the stated range. Centres without a stated polyhedron get the
    coordination that their radius ratio suggests.

    Raises:
        UserError: no formula, or nothing that says how far atoms should be from each other.
    """
    if not rules.formula:
        raise UserError("no formula is stated", rules.where, "add the formula, such as NaZr2(PO4)3")
    counts = parse_formula(rules.formula)
    charges = _charges(rules, counts)
    bonds = _bonds(rules, counts, charges)
    volume, stated = _volume(rules, counts)
    return Targets(
        counts=counts,
        charges=charges,
        bonds=bonds,
        least=_least(rules, counts, charges, bonds),
        shared=_shared(rules.connections, bonds),
        volume=volume,
        stated_volume=stated,
    )


def _charges(rules: StructureRules, counts: Mapping[str, int]) -> dict[str, float]:
    charges = {element: float(charge) for element, charge in rules.oxidation.items() if element in counts}
    missing = [element for element in counts if element not in charges]
    if not missing:
        return charges
    if len(missing) == 1 and len(counts) > 1:  # the last one follows from neutrality
        (last,) = missing
        charges[last] = -sum(charges[element] * counts[element] for element in charges) / counts[last]
        return charges
    likely = likely_states(counts) or {}
    table = element_table()
    mean = np.mean([table[element].electronegativity or 1.8 for element in counts])
    for element in missing:  # without states only the sign matters
        above = (table[element].electronegativity or 1.8) > mean
        charges[element] = float(likely.get(element, 0 if len(counts) == 1 else -1 if above else 1))
    return charges


@cache
def ionic_radius(element: str, charge: float, coordination: int) -> float | None:
    """Shannon's ionic radius (angstrom; high spin where both are given) at the nearest listed charge and coordination.

    ``None`` where the table (Acta Cryst. 1976, A32, 751) lacks the sign of the charge.
    """
    from pymatgen.core import Element

    table = Element(element).data.get("Shannon radii") or {}
    states = [state for state in table if int(state) * charge > 0]
    if not states:
        return None
    rows = table[min(states, key=lambda state: abs(int(state) - charge))]
    known = {
        _NUMERALS.index(name.rstrip("PYSQ")) + 1: spins
        for name, spins in sorted(rows.items(), key=lambda item: -len(item[0]))  # plain names win over IVSQ, IVPY
        if name.rstrip("PYSQ") in _NUMERALS
    }
    if not known:
        return None
    spins = known[min(known, key=lambda number: (abs(number - coordination), number))]
    return float((spins.get("High Spin") or spins.get("") or next(iter(spins.values())))["ionic_radius"])


def bond_length(centre: str, ligand: str, charge: float, ligand_charge: float, coordination: int) -> float:
    """Expected length of a bond in angstrom, see ``targets_of``."""
    radii = ionic_radius(centre, charge, coordination), ionic_radius(ligand, ligand_charge, 4)
    if ligand in ("O", "F") and None not in radii:
        return sum(radii)  # type: ignore[arg-type]
    numbers = [np.array([SYMBOLS.index(element) + 1]) for element in (centre, ligand)]
    unit = float(bond_lengths(*numbers)[0])
    if math.isfinite(unit) and charge:
        return unit - SOFTNESS * math.log(max(abs(charge), 0.5) / coordination)
    if None not in radii:
        return sum(radii)  # type: ignore[arg-type]
    table = element_table()
    return sum(table[element].covalent_radius or 1.5 for element in (centre, ligand))


def _bonds(rules: StructureRules, counts: Mapping[str, int], charges: Mapping[str, float]) -> tuple[Bond, ...]:
    bonds = []
    anions = tuple(element for element in counts if charges[element] < 0)
    for shape in rules.polyhedra:
        if shape.centre not in counts or not set(shape.ligands) <= counts.keys():
            raise UserError(
                f"the polyhedron of {', '.join(shape.ligands)} around {shape.centre} names an element that is not in "
                f"{rules.formula}",
                rules.where,
                "correct the polyhedron or the formula",
            )
        charge = charges[shape.centre]
        expected = float(
            np.mean(
                [
                    bond_length(shape.centre, ligand, charge, charges[ligand], shape.coordination)
                    for ligand in shape.ligands
                ]
            )
        )
        low, high = shape.low or 0.0, shape.high or math.inf
        length = shape.length or _inside(expected, low, high)
        gap = 1.30 if shape.coordination <= 4 else 1.22 if shape.coordination <= 6 else 1.10
        outer = max(gap * length, 1.04 * high if math.isfinite(high) else 0.0)
        strength = abs(charge) / shape.coordination
        parts = {tuple(sorted(one.ligands)): one.coordination for one in rules.polyhedra if one.centre == shape.centre}
        form = _shape(shape, charge, rules) if len(parts) == 1 or shape.shape else None
        stated, whole = shape.shape is not None, sum(parts.values())
        bonds.append(
            Bond(shape.centre, shape.ligands, shape.coordination, length, outer, strength, True, form, stated, whole)
        )
    described = {bond.centre for bond in bonds}
    for element in counts:
        charge = charges[element]
        if element in described or charge <= 0 or not anions:
            continue
        if any(element in bond.ligands for bond in bonds):
            continue
        radius = ionic_radius(element, charge, 6) or 0.8
        anion = float(np.mean([ionic_radius(symbol, charges[symbol], 6) or 1.6 for symbol in anions]))
        number = next(number for limit, number in _RADIUS_RATIO if radius / anion <= limit)
        length = float(np.mean([bond_length(element, symbol, charge, charges[symbol], number) for symbol in anions]))
        form = _shape(Polyhedron(element, anions, number), charge, rules)
        bonds.append(Bond(element, anions, number, length, length, charge / number, False, form))
    return tuple(bonds)


def _shape(rule: Polyhedron, charge: float, rules: StructureRules) -> Shape | None:
    """The stated shape, else the usual one; where stated sites rule that out, the first that they allow."""
    if rule.shape is not None:
        return SHAPES[rule.shape]
    usual = usual_shape(rule.centre, charge, rule.coordination, rule.ligands)
    letters = {site.letter for site in rules.sites if site.element == rule.centre}
    if usual is None or rules.space_group is None or not letters or None in letters:
        return usual
    known = space_group(rules.space_group).by_letter
    held = [site_rotations(rules.space_group, letter) for letter in letters if letter in known]
    possible = [shape for shape in shapes_of(rule.coordination) if all(one <= shape.rotations for one in held)]
    return usual if usual in possible or not possible else possible[0]


def _inside(expected: float, low: float, high: float) -> float:
    """The expected length, moved into a stated range and off its ends: bonds of one polyhedron differ."""
    margin = 0.15 * (high - low) if math.isfinite(high) else 0.0
    return min(max(expected, low + margin), high - margin)


def _least(
    rules: StructureRules, counts: Mapping[str, int], charges: Mapping[str, float], bonds: tuple[Bond, ...]
) -> dict[tuple[str, str], float]:
    """Least distance of every pair of elements, apart from bonds and edges of polyhedra."""
    table = element_table()
    least: dict[tuple[str, str], float] = {}
    stated = {frozenset((link.first, link.second)): link.how for link in rules.connections}
    for one, other in combinations_with_replacement(sorted(counts), 2):
        signs = charges[one], charges[other]
        covalent = sum(table[element].covalent_radius or 1.5 for element in (one, other))
        if signs[0] < 0 and signs[1] < 0:
            radii = [ionic_radius(element, charges[element], 6) or 1.7 for element in (one, other)]
            distance = 0.97 * sum(radii)
        elif signs[0] * signs[1] < 0:
            cation, anion = (one, other) if signs[0] > 0 else (other, one)
            distance = 0.88 * bond_length(cation, anion, charges[cation], charges[anion], 4)
        elif min(signs) > 0:
            arms = [
                max((bond.length for bond in bonds if bond.centre == element), default=2.0) for element in (one, other)
            ]
            how = stated.get(frozenset((one, other)))
            share = {"none": 0.95, "corner": 0.75, "edge": 0.55, "face": 0.48}.get(how or "", 0.62)
            distance = share * sum(arms)
        else:
            distance = 0.8 * covalent
        least[(one, other)] = max(distance, 0.7 * covalent) if signs[0] * signs[1] >= 0 else distance
    for pair, (low, _) in rules.distances.items():
        names = tuple(sorted(pair.split("-")))
        if names in least:
            least[names] = max(low, 0.1)  # type: ignore[index]
    return least


def _shared(connections: tuple[Connection, ...], bonds: tuple[Bond, ...]) -> tuple[Shared, ...]:
    arm: dict[str, float] = {}
    for bond in bonds:
        arm[bond.centre] = max(arm.get(bond.centre, 0.0), bond.length)
    return tuple(
        Shared(
            link.first,
            link.second,
            1 if link.count is None else link.count,
            _SHARED[link.how][0] * (arm[link.first] + arm[link.second]),
            _SHARED[link.how][1] * (arm[link.first] + arm[link.second]),
        )
        for link in connections
        if link.how != "none" and link.count != 0 and link.first in arm and link.second in arm
    )


def _volume(rules: StructureRules, counts: Mapping[str, int]) -> tuple[tuple[float, float], bool]:
    """Volume of a formula unit: from the density, else from what each element usually takes."""
    table = element_table()
    if rules.density:
        mass = sum(table[element].mass * number for element, number in counts.items()) * _AVOGADRO_VOLUME
        return (mass / rules.density[1], mass / rules.density[0]), True
    usual = sum((table[element].volume or 18.0) * number for element, number in counts.items())
    return (0.6 * usual, 1.6 * usual), False
