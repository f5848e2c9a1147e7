"""Shapes of coordination polyhedra: their names, how far a real one is from them, and which is usual where.

How far is the continuous shape measure of Pinsky and Avnir, Inorg. Chem. 1998, 37, 5575 (doi:10.1021/ic9804925): 0 for
the ideal shape, 100 at most; the central atom counts. 16.7 lies between octahedron and trigonal prism, 33.3 between
tetrahedron and square.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, permutations

import numpy as np

CLOSE = 5.0
"""Greatest deviation from a shape that still is one: half way from an octahedron to a trigonal prism it is 4.4."""
CLEARER = 1.0
"""A shape is another one where that deviates less by more than this."""


@dataclass(frozen=True)
class Shape:
    """An ideal coordination polyhedron.

    Attributes:
        name: as rules write it.
        vertices: directions from the centre to the ligands, unit vectors.
        rotations: the types of its rotations as the International Tables write them (-1 inversion, -2 mirror).
        words: what else it is called, plural first.
    """

    name: str
    vertices: tuple[tuple[float, float, float], ...]
    rotations: frozenset[int]
    words: tuple[str, ...] = ()

    @property
    def coordination(self) -> int:
        """Number of ligands."""
        return len(self.vertices)

    @cached_property
    def points(self) -> np.ndarray:
        """Vertices as an array ``(n, 3)``."""
        return np.array(self.vertices)

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """Ligand-ligand distances over the bond, shortest first."""
        return tuple(sorted(float(np.linalg.norm(a - b)) for a, b in combinations(self.points, 2)))


def _ring(count: int, height: float = 0.0, turn: float = 0.0) -> list[tuple[float, float, float]]:
    """Corners of a regular polygon at a height on the unit sphere; ``turn`` in steps from corner to corner."""
    radius = (1 - height**2) ** 0.5
    angles = 2 * np.pi * (np.arange(count) + turn) / count
    return [(float(radius * np.cos(angle)), float(radius * np.sin(angle)), height) for angle in angles]


_TOP, _BOTTOM = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)
_CUBE = 3**-0.5
_PRISM = (3 / 7) ** 0.5  # height over a trigonal prism's middle where all its edges are alike
_ANTI = 0.5095  # of a square antiprism with edges alike
_PYRAMID = -0.19  # the base of a square pyramid lies below the centre: 101 degrees to the apex
_D3H = frozenset({1, 2, 3, -2, -6})
_OH = frozenset({1, 2, 3, 4, -1, -2, -3, -4})


def _golden() -> list[tuple[float, float, float]]:
    golden = (1 + 5**0.5) / 2
    size = (1 + golden**2) ** 0.5
    corners = [(0.0, one, other * golden) for one in (-1, 1) for other in (-1, 1)]
    return [tuple(np.roll(corner, turn) / size) for turn in range(3) for corner in corners]  # type: ignore[misc]


def _dodecahedron() -> list[tuple[float, float, float]]:
    angles = np.radians([36.9, 69.5])  # Hoard and Silverton, Inorg. Chem. 1963, 2, 235: hard spheres
    inner = [(s * float(np.sin(angles[0])), 0.0, float(np.cos(angles[0]))) for s in (-1, 1)]
    outer = [(0.0, s * float(np.sin(angles[1])), float(np.cos(angles[1]))) for s in (-1, 1)]
    return [corner for x, y, z in inner + outer for corner in ((x, y, z), (y, x, -z))]


def _cuboctahedron() -> list[tuple[float, float, float]]:
    half = 0.5**0.5
    corners = [(0.0, one * half, other * half) for one in (-1, 1) for other in (-1, 1)]
    return [tuple(np.roll(corner, turn)) for turn in range(3) for corner in corners]  # type: ignore[misc]


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("linear", (_TOP, _BOTTOM), _OH | {6, -6}, ("linear", "linearly")),
        Shape("bent", tuple(_ring(9)[:4:3]), frozenset({1, 2, -2}), ("bent",)),
        Shape("trigonal planar", tuple(_ring(3)), _D3H, ("triangles", "triangle", "triangular", "planar trigonal")),
        Shape("trigonal pyramid", tuple(_ring(3, -0.45)), frozenset({1, 3, -2}),
              ("trigonal pyramids", "trigonal pyramidal")),
        Shape("tetrahedron", tuple((s * _CUBE, t * _CUBE, s * t * _CUBE) for s in (-1, 1) for t in (-1, 1)),
              frozenset({1, 2, 3, -2, -4}), ("tetrahedra", "tetrahedral", "tetrahedrally")),
        Shape("square planar", tuple(_ring(4)), frozenset({1, 2, 4, -1, -2, -4}),
              ("squares", "square", "square plane", "square planes", "square-planar", "planar square")),
        Shape("square pyramid", (_TOP, *_ring(4, _PYRAMID)), frozenset({1, 2, 4, -2}),
              ("square pyramids", "square pyramidal", "square-pyramidal")),
        Shape("trigonal bipyramid", (_TOP, _BOTTOM, *_ring(3)), _D3H,
              ("trigonal bipyramids", "trigonal bipyramidal", "trigonal-bipyramidal")),
        Shape("octahedron", (_TOP, _BOTTOM, *_ring(4)), _OH, ("octahedra", "octahedral", "octahedrally")),
        Shape("trigonal prism", (*_ring(3, _PRISM), *_ring(3, -_PRISM)), _D3H,
              ("trigonal prisms", "trigonal prismatic", "trigonal-prismatic", "prismatic", "prisms")),
        Shape("pentagonal bipyramid", (_TOP, _BOTTOM, *_ring(5)), frozenset({1, 2, -2}),
              ("pentagonal bipyramids", "pentagonal bipyramidal")),
        Shape("cube", tuple((s * _CUBE, t * _CUBE, u * _CUBE) for s in (-1, 1) for t in (-1, 1) for u in (-1, 1)),
              _OH, ("cubes", "cubic")),
        Shape("square antiprism", (*_ring(4, _ANTI), *_ring(4, -_ANTI, 0.5)), frozenset({1, 2, 4, -2}),
              ("square antiprisms", "square antiprismatic")),
        Shape("dodecahedron", tuple(_dodecahedron()), frozenset({1, 2, -2, -4}),
              ("dodecahedra", "dodecahedral", "triangular dodecahedra", "bisdisphenoids", "bisdisphenoid")),
        Shape("tricapped trigonal prism", (*_ring(3, 2**0.5 / 2), *_ring(3, -(2**0.5) / 2), *_ring(3, 0.0, 0.5)), _D3H,
              ("tricapped trigonal prisms", "tricapped trigonal prismatic")),
        Shape("cuboctahedron", tuple(_cuboctahedron()), _OH, ("cuboctahedra", "cuboctahedral")),
        Shape("anticuboctahedron", (*_ring(6), *_ring(3, (2 / 3) ** 0.5, 0.25), *_ring(3, -((2 / 3) ** 0.5), 0.25)),
              _D3H, ("anticuboctahedra", "anticuboctahedral")),
        Shape("icosahedron", tuple(_golden()), frozenset({1, 2, 3, -1, -2, -3}), ("icosahedra", "icosahedral")),
    )
}  # fmt: skip
"""By name."""
NAMES = "|".join(
    re.escape(word).replace(r"\ ", r"[\s-]+")
    for word in sorted({w for shape in SHAPES.values() for w in (shape.name, *shape.words)}, key=len, reverse=True)
)
"""A pattern of every name of a shape, noun or adjective, the longest first."""


@cache
def _by_word() -> dict[str, Shape]:
    return {word: shape for shape in SHAPES.values() for word in (shape.name, *shape.words)}


def shape_named(words: str) -> Shape | None:
    """The shape of a name, in singular or plural, noun or adjective; ``None`` when there is none."""
    return _by_word().get(" ".join(words.lower().split()))


def shapes_of(coordination: int) -> list[Shape]:
    """The shapes with so many ligands, the usual one first."""
    return sorted(
        (shape for shape in SHAPES.values() if shape.coordination == coordination),
        key=lambda shape: shape.name != _USUAL.get(coordination),
    )


def deviation(ligands: Sequence[Sequence[float]] | np.ndarray, shape: Shape) -> float:
    """Continuous shape measure, 0 to 100, of ligands around a centre at the origin.

    Args:
        ligands: ``(n, 3)``, angstrom; as many as the shape has.
        shape: the ideal; its size, orientation and which ligand is which corner are fitted.

    Raises:
        ValueError: another number of ligands.
    """
    real = np.asarray(ligands, dtype=float)
    if real.shape != (shape.coordination, 3):
        raise ValueError(f"{shape.name} has {shape.coordination} ligands, not {len(real)}")
    ideal = shape.points
    middles = real.sum(axis=0) / (len(real) + 1), ideal.sum(axis=0) / (len(ideal) + 1)  # the centre is at 0
    sizes = [
        float(np.sum((one - middle) ** 2) + middle @ middle) for one, middle in zip((real, ideal), middles, strict=True)
    ]
    if sizes[0] < 1e-9:  # all on one spot
        return 100.0
    offset = (len(real) + 1) * np.outer(*middles)
    best = 0.0
    for orders in _orders(real, ideal):
        # Over rotations and reflections the largest overlap is the sum of singular values; no shape here is chiral.
        overlaps = np.einsum("na,kno->kao", real, ideal[orders]) - offset
        best = max(best, float(np.linalg.svd(overlaps, compute_uv=False).sum(axis=1).max()))
    return 100.0 * max(0.0, 1.0 - best**2 / (sizes[0] * sizes[1]))


_EXACT = 6  # corners up to which every order is tried


def _orders(real: np.ndarray, ideal: np.ndarray) -> list[np.ndarray]:
    """Which corner each ligand may be: every order, or of many corners those that a rotation brings near."""
    if len(real) <= _EXACT:
        return [_permutations(len(real))]
    from scipy.optimize import linear_sum_assignment

    bonds = real / np.maximum(np.linalg.norm(real, axis=1), 1e-9)[:, None]
    second = int(np.argmin(np.abs(bonds @ bonds[0])))
    if np.linalg.norm(np.cross(bonds[0], bonds[second])) < 1e-6:  # all on one line: any order is as good
        return [np.arange(len(real))[None]]
    frame = _frame(bonds[0], bonds[second])
    found = set()
    for one, other in permutations(range(len(ideal)), 2):
        if abs(ideal[one] @ ideal[other]) > 0.95:
            continue
        turn = frame.T @ _frame(ideal[one], ideal[other])  # an ideal corner v lies at turn @ v
        order: tuple[int, ...] = ()
        for _ in range(4):
            after = tuple(map(int, linear_sum_assignment(-(bonds @ turn @ ideal.T))[1]))
            if after == order:
                break
            order = after
            left, _, right = np.linalg.svd(bonds.T @ ideal[list(order)])
            turn = left @ right
        found.add(order)
    return [np.array(sorted(found))]


@cache
def _permutations(count: int) -> np.ndarray:
    return np.array(list(permutations(range(count))))


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Three unit vectors as rows: along the first, towards the second, and across."""
    across = np.cross(first, second)
    across /= np.linalg.norm(across)
    return np.array([first, np.cross(across, first), across])


