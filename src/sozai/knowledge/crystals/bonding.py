"""Rules about how atoms are bound: bond-valence sums and usual coordination numbers. Both need oxidation states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.chemistry import likely_states, rare_states
from sozai.knowledge.crystals.contacts import Contacts
from sozai.knowledge.crystals.elements import NON_METALS, element_table
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure

SOFTNESS = 0.37
"""Universal constant b of the bond valence exp((R - d)/b), angstrom (Brown and Altermatt 1985)."""

_NUMERALS = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV"]
_ROMAN = {name: number for number, name in enumerate(_NUMERALS, 1)}


_LEAST_POLARITY = 0.7
"""Least difference of the mean electronegativities of anions and cations (Pauling) for bonds to count as ionic."""


def _ionic_states(counts: Mapping[str, int], consensus: int, commonality: str | float) -> tuple[dict[str, int], str]:
    """Oxidation states by element, and why an ionic picture does not apply (empty when it does)."""
    states = likely_states(counts, consensus, commonality)
    if states is None:
        return {}, "Not judged: no ionic picture (an element, an alloy, or no neutral states in order)."
    rare = rare_states(states)
    if rare:
        return {}, f"Not judged: the oxidation states are in doubt ({', '.join(rare)} would be rare; mixed valence?)."
    table = element_table()

    def mean(sign: int) -> float:
        chosen = {symbol: number for symbol, number in counts.items() if states[symbol] * sign > 0}
        return sum((table[s].electronegativity or 0.0) * n for s, n in chosen.items()) / sum(chosen.values())

    polarity = mean(-1) - mean(1)
    if polarity < _LEAST_POLARITY:
        return {}, f"Not judged: the bonds are hardly ionic (electronegativities differ by {polarity:.2f})."
    return states, ""


def bond_lengths(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Length R (angstrom) of a bond of valence one between atomic numbers, shape (m,); NaN where not known.

    From the parameters r and c of each element: O'Keeffe and Brese, J. Am. Chem. Soc. 1991, 113, 3226.
    """
    table = [element_table()[symbol] for symbol in SYMBOLS]
    r = np.array([np.nan] + [np.nan if row.bv_r is None else row.bv_r for row in table])
    c = np.array([np.nan] + [np.nan if row.bv_c is None else row.bv_c for row in table])
    r1, r2, c1, c2 = r[first], r[second], c[first], c[second]
    return r1 + r2 - r1 * r2 * (np.sqrt(c1) - np.sqrt(c2)) ** 2 / (c1 * r1 + c2 * r2)


def bond_valence(
    contacts: Contacts,
    counts: Mapping[str, int],
    limit: float = 0.6,
    consensus: int = 1,
    commonality: str | float = "low",
    severity: str = "soft",
) -> Verdict:
    """Whether the bonds of each ion add up to its oxidation state.

    The measure is the global instability index: the root mean square, over the sites, of the bond-valence sum less
    the oxidation state, relative to the oxidation state (Salinas-Sanchez et al., J. Solid State Chem. 1992, 100, 201,
    made relative so that one limit serves Na+ and P5+). Only bonds between cations and anions count.

    Args:
        contacts: pairs of atoms near each other.
        counts: atoms by element.
        limit: greatest index.
        consensus, commonality: which oxidation states are known, as for ``charge_neutrality``.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is how far the index is above the limit.
    """
    rule = "bond_valence"
    states, why = _ionic_states(counts, consensus, commonality)
    if not states:
        return Verdict(rule, None, why, severity=severity)
    charge = np.array([states[SYMBOLS[number - 1]] for number in contacts.numbers], dtype=float)
    ionic = charge[contacts.first] * charge[contacts.second] < 0
    first = contacts.first[ionic]
    lengths = bond_lengths(contacts.numbers[first], contacts.numbers[contacts.second[ionic]])
    blank = sorted(symbol for symbol in counts if element_table()[symbol].bv_r is None)
    if blank or not contacts.complete:
        told = f"no bond-valence parameters are known for {', '.join(blank)}" if blank else "the atoms lie too densely"
        return Verdict(rule, None, f"Not judged: {told}.", severity=severity)
    sums = np.bincount(first, np.exp((lengths - contacts.distances[ionic]) / SOFTNESS), minlength=len(contacts.numbers))
    relative = sums / np.abs(charge) - 1
    index = float(np.sqrt(np.mean(relative**2)))
    worst = int(np.abs(relative).argmax())
    symbol = SYMBOLS[contacts.numbers[worst] - 1]
    message = (
        f"Bond-valence sums are off by {index:.0%} (root mean square; at most {limit:.0%}); the worst is {symbol} "
        f"(site {worst + 1}) with {sums[worst]:.1f} for an oxidation state of {states[symbol]:+d}."
    )
    passed = index <= limit
    return Verdict(rule, passed, message, 0.0 if passed else index - limit, "", severity)


