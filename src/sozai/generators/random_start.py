"""Random coordinates and cell for a gene, by pyxtal (Fredericks et al., Comput. Phys. Commun. 2021, 261, 107810).

pyxtal draws a cell of the crystal system and a point on every Wyckoff position, and starts over when atoms come
too close. On crowded genes it can try for minutes, so the tries are counted here and the clock is looked at
between them. Import this module only when needed: it imports pyxtal.
"""

from __future__ import annotations

from functools import lru_cache
from time import monotonic

import numpy as np
from pyxtal.crystal import random_crystal
from pyxtal.lattice import Lattice
from pyxtal.msg import Comp_CompatibilityError, VolumeError
from pyxtal.symmetry import Group
from pyxtal.tolerance import Tol_matrix

from sozai.generators.chemistry_distance import covalent_radii
from sozai.generators.spacing import SOFT_LIMIT, spacing
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffSite, space_group

_CELLS, _TRIES = 6, 10
_GROWTH = (1.0, 1.15, 1.35)  # crowded cells get more room, as their shapes are not the best ones


def random_start(
    gene: Gene,
    volume: float,
    rng: np.random.Generator,
    shape: tuple[float, float, float, float, float, float] | None = None,
    starts: int = 1,
    deadline: float | None = None,
) -> WyckoffCrystal | None:
    """A crystal with the gene's sites and random free coordinates, or ``None`` when none was found in the tries.

    Args:
        gene: space group, elements and positions.
        volume: of the primitive cell (cubic angstrom).
        rng: source of randomness; the same state gives the same crystal.
        shape: a, b, c and angles (degrees) of the conventional cell up to a factor, of the group's crystal
            system; random without it.
        starts: draw so many and keep the one whose shortest contact is longest.
        deadline: ``time.monotonic()`` after which no new try begins.
    """
    group = space_group(gene.space_group)
    species = sorted(gene.counts)
    letters = [[letter for element, letter in gene.sites if element == name] for name in species]
    sites = [[f"{group.by_letter[letter].multiplicity}{letter}" for letter in row] for row in letters]
    counts = [gene.counts[name] * group.lattice_points for name in species]
    best: tuple[float, WyckoffCrystal] | None = None
    for _ in range(starts):
        for growth in _GROWTH:
            try:
                cell = _cell(gene.space_group, volume * growth * group.lattice_points, shape, rng)
                attempt = _Attempt(gene.space_group, species, counts, sites, cell, rng, deadline)
            except (Comp_CompatibilityError, VolumeError, ValueError, RuntimeError):
                continue  # no such cell or composition in pyxtal's view
            if not attempt.valid:
                continue
            crystal = _to_wyckoff(gene.space_group, attempt)
            space = spacing(crystal)
            if space.possible and (best is None or space.ratio > best[0]):
                best = space.ratio, crystal
            break
    return best[1] if best else None


class _Attempt(random_crystal):
    """pyxtal's random crystal with counted tries and a look at the clock."""

    def __init__(
        self,
        number: int,
        species: list[str],
        counts: list[int],
        sites: list[list[str]],
        cell: Lattice,
        rng: np.random.Generator,
        deadline: float | None,
    ) -> None:
        self._deadline = deadline
        super().__init__(
            dim=3,
            group=_group(number),
            species=species,
            numIons=counts,
            sites=sites,
            lattice=cell,
            tm=_Tolerances(),
            random_state=rng,
        )

    def set_elemental_volumes(self) -> None:
        """Nothing: the cell comes with its volume (pyxtal has no radii for the heaviest elements)."""

    def set_crystal(self) -> None:
        """Try some points in some cells."""
        self.numattempts = 0
        self.set_lattice(self.lattice0)
        for _ in range(_CELLS):
            for _ in range(_TRIES):
                if self._deadline is not None and monotonic() > self._deadline:
                    return
                placed = self._set_coords()
                if placed:
                    self.atom_sites = placed
                    return
            self.lattice.reset_matrix()


@lru_cache(maxsize=64)
def _group(number: int) -> Group:
    return Group(number)


class _Tolerances(Tol_matrix):
    """Shortest distance allowed between two elements: the share of the bond length that ``spacing`` asks for."""

    def __init__(self) -> None:
        self.prototype = "atomic"
        self.radii = covalent_radii()

    def get_tol(self, specie1: str, specie2: str) -> float:
        """In angstrom, for two element symbols."""
        return SOFT_LIMIT * (self.radii[specie1] + self.radii[specie2])


def _cell(number: int, volume: float, shape: tuple | None, rng: np.random.Generator) -> Lattice:
    kind = _group(number).lattice_type
    if shape is None:
        return Lattice(kind, volume, random_state=rng)
    a, b, c, *angles = shape
    stretch = (volume / Lattice.from_para(a, b, c, *angles, ltype=kind, random_state=rng).volume) ** (1 / 3)
    return Lattice.from_para(a * stretch, b * stretch, c * stretch, *angles, ltype=kind, random_state=rng)


def _to_wyckoff(number: int, attempt: random_crystal) -> WyckoffCrystal:
    by_letter = space_group(number).by_letter
    sites = []
    for site in attempt.atom_sites:
        letter = site.wp.letter
        parameters, _ = by_letter[letter].parameters_of(np.asarray(site.coords, dtype=float) % 1.0)
        sites.append(WyckoffSite(str(site.specie), letter, parameters))
    sites.sort(key=lambda site: (site.element, site.letter, site.parameters))
    lattice = tuple(float(value) for value in attempt.lattice.get_para(degree=True))
    return WyckoffCrystal(number, tuple(sites), lattice)  # type: ignore[arg-type]
