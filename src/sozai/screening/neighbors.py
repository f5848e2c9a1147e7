"""The neighbour graph of a crystal, each symmetry-equivalent part once.

CHGNet's features are invariants: atoms, bonds and messages that a symmetry operation brings onto each other carry
the same numbers. So only one atom of each orbit is given its neighbours, equivalent bonds share one set of
features, and equal messages are computed once and counted. Without symmetry nothing but the two directions of
an edge are equivalent, and the graph is the full one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ATOM_CUTOFF = 6.0  # angstrom: edges of the atom graph
BOND_CUTOFF = 3.0  # angstrom: edges that form angles
DENSEST = 2.0  # angstrom^3 an atom; diamond has 5.7, and the number of angles grows with the inverse square
MATCH = 5e-3  # angstrom: how well an operation must bring one edge onto another
SAMPLES = 3  # operations a site whose equivalences are used; a few elements generate the whole site symmetry


class GraphError(ValueError):
    """No graph can be made of a structure: isolated atoms, coinciding atoms, a collapsed cell."""


@dataclass
class Graph:
    """The neighbours of one crystal of n atoms, of which k are inequivalent.

    Attributes:
        atoms: atoms in the whole cell, n.
        numbers: atomic numbers of the inequivalent atoms, ``(k,)``.
        multiplicity: atoms in the orbit of each, ``(k,)``.
        vectors: of the directed edges, from neighbour to centre in angstrom, ``(e, 3)``.
        edge_center, edge_neighbor: atoms of the whole cell at their ends, ``(e,)``.
        first: one edge of each kind of bond, ``(u,)``.
        center, neighbor: inequivalent atoms of each message, ``(m,)``.
        bond: kind of bond that each message travels, ``(m,)``.
        count: equal messages that each stands for, ``(m,)``.
        left, right: the two edges of each angle, shorter than ``BOND_CUTOFF``, ``(a,)``.
        apex, left_bond, right_bond: its inequivalent atom and kinds of bond, ``(a,)``.
        weight: equal angles that each stands for, ``(a,)``.
    """

    atoms: int
    numbers: np.ndarray
    multiplicity: np.ndarray
    vectors: np.ndarray
    edge_center: np.ndarray
    edge_neighbor: np.ndarray
    first: np.ndarray
    center: np.ndarray
    neighbor: np.ndarray
    bond: np.ndarray
    count: np.ndarray
    left: np.ndarray
    right: np.ndarray
    apex: np.ndarray
    left_bond: np.ndarray
    right_bond: np.ndarray
    weight: np.ndarray


def build_graph(
    numbers: np.ndarray,
    lattice: np.ndarray,
    positions: np.ndarray,
    symmetry: tuple[np.ndarray, np.ndarray] | None = None,
) -> Graph:
    """Find all neighbours within 6 angstrom and all angles of bonds shorter than 3 angstrom.

    Args:
        numbers: atomic numbers, ``(n,)``.
        lattice: rows a, b, c in angstrom, ``(3, 3)``.
        positions: Cartesian, in angstrom, ``(n, 3)``; they may lie outside the cell.
        symmetry: Cartesian rotations ``(g, 3, 3)`` and the atom each brings each atom to, ``(g, n)``, of a
            crystal that has exactly this symmetry.

    Raises:
        GraphError: an atom has no neighbour, two atoms coincide, the cell is denser than ``DENSEST``, or an
            element is beyond plutonium.
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    n = len(numbers)
    if numbers.max() > 94:
        raise GraphError("CHGNet knows no element beyond plutonium (94)")
    volume = abs(np.linalg.det(lattice))
    if not np.isfinite(positions).all() or not np.isfinite(volume):
        raise GraphError("a position or the cell is not a number")
    if volume < DENSEST * n:
        raise GraphError(f"the cell is too dense: {volume / n:.2f} angstrom^3 an atom")
    positions = np.ascontiguousarray(positions, dtype=float)
    lattice = np.ascontiguousarray(lattice, dtype=float)
    if symmetry is None:
        kept, orbit = np.arange(n), np.arange(n)
    else:
        kept, orbit = np.unique(symmetry[1].min(axis=0), return_inverse=True)
    center, neighbor, image, distance = find_points_in_spheres(
        positions, positions[kept], r=ATOM_CUTOFF, pbc=np.ones(3, dtype=np.int64), lattice=lattice, tol=1e-8
    )
    center, image = kept[center], np.rint(image).astype(np.int64)
    order = np.flatnonzero((center != neighbor) | image.any(axis=1))
    order = order[np.argsort(center[order], kind="stable")]
    center, neighbor, image, distance = center[order], neighbor[order], image[order], distance[order]
    if len(center) and distance.min() < 0.05:
        raise GraphError(f"two atoms are {distance.min():.3f} angstrom apart")
    vectors = positions[center] - positions[neighbor] - image @ lattice

    if symmetry is None:
        equal = [_reverse_edges(n, center, neighbor, image)]
    else:
        equal = _equivalent_edges(center, neighbor, vectors, kept, *symmetry)
    whole = np.all([partner >= 0 for partner in equal], axis=0)
    if symmetry is not None and (distance[~whole] < ATOM_CUTOFF - 0.01).any():
        return build_graph(numbers, lattice, positions)  # the symmetry is not exact enough to be used
    while not whole.all():  # an edge at the cutoff, where its weight is zero, lost its partner by rounding
        place = np.where(whole, np.cumsum(whole) - 1, -1)
        equal = [place[partner[whole]] for partner in equal]
        center, neighbor, vectors, distance = center[whole], neighbor[whole], vectors[whole], distance[whole]
        whole = np.all([partner >= 0 for partner in equal], axis=0)
    lonely = len(kept) - len(np.unique(center))
    if lonely:
        raise GraphError(f"{lonely} atoms have no neighbour within {ATOM_CUTOFF:g} angstrom")
    kind, first = _classes(equal)
    second = equal[0][first]  # the other direction of the same bond

    message = np.stack([orbit[center], orbit[neighbor], kind], axis=1)
    message, count = np.unique(message, axis=0, return_counts=True)
    left, right = _angles(center, distance, n, np.concatenate([first, second]))
    return Graph(
        atoms=n,
        numbers=numbers[kept],
        multiplicity=np.bincount(orbit, minlength=len(kept)),
        vectors=vectors,
        edge_center=center,
        edge_neighbor=neighbor,
        first=first,
        center=message[:, 0],
        neighbor=message[:, 1],
        bond=message[:, 2],
        count=count,
        left=left,
        right=right,
        apex=orbit[center[left]],
        left_bond=kind[left],
        right_bond=kind[right],
        weight=np.where(first == second, 2, 1)[kind[left]],
    )