@lru_cache(maxsize=512)
def usual_coordination(symbol: str, state: int) -> tuple[int, int] | None:
    """Least and greatest coordination number of an ion in Shannon's table (Acta Cryst. 1976, A32, 751).

    ``None`` for an ion that the table lacks.
    """
    from pymatgen.core import Element

    radii = Element(symbol).data.get("Shannon radii", {}).get(str(state), {})
    known = [_ROMAN[name.rstrip("PYSQ")] for name in radii if name.rstrip("PYSQ") in _ROMAN]
    return (min(known), max(known)) if known else None


def coordination(
    structure: Structure,
    counts: Mapping[str, int],
    slack: int = 2,
    consensus: int = 1,
    commonality: str | float = "low",
    severity: str = "soft",
) -> Verdict:
    """Whether each metal cation has a coordination number that its ion has in known crystals.

    Neighbours by CrystalNN (Zimmermann and Jain, RSC Adv. 2020, 10, 6063); numbers outside Shannon's table by more
    than ``slack`` fail. Up to a second a structure, so it belongs to the full level.

    Returns:
        the verdict; its amount is the greatest distance from the usual range (neighbours).
    """
    from pymatgen.analysis.local_env import CrystalNN
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    rule, unit = "coordination", "neighbours"
    states, why = _ionic_states(counts, consensus, commonality)
    if not states:
        return Verdict(rule, None, why, unit=unit, severity=severity)
    try:
        equivalent = SpacegroupAnalyzer(structure, symprec=0.01).get_symmetry_dataset().equivalent_atoms
        finder = CrystalNN(weighted_cn=False, cation_anion=False, distance_cutoffs=None, x_diff_weight=0.0)
        found = {
            site: [neighbour["site"].specie.symbol for neighbour in finder.get_nn_info(structure, site)]
            for site in sorted(set(equivalent.tolist()))
            if states[structure[site].specie.symbol] > 0 and structure[site].specie.symbol not in NON_METALS
        }
    except Exception as fault:  # Voronoi tessellation fails on atoms that coincide or lie far apart
        message = f"Not judged: the neighbours could not be told ({' '.join(str(fault).split())})."
        return Verdict(rule, None, message, unit=unit, severity=severity)
    odd: list[tuple[int, str]] = []
    seen: Counter[str] = Counter()
    for site, neighbours in found.items():
        symbol = structure[site].specie.symbol
        usual = usual_coordination(symbol, states[symbol])
        number = sum(states[neighbour] < 0 for neighbour in neighbours)
        if usual is None:
            continue
        seen[f"{symbol}{states[symbol]:+d} {number}-fold"] += 1
        outside = max(usual[0] - slack - number, number - usual[1] - slack, 0)
        if outside:
            odd.append((outside, f"{symbol}{states[symbol]:+d} (site {site + 1}) has {number} anions around it, "
                                 f"usually {usual[0]} to {usual[1]}"))  # fmt: skip
    if not seen:
        message = "Not judged: Shannon's table has none of the metal cations."
        return Verdict(rule, None, message, unit=unit, severity=severity)
    if odd:
        outside, message = max(odd)
        return Verdict(rule, False, f"{message} (CrystalNN, Shannon 1976).", float(outside), unit, severity)
    told = ", ".join(sorted(seen))
    return Verdict(rule, True, f"Usual coordination of the cations: {told}.", unit=unit, severity=severity)
