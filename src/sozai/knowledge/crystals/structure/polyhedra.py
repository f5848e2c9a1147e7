"""Coordination polyhedra of a structure, and how they share their corners; periodic images are told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.contacts import Contacts
from sozai.knowledge.crystals.structure.rules import Polyhedron, Sharing, StructureRules
from sozai.knowledge.crystals.wish import SYMBOLS

if TYPE_CHECKING:
    from pymatgen.core import Structure

REACH = 5.0
"""Ligands are looked for up to here, angstrom (or farther where a rule says so)."""
LEAST_GAP = 1.12
"""The first ligand outside a shell is at least this many times as far as the last one inside."""
WIDEST_SHELL = 1.45
"""The last ligand of a shell is at most this many times as far as the first."""

Vertex = tuple[int, int, int, int]
"""Site index of a ligand and the lattice translation of the cell it is in."""
_HOW: dict[int, Sharing] = {1: "corner", 2: "edge"}


@dataclass(frozen=True)
class Around:
    """The ligands around one centre that a polyhedron rule asks about.

    Attributes:
        site: index of the centre.
        vertices: the ligands that count as bonded, nearest first.
        distances: theirs, angstrom.
        beyond: distance of the next ligand outside; infinite when there is none in reach.
        clear: without a range: whether the shell ends in a gap (``LEAST_GAP``).
    """

    site: int
    vertices: tuple[Vertex, ...]
    distances: tuple[float, ...]
    beyond: float
    clear: bool = True


def around(contacts: Contacts, rule: Polyhedron) -> list[Around]:
    """The ligands around each atom of the rule's centre.

    With a bond range, those inside it. Without one, the shell that ends in the widest relative gap among those no
    wider than ``WIDEST_SHELL``; where that gap is under ``LEAST_GAP`` the coordination is not clear.

    Args:
        contacts: all pairs of atoms up to at least ``reach(rules)``.
        rule: the polyhedron.
    """
    ligands = [SYMBOLS.index(symbol) + 1 for symbol in rule.ligands]
    chosen = np.isin(contacts.numbers[contacts.second], ligands)
    found = []
    for site in np.flatnonzero(contacts.numbers == SYMBOLS.index(rule.centre) + 1):
        rows = np.flatnonzero(chosen & (contacts.first == site))
        rows = rows[np.argsort(contacts.distances[rows], kind="stable")]
        lengths = contacts.distances[rows]
        if rule.high is not None:
            inside = (lengths >= (rule.low or 0.0) - 1e-6) & (lengths <= rule.high + 1e-6)
            outside = lengths[lengths > rule.high + 1e-6]
            found.append(_around(contacts, int(site), rows[inside], float(outside[0]) if len(outside) else np.inf))
        else:
            size, clear = _shell(lengths)
            beyond = float(lengths[size]) if size < len(lengths) else np.inf
            found.append(_around(contacts, int(site), rows[:size], beyond, clear))
    return found


def _shell(lengths: np.ndarray) -> tuple[int, bool]:
    """Size of the first shell of sorted distances, and whether it ends clearly."""
    if not len(lengths):
        return 0, True
    within = int((lengths <= WIDEST_SHELL * lengths[0]).sum())
    ends = np.append(lengths[1:], np.inf)[:within] / np.maximum(lengths[:within], 1e-9)
    if within == len(lengths):
        ends[-1] = REACH / max(float(lengths[-1]), 1e-9)  # nothing more in reach
    size = int(np.argmax(ends)) + 1
    return size, bool(ends[size - 1] >= LEAST_GAP)


def _around(contacts: Contacts, site: int, rows: np.ndarray, beyond: float, clear: bool = True) -> Around:
    images = contacts.images[rows].astype(int).tolist()
    vertices = tuple((int(j), *image) for j, image in zip(contacts.second[rows], images, strict=True))
    return Around(site, vertices, tuple(contacts.distances[rows].tolist()), beyond, clear)


def bond_vectors(structure: Structure, one: Around) -> np.ndarray:
    """Vectors from the centre to its ligands, ``(n, 3)``, angstrom.

    The translations of the vertices are those of ``contacts``: of atoms wrapped into the cell, and for a very skewed
    cell of the same lattice in shorter vectors. Which of the two it was is told by the distances.
    """
    sites = [one.site, *(j for j, *_ in one.vertices)]
    fractional = np.asarray(structure.frac_coords, dtype=float)
    shorter = np.array(structure.lattice.get_lll_reduced_lattice().matrix)
    inverse = structure.lattice.matrix @ np.linalg.inv(shorter)
    images = np.array([(0, 0, 0), *(image for _, *image in one.vertices)])
    best, off = np.zeros((len(one.vertices), 3)), np.inf
    for matrix, places in ((structure.lattice.matrix, fractional), (shorter, fractional @ inverse)):
        points = (places[sites] % 1.0 + images) @ matrix
        vectors = points[1:] - points[0]
        worst = float(np.abs(np.linalg.norm(vectors, axis=1) - one.distances).max(initial=0.0))
        if worst < off:
            best, off = vectors, worst
    return best


def reach(rules: StructureRules) -> float:
    """How far one must look to judge the rules, angstrom."""
    ranges = [polyhedron.high or 0.0 for polyhedron in rules.polyhedra]
    far = [high for _, high in rules.distances.values() if np.isfinite(high)]
    near = [low for low, _ in rules.distances.values()]
    return max(REACH, *(value + 1.0 for value in [0.0, *ranges, *far, *near]))


def default_polyhedron(centre: str, rules: StructureRules, elements: Sequence[str]) -> Polyhedron | None:
    """A rule for a centre that has none: its ligands are the anions; ``None`` where there are none.

    The coordination of the answer means nothing (0).
    """
    anions = [e for e in elements if rules.oxidation.get(e, 0) < 0]
    anions = anions or sorted({ligand for rule in rules.polyhedra for ligand in rule.ligands} & set(elements))
    anions = [anion for anion in anions if anion != centre]
    return Polyhedron(centre, tuple(anions), 0) if anions else None


def shared(first: Sequence[Around], second: Sequence[Around]) -> dict[int, Counter[Sharing]]:
    """How many polyhedra of ``second`` each of ``first`` shares a corner, an edge or a face with.

    Args:
        first, second: polyhedra in the home cell; images of ``second`` are made as needed, and a polyhedron is not
            its own neighbour, though its images are.

    Returns:
        by site index of ``first``: numbers by way of sharing.
    """
    owners: dict[int, list[tuple[int, np.ndarray]]] = {}
    for other in second:
        for ligand, *image in other.vertices:
            owners.setdefault(ligand, []).append((other.site, np.array(image)))
    ways: dict[int, Counter[Sharing]] = {}
    for one in first:
        common: Counter[tuple[int, int, int, int]] = Counter()
        for ligand, *image in one.vertices:
            for site, seen_at in owners.get(ligand, ()):
                shift = np.array(image) - seen_at  # of the second polyhedron, so that the ligand is the same atom
                common[site, int(shift[0]), int(shift[1]), int(shift[2])] += 1
        common.pop((one.site, 0, 0, 0), None)
        ways[one.site] = Counter(_HOW.get(number, "face") for number in common.values())
    return ways


def site_name(structure: Structure, index: int) -> str:
    """A site for a message, e.g. ``"Zr3 (0.000 0.000 0.146)"``."""
    site = structure[index]
    symbol = site.specie.symbol if site.is_ordered else site.species_string
    label = site.label if getattr(site, "label", None) and site.label != symbol else f"{symbol}{index + 1}"
    return f"{label} ({' '.join(f'{round(value, 3) % 1.0:.3f}' for value in site.frac_coords)})"


def listed(items: Mapping[str, str], most: int = 3) -> str:
    """``site: what`` of the first few, and how many more."""
    shown = [f"{site}: {what}" for site, what in list(items.items())[:most]]
    return "; ".join(shown) + (f"; and {len(items) - most} more" if len(items) > most else "")
