"""The atoms of a CIF: elements, coordinates, occupancies, special positions, duplicates and contacts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from sozai.assistant.structures.cif_numbers import FRACTIONS, number_of
from sozai.assistant.structures.cif_symmetry import Report, Symmetry
from sozai.assistant.structures.cif_text import Block, Value
from sozai.knowledge.crystals.wish import SYMBOLS

SAME = 0.06
"""Images of an atom this near (angstrom) are one atom: coordinates such as 0.333 are rounded."""
NEAR = 0.5
"""Images nearer than this without being one atom cannot both be there."""
FULL = 1.015
"""Greatest sum of occupancies on one site."""
FINE = 0.005
"""Images this near are one atom where the file's own multiplicity says that those a little farther apart are not."""
COORDINATE_LIMIT = 2.5
"""Farthest a fractional coordinate may be from the middle of the cell, in cells."""
_SYMBOL = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*[+-]\d*)?\d*$")
MULTIPLICITY = ("_atom_site_site_symmetry_multiplicity", "_atom_site_symmetry_multiplicity")
_ISOTOPES = {"D": "H", "T": "H"}
_FIRST_ROW = frozenset(["H", "B", "C", "N", "O", "F"])


@dataclass
class Site:
    """One row of the atom loop.

    Attributes:
        row: its number, from 0.
        label, element: the element is "" when it could not be told.
        charge: of the type symbol or of the atom type; ``None`` when none is stated.
        point: fractional coordinates.
        occupancy: 1 when not given.
        line: in the file.
        group: disorder group, "" when none.
        stated: multiplicity that the file states.
        multiplicity: atoms of it in the cell.
        images: (multiplicity, 3) in [0, 1).
    """

    row: int
    label: str
    element: str
    charge: float | None
    point: np.ndarray
    occupancy: float
    line: int
    group: str = ""
    stated: int | None = None
    multiplicity: int = 1
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


def read_sites(block: Block, report: Report) -> list[Site] | None:
    """The atoms; ``None`` when their coordinates cannot be used. Defects of single values are reported."""
    labels, types = block.column("_atom_site_label"), block.column("_atom_site_type_symbol")
    columns = [block.items.get(tag) for tag in FRACTIONS]
    count = max([len(labels), len(types), *(len(c) for c in columns if c)])
    if any(column is None for column in columns):
        missing = [tag for tag, column in zip(FRACTIONS, columns, strict=True) if column is None]
        cartesian = " (Cartesian ones are, which say less)" if block.column("_atom_site_cartn_x") else ""
        told = f"There are no fractional coordinates{cartesian}."
        report("missing-coordinates", "error", block.line, missing[0], told, "State all three.")
        return None
    if not labels:
        report("missing-labels", "warning", block.line, "_atom_site_label", "The atoms have no labels.", "Name each.")
    _labels(labels, report)
    charges, names = _charges(block), _names(labels, types)
    sites: list[Site] = []
    good = True
    for place in range(count):
        label = labels[place].text if place < len(labels) else f"atom {place + 1}"
        values = [column[place] for column in columns if column is not None and place < len(column)]
        line = values[0].line if values else 0
        flag = block.column("_atom_site_calc_flag")
        if place < len(flag) and flag[place].text.lower() in ("dum", "dummy"):
            continue
        element, charge = _element(label, types[place] if place < len(types) else None, line, names, report)
        numbers = [number_of(value) for value in values]
        for axis, (value, number) in enumerate(zip(values, numbers, strict=True)):
            if value.unknown:
                told = f"The {'xyz'[axis]} coordinate is missing."
                report("missing-coordinates", "error", value.line, label, told, "State it, or leave the atom out.")
            elif number is not None and abs(number - 0.5) > COORDINATE_LIMIT:
                told = f"The {'xyz'[axis]} coordinate {number:g} is no fraction of the cell."
                mend = "It may be in angstrom, or lack its decimal point."
                report("coordinate-value", "error", value.line, label, told, mend, value=number)
        if len(numbers) < 3 or any(number is None for number in numbers):
            good = False
            continue
        occupancy = _occupancy(block, place, label, report)
        groups = block.column("_atom_site_disorder_group")
        group = groups[place].text if place < len(groups) and not groups[place].unknown else ""
        symbol = types[place].text if place < len(types) else element
        charge = charges.get(symbol, charges.get(element)) if charge is None else charge
        point = np.array([float(number or 0.0) for number in numbers])
        given = block.column(*MULTIPLICITY)
        stated = number_of(given[place]) if place < len(given) else None
        sites.append(
            Site(
                place,
                label,
                element,
                charge,
                point,
                occupancy,
                line,
                group,
                int(stated) if stated is not None else None,
            )
        )
    return sites if good else None


