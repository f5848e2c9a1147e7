"""A structure against its rules: one verdict a rule, with numbers and the offending sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.bonding import SOFTNESS, bond_lengths
from sozai.knowledge.crystals.chemistry import likely_states
from sozai.knowledge.crystals.contacts import Contacts, find_contacts
from sozai.knowledge.crystals.elements import atomic_numbers, element_counts, element_table
from sozai.knowledge.crystals.geometry import interatomic_distances
from sozai.knowledge.crystals.structure.connected import connection_verdicts, polyhedron_verdicts
from sozai.knowledge.crystals.structure.places import symmetry_verdicts
from sozai.knowledge.crystals.structure.polyhedra import listed, reach, site_name
from sozai.knowledge.crystals.structure.rules import Polyhedron, StructureRules
from sozai.knowledge.crystals.wish import SYMBOLS, parse_formula, reduced
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure


def check_structure(structure: Structure, rules: StructureRules, tolerance: float = 0.1) -> list[Verdict]:
    """Judge a structure by the rules it was to obey.

    Args:
        structure: ordered, in any cell.
        rules: what is stated is judged; beside it always whether atoms are too close.
        tolerance: greatest distance (angstrom) within which atoms count as symmetric.

    Returns:
        verdicts named ``composition``, ``charge``, ``space_group``, ``sites``, ``coordinates``, ``cell``,
        ``polyhedron Zr-O 6``, ``shape Zr-O octahedron``, ``connection Zr-P corner``, ``distance O-O``, ``density``,
        ``bond_valence`` and ``contacts``. ``passed`` is ``None`` where it could not be decided: a rule on how polyhedra
        share corners says nothing where the polyhedra are missing.

    Raises:
        UserError: the structure is disordered.
    """
    numbers = atomic_numbers(structure)
    counts = element_counts(numbers)
    contacts = find_contacts(structure, numbers, reach(rules))
    verdicts: list[Verdict] = []
    if rules.formula:
        verdicts.append(_composition(counts, rules.formula))
    if rules.oxidation:
        verdicts.append(_charge(counts, rules))
    verdicts += symmetry_verdicts(structure, rules, tolerance)
    polyhedra = polyhedron_verdicts(structure, contacts, rules)
    verdicts += polyhedra.verdicts
    verdicts += connection_verdicts(structure, contacts, rules, polyhedra)
    verdicts += [_distance(structure, contacts, pair, limits) for pair, limits in rules.distances.items()]
    if rules.density is not None:
        verdicts.append(_range("density", float(structure.density), rules.density, "g/cm3"))
    if rules.bond_valence is not None:
        verdicts.append(_bond_valence(structure, contacts, counts, rules))
    contact = interatomic_distances(contacts)
    verdicts.append(Verdict("contacts", contact.passed, contact.message, contact.amount, contact.unit))
    return verdicts


def unusual_shapes(structure: Structure, presumed: Sequence[Polyhedron]) -> list[Verdict]:
    """Polyhedra that are clearly of another shape than was presumed for want of a stated one.

    That is no failure, but nobody decided it either: a wrong structure may pass all rules that are stated.

    Args:
        structure: ordered.
        presumed: polyhedra with the shapes that were presumed.

    Returns:
        a verdict that is open for each that is unusual; none for those that are as presumed.
    """
    rules = StructureRules(polyhedra=tuple(presumed))
    contacts = find_contacts(structure, atomic_numbers(structure), reach(rules))
    found = []
    for verdict in polyhedron_verdicts(structure, contacts, rules).verdicts:
        if verdict.rule.startswith("shape ") and verdict.passed is False:
            told = f"No shape is stated, and this one is unusual: {verdict.message} State the shape that you want."
            found.append(Verdict(f"usual {verdict.rule}", None, told, verdict.amount, verdict.unit, "soft"))
    return found


def all_pass(verdicts: list[Verdict]) -> bool:
    """Whether every verdict is a clear yes: an open one is not."""
    return all(verdict.passed is True for verdict in verdicts)


def _composition(counts: dict[str, int], formula: str) -> Verdict:
    wanted, found = reduced(parse_formula(formula)), reduced(counts)
    if wanted == found:
        return Verdict("composition", True, f"It is {formula}.")
    shares = {e: found.get(e, 0) / sum(found.values()) - wanted.get(e, 0) / sum(wanted.values())
              for e in {*found, *wanted}}  # fmt: skip
    worst = max(sorted(shares), key=lambda element: abs(shares[element]))
    told = f"It is {spell(found)}, not {formula}: {'too much' if shares[worst] > 0 else 'too little'} {worst}."
    return Verdict("composition", False, told, abs(shares[worst]), "atomic fraction")


def spell(counts: dict[str, int]) -> str:
    """A formula without brackets."""
    return "".join(f"{element}{number if number > 1 else ''}" for element, number in counts.items())


def _charge(counts: dict[str, int], rules: StructureRules) -> Verdict:
    missing = [element for element in counts if element not in rules.oxidation]
    if missing:
        return Verdict("charge", None, f"Not judged: no oxidation state is stated for {', '.join(missing)}.")
    unit = reduced(counts)
    total = sum(rules.oxidation[element] * number for element, number in unit.items())
    told = " ".join(f"{element}{rules.oxidation[element]:+g}" for element in rules.oxidation if element in unit)
    name = rules.formula if rules.formula and reduced(parse_formula(rules.formula)) == unit else spell(unit)
    if abs(total) < 1e-6:
        return Verdict("charge", True, f"{name} is neutral with {told}.")
    return Verdict("charge", False, f"{name} has charge {total:+g} with {told}.", abs(total), "e")


def _range(rule: str, value: float, limits: tuple[float, float], unit: str) -> Verdict:
    low, high = limits
    wanted = f"{low:.4g} to {high:.4g} {unit}" if np.isfinite(high) else f"at least {low:.4g} {unit}"
    off = max(low - value, value - high, 0.0)
    if off <= 0:
        return Verdict(rule, True, f"{value:.4g} {unit}, within {wanted}.", 0.0, unit)
    side = "below" if value < low else "above"
    return Verdict(rule, False, f"{value:.4g} {unit} is {side} the wanted {wanted}.", off, unit)


def _distance(structure: Structure, contacts: Contacts, pair: str, limits: tuple[float, float]) -> Verdict:
    rule, unit, (low, high) = f"distance {pair}", "angstrom", limits
    one, other = (SYMBOLS.index(symbol) + 1 for symbol in pair.split("-"))
    amounts = {number: int((contacts.numbers == number).sum()) for number in (one, other)}
    if not all(amounts.values()):
        return Verdict(rule, None, f"Not judged: the structure has no {pair} pair.", unit=unit)
    if not contacts.complete:
        return Verdict(rule, None, "Not judged: the atoms lie too densely.", unit=unit)
    rarer, commoner = sorted((one, other), key=lambda number: amounts[number])
    nearest: dict[int, float] = {}
    for site in np.flatnonzero(contacts.numbers == rarer):
        rows = (contacts.first == site) & (contacts.numbers[contacts.second] == commoner)
        nearest[int(site)] = float(contacts.distances[rows].min()) if rows.any() else np.inf
    wrong = {site: d for site, d in nearest.items() if d < low - 1e-6 or (d > high + 1e-6 and np.isfinite(high))}
    wanted = f"{low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
    if not wrong:
        least, most = min(nearest.values()), max(nearest.values())
        told = f"{least:.3f}" if most - least < 5e-4 else f"{least:.3f} to {most:.3f}"
        return Verdict(rule, True, f"Nearest {pair} at {told} angstrom, within {wanted}.", 0.0, unit)
    off = max(max(low - d, d - high) for d in wrong.values())
    off = off if np.isfinite(off) else contacts.cutoff
    sites = {site_name(structure, site): f"{d:.3f} angstrom" if np.isfinite(d) else f"none within {contacts.cutoff:.1f}"
             for site, d in wrong.items()}  # fmt: skip
    message = f"Nearest {pair} outside {wanted} angstrom at {len(wrong)} of {len(nearest)} sites: {listed(sites)}."
    return Verdict(rule, False, message, off, unit)


def _bond_valence(structure: Structure, contacts: Contacts, counts: dict[str, int], rules: StructureRules) -> Verdict:
    """Global instability index: root mean square of bond-valence sum less oxidation state.

    Salinas-Sanchez et al., J. Solid State Chem. 1992, 100, 201; parameters of O'Keeffe and Brese 1991.
    """
    rule, unit, limit = "bond_valence", "valence units", float(rules.bond_valence or 0.0)
    states = dict(rules.oxidation) if set(rules.oxidation) >= set(counts) else likely_states(counts)
    if not states:
        return Verdict(rule, None, "Not judged: state the oxidation states; none are likely.", unit=unit)
    blank = [element for element in counts if element_table()[element].bv_r is None]
    if blank or not contacts.complete:
        why = f"no bond-valence parameters for {', '.join(blank)}" if blank else "the atoms lie too densely"
        return Verdict(rule, None, f"Not judged: {why}.", unit=unit)
    charge = np.array([states[SYMBOLS[number - 1]] for number in contacts.numbers], dtype=float)
    ionic = charge[contacts.first] * charge[contacts.second] < 0
    first, second = contacts.first[ionic], contacts.second[ionic]
    lengths = bond_lengths(contacts.numbers[first], contacts.numbers[second])
    valences = np.exp((lengths - contacts.distances[ionic]) / SOFTNESS)
    sums = np.bincount(first, valences, minlength=len(charge))
    off = sums - np.abs(charge)
    index = float(np.sqrt(np.mean(off**2)))
    worst = {
        site_name(structure, int(site)): f"{sums[site]:.2f} for {charge[site]:+g}"
        for site in _distinct(np.argsort(-np.abs(off)), contacts.numbers)
    }
    told = f"Global instability index {index:.3f}, at most {limit:g}; bond-valence sums farthest off: {listed(worst)}."
    return Verdict(rule, index <= limit, told, max(0.0, index - limit), unit)


def _distinct(order: np.ndarray, numbers: np.ndarray) -> list[int]:
    """The first site of each element, in order."""
    firsts: dict[int, int] = {}
    for site in order:
        firsts.setdefault(int(numbers[site]), int(site))
    return list(firsts.values())
