"""Random coordinates and cell for a gene, as in pyxtal (Fredericks et al., Comput. Phys. Commun. 2021, 261, 107810).

pyxtal draws the cell of the crystal system at the wanted volume, from its distribution of shapes. The points are
then drawn on the gene's Wyckoff positions (the tables are pyxtal's) until no two atoms are too close. That step is
done here on arrays, several points at once: pyxtal's own loop takes 0.1 to 5 seconds for a crowded gene, and this
a few milliseconds. All tries are counted, so a gene without room ends soon and a seed means the same crystal on
every machine. Import this module only when needed: it imports pyxtal.
"""

from __future__ import annotations

from time import monotonic

import numpy as np
from pyxtal.lattice import Lattice
from pyxtal.msg import VolumeError

from sozai.generators.chemistry_distance import covalent_radii
from sozai.generators.spacing import SOFT_LIMIT, spacing
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffSite, space_group

_CELLS = 20  # cell shapes tried at each volume
_TRIES = 6  # times the points are drawn anew in one cell
_POINTS = 12  # points drawn at once for one site
_GROWTH = (1.0, 1.15, 1.35)  # crowded cells get more room, as their shapes are not the best ones

Shape = tuple[float, float, float, float, float, float]


def random_start(
    gene: Gene,
    volume: float,
    rng: np.random.Generator,
    shape: Shape | None = None,
    starts: int = 1,
    deadline: float | None = None,
) -> WyckoffCrystal | None:
    """A crystal with the gene's sites and random free coordinates, or ``None`` when none was found in the tries.

    Args:
        gene: space group, elements and positions.
        volume: of the primitive cell (cubic angstrom); up to 1.35 times as much when the atoms find no room.
        rng: source of randomness; the same state gives the same crystal.
        shape: a, b, c and angles (degrees) of the conventional cell up to a factor, of the group's crystal
            system; random without it.
        starts: draw so many and keep the one whose shortest contact is longest.
        deadline: ``time.monotonic()`` after which no new try begins.
    """
    best: tuple[float, WyckoffCrystal] | None = None
    for _ in range(starts):
        for growth in _GROWTH:
            crystal = _one_start(gene, volume * growth, rng, shape, deadline)
            if crystal is None:
                continue
            space = spacing(crystal)
            if space.roomy and (best is None or space.ratio > best[0]):
                best = space.ratio, crystal
            break
    return best[1] if best else None


def _one_start(
    gene: Gene, volume: float, rng: np.random.Generator, shape: Shape | None, deadline: float | None
) -> WyckoffCrystal | None:
    for _ in range(_CELLS):
        if deadline is not None and monotonic() > deadline:
            return None
        lattice = _cell(gene.space_group, volume, shape, rng)
        if lattice is None:
            continue
        for _ in range(_TRIES):
            sites = _place(gene, lattice, rng)
            if sites is not None:
                return WyckoffCrystal(gene.space_group, sites, lattice)
            if gene.degrees_of_freedom == 0:
                break  # the same points again
    return None


def _cell(number: int, volume: float, shape: Shape | None, rng: np.random.Generator) -> Shape | None:
    """Parameters of a conventional cell with this primitive volume; ``None`` where pyxtal draws none."""
    group = space_group(number)
    if shape is None:
        # pyxtal calls both hexagonal and trigonal cells hexagonal.
        kind = "hexagonal" if group.crystal_system == "trigonal" else group.crystal_system
        try:
            drawn = Lattice(kind, volume * group.lattice_points, random_state=rng).get_para(degree=True)
        except (VolumeError, ValueError):
            return None
        a, b, c, alpha, beta, gamma = (float(value) for value in drawn)
        return a, b, c, alpha, beta, gamma
    now = abs(np.linalg.det(_rows(shape)))
    stretch = float((volume * group.lattice_points / now) ** (1 / 3))
    return shape[0] * stretch, shape[1] * stretch, shape[2] * stretch, *shape[3:]


def _place(gene: Gene, lattice: Shape, rng: np.random.Generator) -> tuple[WyckoffSite, ...] | None:
    """Sites with free coordinates that keep the atoms apart, or ``None`` when one site finds no room."""
    by_letter = space_group(gene.space_group).by_letter
    table = covalent_radii()
    rows = _rows(lattice)
    reach = SOFT_LIMIT * 2 * max(table[element] for element, _ in gene.sites)
    images = _images(rows, reach) @ rows
    # Sites without freedom first: where they clash, no point can help.
    shuffled = [gene.sites[k] for k in rng.permutation(len(gene.sites))]
    order = sorted(shuffled, key=lambda site: by_letter[site[1]].degrees_of_freedom)
    placed, radii = np.empty((0, 3)), np.empty(0)
    sites = []
    for element, letter in order:
        position = by_letter[letter]
        drawn = rng.random((_POINTS if position.free else 1, len(position.free)))
        points = np.zeros((len(drawn), 3))
        points[:, list(position.free)] = drawn
        orbits = np.einsum("mij,kj->kmi", position.rotations, points) + position.translations
        # The first atom of the orbit stands for all: to its own images, the rest of its orbit, the atoms placed.
        others = np.concatenate([orbits, np.broadcast_to(placed, (len(drawn), *placed.shape))], axis=1)
        gaps = (others - orbits[:, :1, :] + 0.5) % 1.0 - 0.5
        offsets = (gaps @ rows)[:, :, None, :] + images
        squares = np.einsum("kais,kais->kai", offsets, offsets)
        squares[:, 0, len(images) // 2] = np.inf  # the atom and itself
        own = table[element]
        limits = SOFT_LIMIT * (own + np.concatenate([np.full(position.multiplicity, own), radii]))
        free = (squares.min(axis=2) >= limits**2).all(axis=1)
        if not free.any():
            return None
        choice = int(np.argmax(free))
        sites.append(WyckoffSite(element, letter, tuple(drawn[choice].tolist())))
        placed = np.concatenate([placed, orbits[choice]])
        radii = np.concatenate([radii, np.full(position.multiplicity, own)])
    sites.sort(key=lambda site: (site.element, site.letter, site.parameters))
    return tuple(sites)


def _images(rows: np.ndarray, reach: float) -> np.ndarray:
    """Lattice translations (n, 3) within reach of two points less than half a cell apart; zero in the middle."""
    heights = 1 / np.linalg.norm(np.linalg.inv(rows), axis=0)
    spans = np.floor(reach / heights + 0.5).astype(int)
    axes = [np.arange(-span, span + 1) for span in spans]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _rows(lattice: Shape) -> np.ndarray:
    """Cell vectors (3, 3) of cell parameters (angstrom, degrees)."""
    a, b, c, *angles = lattice
    alpha, beta, gamma = np.cos(np.radians(angles))
    sine = np.sqrt(1 - gamma**2)
    x, y = beta, (alpha - beta * gamma) / sine
    z = np.sqrt(max(1 - x * x - y * y, 0.0))
    return np.array([[a, 0, 0], [b * gamma, b * sine, 0], [c * x, c * y, c * z]])