def _labels(labels: list[Value], report: Report) -> None:
    first: dict[str, int] = {}
    for label in labels:
        if label.text in first:
            told = f"Two atoms have this label, the first in line {first[label.text]}."
            bare = label.text in SYMBOLS  # programs that name all atoms by their element do not mean to tell them apart
            report("duplicate-label", "note" if bare else "warning", label.line, label.text, told, "Give each its own.")
        first.setdefault(label.text, label.line)


def _charges(block: Block) -> dict[str, float]:
    """Oxidation numbers of the atom-type loop."""
    symbols, numbers = block.column("_atom_type_symbol"), block.column("_atom_type_oxidation_number")
    pairs = zip(symbols, (number_of(value) for value in numbers), strict=False)
    return {symbol.text: number for symbol, number in pairs if number is not None}


def _names(labels: list[Value], types: list[Value]) -> frozenset[str]:
    """Beginnings of labels that are names, not elements: of atoms of several types, none of them what it spells."""
    kinds: dict[str, set[str]] = {}
    for label, kind in zip(labels, types, strict=False):
        if (letters := re.match("[A-Za-z]+", label.text)) and not kind.unknown:
            kinds.setdefault(letters[0], set()).add(re.sub("[^A-Za-z]", "", kind.text).title())
    return frozenset(name for name, found in kinds.items() if len(found) > 1 and name.title() not in found)


def _element(
    label: str, kind: Value | None, line: int, names: frozenset[str], report: Report
) -> tuple[str, float | None]:
    """Element and charge of an atom; the label must not name another element than the type."""
    letters = re.match(r"[A-Za-z]*", label)
    start = letters[0] if letters else ""
    guess = next((s for s in (start[:2].title(), start[:1].upper()) if s in SYMBOLS or s in _ISOTOPES), "")
    if kind is None or kind.unknown:
        if not guess:
            told = f"'{label}' names no element, and the atom has no type symbol."
            report("unknown-element", "error", line, label, told, "State its element.")
        return _ISOTOPES.get(guess, guess), None
    match = _SYMBOL.match(kind.text.strip())
    symbol = match[1] if match else ""
    if symbol not in SYMBOLS and symbol not in _ISOTOPES:
        letters_only = re.sub(r"[^A-Za-z]", "", kind.text)
        fixed = letters_only.title()
        mend = f"Write it as {fixed}." if fixed in SYMBOLS else "Write an element's symbol."
        report("unknown-element", "error", kind.line, label, f"'{kind.text}' is no element.", mend)
        return (fixed if fixed in SYMBOLS else ""), None
    other = bool(start and guess) and guess != symbol and not start.upper().startswith(symbol.upper())
    if other and start[0].isupper() and start not in names:
        # M1, X2 or T1 are names of sites; a label of two elements' letters (La/Sr) is of a shared one.
        known = start.title() in SYMBOLS or (start[:2].title() == guess and len(guess) == 2 and start[1:2].islower())
        if known and not (symbol in _ISOTOPES and guess == "H"):
            told = f"The label names {guess}, the type symbol {symbol}."
            report("label-and-type", "warning", line, label, told, "Mend the one that is wrong.")
    charge = None
    if match and match[2]:
        sign = -1.0 if "-" in match[2] else 1.0
        charge = sign * float(match[2].strip("+-") or 1)
    return _ISOTOPES.get(symbol, symbol), charge


def _occupancy(block: Block, place: int, label: str, report: Report) -> float:
    values = block.items.get("_atom_site_occupancy")
    if values is None or place >= len(values):
        return 1.0
    value = values[place]
    number = number_of(value)
    if number is None:
        if value.text.strip() == "?":
            told = "The occupancy is unknown; it is taken as 1."
            report("unknown-occupancy", "note", value.line, label, told, "State it.")
        return 1.0
    if number > FULL:
        told = f"The occupancy {number:g} is above 1."
        mend = "It is a share from 0 to 1, not per cent and not SHELX's 10 + share." if number > 1.5 else "Mend it."
        report("occupancy-above-one", "error", value.line, label, told, mend, value=number)
    elif number < 0:
        report("negative-occupancy", "error", value.line, label, f"The occupancy {number:g} is negative.", "Mend it.",
               value=number)  # fmt: skip
    elif number == 0:
        report("zero-occupancy", "warning", value.line, label, "The occupancy is 0: the atom is not there.",
               "Leave it out or mend the occupancy.", value=0.0)  # fmt: skip
    return number


