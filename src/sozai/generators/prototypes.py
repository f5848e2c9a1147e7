"""The library of known materials as prototypes: how many atoms each of their elements has, to be matched to a wish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np

from sozai.generators.chemistry_distance import NUMBER
from sozai.generators.element_swaps import swap_probabilities
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.materials.known import KnownMaterials
from sozai.materials.wyckoff import Gene

_UNKNOWN_HULL = 0.05  # eV/atom: what a prototype without a known energy above hull is taken to have
_HULL_SCALE = 0.05  # eV/atom by which a prototype's weight falls to 1/e
MOST_ELEMENTS = 7
"""Prototypes with more elements are left out: there are few, and their orders are many."""


@dataclass(frozen=True)
class Prototypes:
    """All prototypes with the same number of elements, ``k``.

    Attributes:
        rows: in the library, shape (n,).
        numbers: atomic number of each element, shape (n, k).
        counts: atoms of each element in the primitive cell, shape (n, k).
        groups: space groups, shape (n,).
        log_weight: preference for stable prototypes, shape (n,).
    """

    rows: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray
    groups: np.ndarray
    log_weight: np.ndarray

    @cached_property
    def atoms(self) -> np.ndarray:
        """Atoms in the primitive cell, shape (n,)."""
        return self.counts.sum(axis=1)

    def of_size(self, wish: CrystalWish) -> np.ndarray:
        """Mask: as many atoms as the wish allows."""
        return (self.atoms >= wish.min_atoms) & (self.atoms <= wish.max_atoms)

    def of_group(self, wish: CrystalWish) -> np.ndarray:
        """Mask: a space group that the wish allows."""
        return np.isin(self.groups, wish.space_groups) if wish.space_groups else np.ones(len(self.rows), bool)

    def orders(self, wish: CrystalWish, elements: Sequence[str]) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """Ways to put some elements on the prototypes' elements.

        Args:
            wish: gives the formula and the least shares.
            elements: at most ``k`` symbols.

        Returns:
            for each way the places (one an element) and the mask of the prototypes that it suits.
        """
        ways = []
        unit = sum(wish.formula.values()) if wish.formula else 0
        for places in permutations(range(self.counts.shape[1]), len(elements)):
            mask = np.ones(len(self.rows), bool)
            for element, place in zip(elements, places, strict=True):
                if wish.formula:
                    mask &= self.counts[:, place] * unit == wish.formula[element] * self.atoms
                if element in wish.at_least:
                    mask &= self.counts[:, place] / self.atoms >= wish.at_least[element] - 1e-9
            if mask.any():
                ways.append((places, mask))
        return ways


class PrototypeLibrary:
    """Prototypes by number of elements, and how readily elements replace one another among them.

    Args:
        known: the library of known materials.
    """

    def __init__(self, known: KnownMaterials):
        self.known = known
        genes = [known.gene(row) for row in range(len(known))]
        self.swaps = swap_probabilities(genes)
        """Probabilities by pairs of atomic numbers, see ``swap_probabilities``."""
        self.log_swaps = np.log(np.maximum(self.swaps, 1e-12))
        self.by_size = {k: self._collect(genes, k) for k in range(1, MOST_ELEMENTS + 1)}
        """Prototypes by number of elements."""
        self._taken = {(gene.anonymous, formula) for gene, formula in zip(genes, known.table["formula"], strict=True)}

    def _collect(self, genes: list[Gene], k: int) -> Prototypes:
        rows = np.array([row for row, gene in enumerate(genes) if len(gene.counts) == k], dtype=int)
        hull = self.known.table["energy_above_hull"].to_numpy(dtype=float)[rows]
        names = [sorted(genes[row].counts) for row in rows]
        return Prototypes(
            rows,
            np.array([[NUMBER[name] for name in some] for some in names], dtype=int).reshape(-1, k),
            np.array([[genes[r].counts[n] for n in some] for r, some in zip(rows, names, strict=True)]).reshape(-1, k),
            np.array([genes[row].space_group for row in rows], dtype=int),
            -np.clip(np.nan_to_num(hull, nan=_UNKNOWN_HULL), 0, 1) / _HULL_SCALE,
        )

    def holds(self, gene: Gene, formula: str) -> bool:
        """Whether a known material has this formula on these Wyckoff positions."""
        return (gene.anonymous, formula) in self._taken
