"""Verdicts on symmetry: space group, Wyckoff positions, coordinates of sites, cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.knowledge.crystals.structure.space_groups import symbol_of
from sozai.knowledge.verdict import Verdict
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffError, space_group

if TYPE_CHECKING:
    from pymatgen.core import Structure

_FINER = (1.0, 0.3, 0.1, 0.01)
_CELL = ("a", "b", "c", "alpha", "beta", "gamma")
PLACE_TOLERANCE = 0.25
"""A stated place counts as occupied when an atom of its element is this near, angstrom."""


def symmetry_verdicts(structure: Structure, rules: StructureRules, tolerance: float) -> list[Verdict]:
    """Space group, sites, coordinates and cell, as far as the rules state them.

    A structure has the space group asked for when spglib finds it at ``tolerance`` (angstrom) or at a finer one.
    """
    if not (rules.space_group or rules.sites or rules.cell):
        return []
    forms: list[tuple[float, WyckoffCrystal]] = []
    fault = ""
    for factor in _FINER:
        try:
            forms.append((tolerance * factor, WyckoffCrystal.from_structure(structure, tolerance * factor)))
        except WyckoffError as error:
            fault = fault or str(error)
    verdicts: list[Verdict] = []
    right = [form for form in forms if form[1].space_group == rules.space_group]
    chosen = right or forms
    at = chosen[0][0] if chosen else tolerance
    form = chosen[0][1] if chosen else None
    if rules.space_group:
        verdicts.append(_group(rules.space_group, at, form, fault))
    if rules.sites:
        verdicts.append(_sites(rules, form))
        if any(site.coordinates is not None for site in rules.sites):
            verdicts.append(_coordinates(rules, form))
    for name, limits in rules.cell.items():
        if form is None or (rules.space_group and not right):
            verdicts.append(Verdict(f"cell {name}", None, "Unknown: the space group is not the one asked for."))
        else:
            verdicts.append(_cell(name, form.lattice[_CELL.index(name)], limits))
    return verdicts


def _group(wanted: int, at: float, form: WyckoffCrystal | None, fault: str) -> Verdict:
    rule, asked = "space_group", f"{symbol_of(wanted)} ({wanted})"
    if form is None:
        return Verdict(rule, False, f"{asked} was asked for, but {fault or 'no symmetry was found'}.", 1.0)
    if form.space_group == wanted:
        return Verdict(rule, True, f"It has {asked} (spglib, within {at:g} angstrom).")
    found = f"{symbol_of(form.space_group)} ({form.space_group})"
    return Verdict(rule, False, f"It has {found}, not {asked} (spglib, within {at:g} angstrom and finer).", 1.0)


def _cell(name: str, value: float, limits: tuple[float, float]) -> Verdict:
    unit = "angstrom" if name in "abc" else "degrees"
    low, high = limits
    off = max(low - value, value - high, 0.0)
    wanted = f"{low:.4g} to {high:.4g}" if np.isfinite(high) else f"at least {low:.4g}"
    side = "within" if not off else "outside"
    return Verdict(f"cell {name}", not off, f"{name} = {value:.4g} {unit}, {side} {wanted}.", off, unit)


def _sites(rules: StructureRules, form: WyckoffCrystal | None) -> Verdict:
    """Letters compared modulo the Euclidean normaliser: they depend on the choice of origin and axes."""
    rule, unit = "sites", "sites"
    if form is None or (rules.space_group and form.space_group != rules.space_group):
        return Verdict(rule, None, "Unknown: the space group is not the one asked for.", unit=unit)
    if not rules.space_group and any(site.letter for site in rules.sites):
        return Verdict(rule, None, "Not judged: Wyckoff letters mean nothing without a space group.", unit=unit)
    compared = [(*_misfit(rules.sites, gene), gene) for gene in form.gene.equivalents]
    off, told, gene = min(compared, key=lambda item: item[0])
    if off == 0:
        other = "" if gene == form.gene else " (in an equivalent choice of origin or axes)"
        return Verdict(rule, True, f"The sites are {_spell(gene)}{other}.", 0.0, unit)
    return Verdict(rule, False, f"{told}; the structure has {_spell(gene)}.", float(off), unit)


def _misfit(wanted: Sequence[Site], gene: Gene) -> tuple[int, str]:
    """How many sites are too many or missing, over the elements that the rules place; and the words for it."""
    by_letter = space_group(gene.space_group).by_letter
    off, told = 0, []
    for element in dict.fromkeys(site.element for site in wanted):
        left = Counter(letter for symbol, letter in gene.sites if symbol == element)
        missing = []
        asked = [site for site in wanted if site.element == element]
        for site in sorted(asked, key=lambda s: (s.letter is None, s.multiplicity is None)):
            fits = [
                letter
                for letter, number in left.items()
                if number
                and (site.letter is None or letter == site.letter)
                and (site.letter or site.multiplicity is None or by_letter[letter].multiplicity == site.multiplicity)
            ]
            if fits:
                left[fits[0]] -= 1
            else:
                missing.append(f"{site.multiplicity or ''}{site.letter or ''}" or "a further site")
        extra = [f"{by_letter[letter].multiplicity}{letter}" for letter in left.elements()]
        off += len(missing) + len(extra)
        if missing:
            told.append(f"{element} is not on {', '.join(missing)}" + (f" but on {', '.join(extra)}" if extra else ""))
        elif extra:
            told.append(f"{element} is also on {', '.join(extra)}")
    return off, "; ".join(told)


def _spell(gene: Gene) -> str:
    by_letter = space_group(gene.space_group).by_letter
    sites = Counter(gene.sites)
    return ", ".join(
        f"{element} {by_letter[letter].multiplicity}{letter}" + (f" ({number} times)" if number > 1 else "")
        for (element, letter), number in sites.items()
    )


def _coordinates(rules: StructureRules, form: WyckoffCrystal | None) -> Verdict:
    """Whether the stated places are occupied, in some choice of origin and axes.

    The orbits of all stated places are laid over the structure by every signed exchange of axes that keeps the cell
    and every shift that brings the first place onto an atom of its element.
    """
    rule, unit = "coordinates", "angstrom"
    if form is None or not rules.space_group or form.space_group != rules.space_group:
        return Verdict(rule, None, "Unknown: the space group is not the one asked for.", unit=unit)
    actual = form.to_structure(primitive=False)
    metric = np.asarray(actual.lattice.metric_tensor)
    points = np.asarray(actual.frac_coords)
    symbols = np.array([site.specie.symbol for site in actual])
    general = space_group(form.space_group).positions[-1]
    stated = [(s.element, _orbit(general, s.coordinates)) for s in rules.sites if s.coordinates is not None]
    if any(not (symbols == element).any() for element, _ in stated):
        return Verdict(rule, None, "Unknown: an element of the stated sites is not in the structure.", unit=unit)
    best = np.inf
    for axes in _same_cell(metric):
        first = stated[0][1][0] @ axes.T
        for atom in points[symbols == stated[0][0]]:
            far = 0.0
            for element, orbit in stated:
                gaps = (orbit @ axes.T + (atom - first))[:, None] - points[symbols == element][None]
                gaps -= np.round(gaps)
                squares = np.einsum("ijk,kl,ijl->ij", gaps, metric, gaps)
                far = max(far, float(np.sqrt(squares.min(axis=1).max())))
                if far >= best:
                    break
            best = min(best, far)
    if best <= PLACE_TOLERANCE:
        return Verdict(rule, True, f"The stated places are occupied, within {best:.3f} angstrom.", 0.0, unit)
    message = (
        f"In the best choice of origin and axes a stated place is {best:.2f} angstrom from an atom of its element."
    )
    return Verdict(rule, False, message, best - PLACE_TOLERANCE, unit)


def _orbit(general, coordinates) -> np.ndarray:
    points = (general.rotations @ np.asarray(coordinates, dtype=float) + general.translations) % 1.0
    return np.unique(np.round(points, 5) % 1.0, axis=0)


def _same_cell(metric: np.ndarray) -> list[np.ndarray]:
    """Exchanges of axes, with signs and with sums of two (hexagonal cells), that keep all lengths and angles."""
    vectors = [np.array(v) for v in product((-1, 0, 1), repeat=3) if any(v)]
    lengths = [float(v @ metric @ v) for v in vectors]
    rows = [[v for v, length in zip(vectors, lengths, strict=True) if abs(length / metric[i, i] - 1) < 1e-3]
            for i in range(3)]  # fmt: skip
    found = []
    for a, b, c in product(*rows):
        new = np.array([a, b, c])
        if abs(abs(np.linalg.det(new)) - 1) < 1e-6 and np.allclose(new @ metric @ new.T, metric, rtol=1e-3, atol=1e-2):
            found.append(new.T.astype(float))
    return found