def place_sites(sites: list[Site], matrix: np.ndarray, symmetry: Symmetry, report: Report) -> None:
    """Apply the operators: how many atoms is each row, and does it sit on its special position?"""
    metric = matrix @ matrix.T
    for site in sites:
        images = symmetry.rotations @ site.point + symmetry.translations
        far = lengths(images - site.point, metric)
        fine = site.stated == round(len(images) / max(1, int((far <= FINE).sum())))
        radius = FINE if fine else SAME
        same, near = far <= radius, (far > radius) & (far < NEAR)
        site.multiplicity = max(1, round(len(images) / max(1, int(same.sum()))))
        site.images = unique_images(images, metric, radius)
        if near.any() and site.occupancy * (same.sum() + near.sum()) / max(1, same.sum()) > FULL:
            worst = float(far[near].max())
            number = int((same.sum() + near.sum()) / max(1, same.sum()))
            told = f"{number} images of it are {worst:.2f} angstrom apart: it lies off a special position."
            mend = "Put it on the special position, or lower the occupancy of a split atom."
            report("off-special-position", "error" if worst > 0.15 else "warning", site.line, site.label, told, mend,
                   apart=worst, images=number)  # fmt: skip


def lengths(differences: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """Lengths in angstrom of fractional differences (..., 3), to the nearest image."""
    wrapped = differences - np.round(differences)
    return np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", wrapped, metric, wrapped), 0.0))


def unique_images(images: np.ndarray, metric: np.ndarray, radius: float) -> np.ndarray:
    """Each image once: those within ``radius`` (angstrom) are one."""
    wrapped = images % 1.0
    if len(wrapped) == 1:
        return wrapped
    apart = lengths(wrapped[:, None] - wrapped[None], metric)
    first = (apart <= radius).argmax(axis=1)
    return wrapped[np.unique(first)]


def audit_multiplicities(block: Block, sites: list[Site], symmetry: Symmetry, report: Report) -> None:
    """Stated multiplicities and Wyckoff letters against the coordinates."""
    stated = block.column(*MULTIPLICITY)
    orders = block.column("_atom_site_site_symmetry_order")
    size = len(symmetry.rotations)
    counted = [(site, number_of(stated[site.row])) for site in sites if site.row < len(stated)]
    wrong = [(site, number) for site, number in counted if number is not None and int(number) != site.multiplicity]
    if wrong and all(number is not None and round(number * site.multiplicity) == size for site, number in counted):
        told = "The multiplicities are the orders of the site symmetries."
        report("multiplicity-is-order", "note", stated[0].line, "multiplicity", told,
               "They belong under _atom_site_site_symmetry_order.")  # fmt: skip
        wrong = []
    for site, number in wrong:
        told = f"The multiplicity stated is {number:g}, but the operators make {site.multiplicity} atoms of it."
        report("multiplicity", "error", stated[site.row].line, site.label, told,
               "Mend the multiplicity or the coordinates.", stated=number or 0.0, found=site.multiplicity)  # fmt: skip
    for site in sites:
        order = number_of(orders[site.row]) if site.row < len(orders) else None
        if order is not None and round(order * site.multiplicity) != size:
            told = f"The site symmetry stated is of order {order:g}, but it is of order {size / site.multiplicity:g}."
            report("multiplicity", "error", orders[site.row].line, site.label, told, "Mend it or the coordinates.",
                   stated=order, found=size / site.multiplicity)  # fmt: skip
    letters = block.column("_atom_site_wyckoff_symbol", "_atom_site_wyckoff_letter", "_atom_site_symmetry_wyckoff")
    for site in sites:
        if site.row < len(letters) and not letters[site.row].unknown and symmetry.number:
            _letter(letters[site.row], site, symmetry, report)


def _letter(value: Value, site: Site, symmetry: Symmetry, report: Report) -> None:
    from sozai.materials.wyckoff import space_group

    group = space_group(symmetry.number or 1)
    match = re.fullmatch(r"(\d*)\s*([A-Za-z])", value.text.strip())
    letter = match[2] if match else value.text.strip()
    position = group.by_letter.get(letter if letter == "A" else letter.lower())
    offered = ", ".join(f"{p.multiplicity}{p.letter}" for p in group.positions)
    if position is None:
        told = f"{group.symbol} has no Wyckoff position '{value.text}', only {offered}."
        report("wyckoff-letter", "error", value.line, site.label, told, "Mend the letter.")
        return
    per_cell = len(symmetry.rotations) / len(group.positions[-1].rotations)  # 1/3 on rhombohedral axes
    if round(position.multiplicity * per_cell) != site.multiplicity:
        fits = [p.letter for p in group.positions if round(p.multiplicity * per_cell) == site.multiplicity]
        told = (
            f"Position {position.multiplicity}{position.letter} is stated, but it is one of {site.multiplicity} atoms."
        )
        mend = f"Positions of that many: {', '.join(fits)}." if fits else "Mend the coordinates."
        report("wyckoff-letter", "error", value.line, site.label, told, mend,
               stated=position.multiplicity, found=site.multiplicity)  # fmt: skip


def audit_overlaps(sites: list[Site], matrix: np.ndarray, report: Report) -> None:
    """Rows that are the same place by symmetry, shared sites that are overfull, contacts that are too short."""
    from sozai.knowledge.crystals.geometry import least_distances

    metric = matrix @ matrix.T
    numbers = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}
    real = [site for site in sites if site.element and site.occupancy > 0]
    if sum(len(site.images) for site in real) > 20_000:
        report("too-many-atoms", "note", 0, "", "Contacts were not looked for: the cell has over 20,000 atoms.")
        return
    overfull = _shared(real, metric, report)
    for i, one in enumerate(real):
        for other in real[i:]:
            if (id(one), id(other)) in overfull or _alternatives(one, other):
                continue
            apart = lengths(other.images - one.images[0], metric)
            if one is other:
                apart = np.concatenate([apart[apart > SAME], _translations(metric)])
            else:
                apart = apart[apart > NEAR] if one.occupancy + other.occupancy <= FULL else apart[apart > SAME]
            if not len(apart):
                continue
            shortest = float(apart.min())
            pair = np.array([numbers[one.element]]), np.array([numbers[other.element]])
            least = float(least_distances(*pair, CONTACT_METALS, CONTACT, {})[0])
            if shortest < least and not _hydrogen(one, other, shortest) and one.occupancy + other.occupancy > FULL:
                what = "its own image" if one is other else other.label
                told = f"It is {shortest:.2f} angstrom from {what}; at least {least:.2f} is usual."
                mend = "An atom, an element, the cell or the space group is wrong."
                report("short-contact", "error" if shortest < 0.8 * least else "warning", one.line, one.label, told,
                       mend, distance=shortest, least=least)  # fmt: skip