_USUAL = {2: "linear", 3: "trigonal planar", 4: "tetrahedron", 6: "octahedron"}
_SQUARE = {("Pd", 2), ("Pt", 2), ("Au", 3), ("Ag", 3), ("Cu", 2), ("Cu", 3), ("Ag", 2), ("Rh", 1), ("Ir", 1)}
_PRISMS = {("Mo", 4), ("W", 4), ("Nb", 4), ("Ta", 4), ("Nb", 3), ("Ta", 3)}
_SOFT = frozenset(["S", "Se", "Te"])
_LONE_PAIR = {("P", 3), ("As", 3), ("Sb", 3), ("Bi", 3), ("S", 4), ("Se", 4), ("Te", 4), ("Cl", 5), ("Br", 5), ("I", 5),
              ("Ge", 2), ("Sn", 2), ("Pb", 2)}  # fmt: skip


def usual_shape(centre: str, charge: float, coordination: int, ligands: Sequence[str]) -> Shape | None:
    """The shape to presume where none is stated; ``None`` where there is no usual one.

    Squares for d8 ions of the second and third row and for Cu2+, trigonal prisms for d1 and d2 ions of the second and
    third row in sulfides, selenides and tellurides, pyramids for three ligands and a lone pair; else linear, trigonal
    planar, tetrahedron, octahedron (Wells, Structural Inorganic Chemistry, 5th edition, 1984).
    """
    ion = (centre, round(charge))
    if ion in _LONE_PAIR and coordination in (3, 4, 5):
        return SHAPES["trigonal pyramid"] if coordination == 3 else None
    if coordination == 4 and ion in _SQUARE:
        return SHAPES["square planar"]
    if coordination == 6 and ion in _PRISMS and _SOFT.issuperset(ligands):
        return SHAPES["trigonal prism"]
    return SHAPES.get(_USUAL.get(coordination, ""))
