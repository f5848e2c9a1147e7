"""Which atoms are near which: computed once for a structure and shared by the rules about distances and bonds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.elements import HEAVIEST, element_table
from sozai.knowledge.crystals.wish import SYMBOLS

if TYPE_CHECKING:
    from pymatgen.core import Structure

BOND_FACTOR = 1.25
"""Two atoms count as bonded up to this multiple of the sum of their covalent radii."""

_LEAST_CUTOFF = 4.0
# Limits on time and memory; a real crystal comes nowhere near them, one with a collapsed cell would.
_MOST_PAIRS = 2_000_000
_MOST_IMAGES = 4_000


@cache
def covalent_radii() -> np.ndarray:
    """Covalent radius (angstrom) by atomic number, shape (104,); NaN where there is none."""
    radii = np.full(HEAVIEST + 1, np.nan)
    for number, symbol in enumerate(SYMBOLS, start=1):
        radius = element_table()[symbol].covalent_radius
        radii[number] = np.nan if radius is None else radius
    return radii


@dataclass(frozen=True)
class Contacts:
    """All pairs of atoms up to ``cutoff``, each in both directions.

    Attributes:
        numbers: atomic number of each site, shape (n,).
        first, second: site indices of each pair, shape (m,).
        images: lattice translation of the second site, shape (m, 3).
        distances: angstrom, shape (m,).
        cutoff: angstrom; less than asked for when the atoms lie so densely that the pairs would not fit in memory.
        complete: whether the cutoff is the one asked for.
    """

    numbers: np.ndarray
    first: np.ndarray
    second: np.ndarray
    images: np.ndarray
    distances: np.ndarray
    cutoff: float
    complete: bool

    def bonded(self, factor: float = BOND_FACTOR) -> np.ndarray:
        """Mask over the pairs, shape (m,): distance up to ``factor`` times the sum of the covalent radii."""
        radii = covalent_radii()[self.numbers]
        return self.distances <= factor * (radii[self.first] + radii[self.second])


def find_contacts(structure: Structure, numbers: list[int], at_least: float = 0.0) -> Contacts:
    """Pairs of atoms within a cutoff, periodic images included.

    Args:
        structure: an ordered structure.
        numbers: atomic number of each site.
        at_least: least cutoff (angstrom); the cutoff is also enough for every bond between the elements present.
    """
    from pymatgen.core import Lattice
    from pymatgen.optimization.neighbors import find_points_in_spheres

    species = np.asarray(numbers)
    radii = covalent_radii()[np.unique(species)]
    wanted = max(BOND_FACTOR * 2 * float(np.nanmax([*radii, 0.0])), _LEAST_CUTOFF, at_least)
    matrix = np.array(structure.lattice.matrix, dtype=float)
    fractional = np.asarray(structure.frac_coords, dtype=float)
    if _images(matrix, wanted) > _MOST_IMAGES:
        # A very skewed cell has needlessly many images in reach: describe the same lattice by shorter vectors.
        matrix = np.array(Lattice(matrix).get_lll_reduced_lattice().matrix, dtype=float)
        fractional = structure.lattice.get_cartesian_coords(fractional) @ np.linalg.inv(matrix)
    reach = wanted
    while reach > 0.1 and (_images(matrix, reach) > _MOST_IMAGES or _pairs(matrix, len(species), reach) > _MOST_PAIRS):
        reach *= 0.7
    fractional = np.ascontiguousarray(fractional % 1.0)
    points = np.ascontiguousarray(fractional @ matrix)
    first, second, images, distances = find_points_in_spheres(
        points, points, r=reach, pbc=np.ones(3, dtype=np.int64), lattice=np.ascontiguousarray(matrix), tol=1e-8
    )
    # A site is its own neighbour in the same cell; two sites on one spot are a real contact of length zero.
    others = ~((first == second) & (images == 0).all(axis=1))
    return Contacts(species, first[others], second[others], images[others], distances[others], reach, reach == wanted)


def _images(matrix: np.ndarray, cutoff: float) -> float:
    """Cells within reach of the cutoff."""
    heights = 1 / np.maximum(np.linalg.norm(np.linalg.inv(matrix), axis=0), 1e-12)
    return float(np.prod(2 * np.ceil(cutoff / heights) + 1))


def _pairs(matrix: np.ndarray, atoms: int, cutoff: float) -> float:
    """Pairs to expect within the cutoff, for evenly spread atoms."""
    return atoms**2 * 4.19 * cutoff**3 / max(abs(float(np.linalg.det(matrix))), 1e-12)


def component_dimensions(contacts: Contacts, bonds: np.ndarray) -> list[int]:
    """Periodic dimension (0 molecule, 1 chain, 2 layer, 3 framework) of each bonded component.

    A walk over the bonds gives every atom of a component a lattice translation; bonds that lead back to a visited
    atom under another translation show a direction in which the component goes on for ever. The dimension is the
    rank of those directions (Larsen et al., Phys. Rev. Materials 3, 034003, 2019).

    Args:
        contacts: all pairs.
        bonds: mask over the pairs, shape (m,).
    """
    atoms = len(contacts.numbers)
    neighbours: list[list[tuple[int, tuple[int, int, int]]]] = [[] for _ in range(atoms)]
    images = contacts.images[bonds].astype(int)
    for start, end, image in zip(
        contacts.first[bonds].tolist(), contacts.second[bonds].tolist(), images.tolist(), strict=True
    ):
        neighbours[start].append((end, tuple(image)))
    translation: list[tuple[int, int, int] | None] = [None] * atoms
    dimensions = []
    for seed in range(atoms):
        if translation[seed] is not None:
            continue
        translation[seed] = (0, 0, 0)
        stack, loops = [seed], set()
        while stack:
            here = stack.pop()
            x, y, z = translation[here]  # type: ignore[misc]
            for there, (i, j, k) in neighbours[here]:
                arrived = (x + i, y + j, z + k)
                known = translation[there]
                if known is None:
                    translation[there] = arrived
                    stack.append(there)
                elif known != arrived:
                    loops.add((arrived[0] - known[0], arrived[1] - known[1], arrived[2] - known[2]))
        dimensions.append(int(np.linalg.matrix_rank(np.array(list(loops)))) if loops else 0)
    return dimensions