CONTACT, CONTACT_METALS = 0.72, 0.62
"""Least distance as a share of the sum of covalent radii: between non-metals, and otherwise."""


def _hydrogen(one: Site, other: Site, apart: float) -> bool:
    """X-ray distances to hydrogen come out short: by 0.1 to 0.3 angstrom of 0.74 (H-H), 1 (C-H), 1.6 (metals)."""
    if "H" not in (one.element, other.element):
        return False
    partner = other.element if one.element == "H" else one.element
    return apart > (0.65 if partner in _FIRST_ROW else 1.0)


def _alternatives(one: Site, other: Site) -> bool:
    """Whether both belong to different disorder groups, of which one is there at a time."""
    return bool(one.group and other.group and one.group != other.group)


def _translations(metric: np.ndarray) -> np.ndarray:
    steps = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)])
    return np.sqrt(np.einsum("ni,ij,nj->n", steps, metric, steps))


def _shared(sites: list[Site], metric: np.ndarray, report: Report) -> set[tuple[int, int]]:
    """Sums of occupancies where several rows are one place; the pairs told of."""
    told_pairs: set[tuple[int, int]] = set()
    seen: set[int] = set()
    for i, one in enumerate(sites):
        if i in seen:
            continue
        members = [one]
        for j in range(i + 1, len(sites)):
            other = sites[j]
            if len(other.images) and float(lengths(other.images - one.images[0], metric).min()) <= SAME:
                members.append(other)
                seen.add(j)
        total = sum(site.occupancy for site in members)
        if len(members) < 2 or total <= FULL or any(site.occupancy > FULL for site in members):
            continue
        told_pairs |= {(id(a), id(b)) for a in members for b in members}
        names = " and ".join(site.label for site in members)
        if len({site.element for site in members}) == 1:
            told = f"{names} are the same place by symmetry."
            report("duplicate-site", "error", members[1].line, members[1].label, told, "Remove one.", occupancy=total)
        else:
            told = f"{names} share one place with occupancies that add up to {total:.3f}."
            mend = "They must add up to at most 1; or an atom is misplaced."
            report("overfull-site", "error", members[1].line, members[1].label, told, mend, occupancy=total)
    return told_pairs