def _reverse_edges(n: int, center: np.ndarray, neighbor: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Index of each edge's opposite, -1 where it is missing."""
    if not len(center):
        return np.empty(0, dtype=np.int64)
    half = int(np.abs(image).max())
    span = 2 * half + 1

    def key(i: np.ndarray, j: np.ndarray, cell: np.ndarray) -> np.ndarray:
        a, b, c = (cell + half).T
        return (((i * n + j) * span + a) * span + b) * span + c

    forward, backward = key(center, neighbor, image), key(neighbor, center, -image)
    order = np.argsort(forward)
    found = order[np.minimum(np.searchsorted(forward, backward, sorter=order), len(order) - 1)]
    return np.where(forward[found] == backward, found, -1)


def _equivalent_edges(
    center: np.ndarray,
    neighbor: np.ndarray,
    vectors: np.ndarray,
    kept: np.ndarray,
    rotations: np.ndarray,
    permutations: np.ndarray,
) -> list[np.ndarray]:
    """Maps from edges to equivalent edges, -1 where there is none: first the opposite, then by site symmetry."""
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([center * 100.0, neighbor * 100.0, vectors]))
    home = permutations.argmin(axis=0)  # the operation that brings each atom to its orbit's first
    op = home[neighbor]
    queries = [(permutations[op, neighbor], permutations[op, center], rotations[op], -vectors)]
    samples = np.zeros((SAMPLES, permutations.shape[1]), dtype=np.int64)
    for atom in kept:
        stabilizer = np.flatnonzero(permutations[:, atom] == atom)
        samples[:, atom] = np.random.default_rng(0).choice(stabilizer, SAMPLES)
    for choice in samples:
        op = choice[center]
        queries.append((center, permutations[op, neighbor], rotations[op], vectors))
    found = []
    for target_center, target_neighbor, rotation, vector in queries:
        turned = np.einsum("eab,eb->ea", rotation, vector)
        points = np.column_stack([target_center * 100.0, target_neighbor * 100.0, turned])
        distance, index = tree.query(points, distance_upper_bound=MATCH)
        found.append(np.where(np.isfinite(distance), index, -1))
    return found


def _classes(equal: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Number the classes of edges that the maps connect: class of each edge, first edge of each class."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = len(equal[0])
    ends = np.concatenate(equal)
    starts = np.tile(np.arange(size), len(equal))
    links = coo_matrix((np.ones(len(ends), dtype=np.int8), (starts, ends)), shape=(size, size))
    kind = connected_components(links, directed=False)[1]
    return kind, np.unique(kind, return_index=True)[1]


def _angles(center: np.ndarray, distance: np.ndarray, n: int, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs of different short edges with the same centre, the left one among the wanted."""
    short = np.flatnonzero(distance < BOND_CUTOFF)
    counts = np.bincount(center[short], minlength=n)
    starts = np.cumsum(counts) - counts
    chosen = np.intersect1d(short, wanted)
    partners = counts[center[chosen]]
    left = np.repeat(chosen, partners)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(partners) - partners, partners)
    right = short[starts[center[left]] + offset]
    different = left != right
    return left[different], right[different]
