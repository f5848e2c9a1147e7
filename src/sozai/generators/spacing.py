"""How close the atoms of a crystal in the Wyckoff form come to one another, in well under a millisecond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sozai.generators.chemistry_distance import covalent_radii
from sozai.materials.wyckoff import WyckoffCrystal, space_group

HARD_LIMIT = 0.5
"""Angstrom: atoms nearer than this are one atom written twice, or a wreck."""

SOFT_LIMIT = 0.6
"""Share of the sum of two covalent radii below which a contact is too short to start from."""


@dataclass(frozen=True)
class Spacing:
    """The shortest contacts of a crystal.

    Attributes:
        distance: shortest distance between two atoms (angstrom).
        ratio: least distance over the sum of the two covalent radii; both are ``inf`` when no two atoms come
            within 1.5 sums of radii.
    """

    distance: float
    ratio: float

    @property
    def possible(self) -> bool:
        """Whether no two atoms sit on top of one another."""
        return self.distance >= HARD_LIMIT

    @property
    def roomy(self) -> bool:
        """Whether every contact is long enough to start from."""
        return self.possible and self.ratio >= SOFT_LIMIT


def spacing(crystal: WyckoffCrystal) -> Spacing:
    """Shortest contacts, periodic images included.

    All atoms of an orbit have the same surroundings, so only one atom a site is compared with all others.
    """
    rows, elements, points = crystal.arrays(primitive=True)
    group = space_group(crystal.space_group)
    table = covalent_radii()
    radii = np.array([table[element] for element in elements])
    sizes = [group.multiplicity(site.letter) for site in crystal.sites]
    firsts = np.cumsum([0, *sizes[:-1]])
    reach = 1.5 * 2 * float(radii.max())
    heights = 1 / np.linalg.norm(np.linalg.inv(rows), axis=0)
    spans = np.minimum(np.floor(reach / heights + 0.5), 6).astype(int)
    axes = [np.arange(-span, span + 1) for span in spans]
    images = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    gaps = (points[None, :, :] - points[firsts][:, None, :] + 0.5) % 1.0 - 0.5
    offsets = (gaps @ rows)[:, :, None, :] + (images @ rows)[None, None, :, :]
    squares = np.einsum("abij,abij->abi", offsets, offsets)
    squares[np.arange(len(firsts)), firsts, len(images) // 2] = np.inf  # an atom and itself
    nearest = np.sqrt(squares.min(axis=2))
    ratios = nearest / (radii[firsts][:, None] + radii[None, :])
    within = ratios < 1.5
    if not within.any():
        return Spacing(float("inf"), float("inf"))
    return Spacing(float(nearest[within].min()), float(ratios.min()))
