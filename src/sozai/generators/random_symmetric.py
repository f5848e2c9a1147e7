"""``random``: crystals with a random composition, space group, cell (pyxtal) and coordinates.

The floor that any learned generator must beat. Nothing but the wish, the stoichiometries that occur in nature and
the room an atom needs goes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import permutations
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.generators.base import Generator, Progress
from sozai.generators.chemistry_distance import expected_volume
from sozai.generators.symmetry_check import keeps_symmetry
from sozai.generators.wyckoff_gpt.planner import Planner, WishPlanner
from sozai.generators.wyckoff_gpt.tokens import INDEX
from sozai.knowledge.crystals.chemistry import smact_valid
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish
from sozai.materials.crystal import Crystal
from sozai.materials.known import KnownMaterials, known_materials, reduced_formula
from sozai.materials.wyckoff import Gene, space_group

_TRIES = 12  # genes tried for each crystal
_COMPOSITIONS = 40  # compositions drawn until one is neutral
_MOST_ORDERED = 6  # elements up to which all orders of a stoichiometry are looked at


class RandomSymmetric(Generator):
    """Random symmetric crystals.

    A composition is drawn from the stoichiometries of known materials (neutral ones by SMACT preferred), then one
    of the space groups that can hold it, each as likely as the other, then Wyckoff positions, then a cell
    (pyxtal) and coordinates. Exact conditions hold in every crystal; targets are not used.

    Args:
        known: where the stoichiometries come from; the bundled library by default.
        n_starts: random coordinates drawn for each crystal, of which the roomiest are kept.
    """

    name = "random"

    def __init__(self, known: KnownMaterials | None = None, n_starts: int = 1):
        self.known = known
        self.n_starts = n_starts

    def sample(
        self, count: int, given: Any = None, seed: int = 0, on_progress: Progress | None = None
    ) -> list[Crystal]:
        """Draw random crystals; see ``Generator.sample``. Each depends on the seed and its own number alone.

        Raises:
            UserError: no crystal can fulfil the wish; the message names the nearest that can.
        """
        from sozai.generators.random_start import random_start

        wish = given if given is not None else CrystalWish.of()
        compositions = _Compositions(wish, self.known or known_materials())
        crystals: list[Crystal] = []
        rigid: set[Gene] = set()  # without free coordinates, a gene gives one crystal only
        higher: Counter[int] = Counter()
        number, misses = 0, 0
        while len(crystals) < count and misses < _TRIES * 4 + count:
            number += 1
            rng = np.random.default_rng([seed, number])
            for _ in range(_TRIES):
                gene = compositions.gene(rng)
                if gene is None or gene in rigid:
                    continue
                # The count of tries makes this end; no clock, so that a seed means the same crystals anywhere.
                crystal = random_start(gene, expected_volume(gene.counts), rng, starts=self.n_starts)
                if crystal is None:
                    continue
                structure = crystal.to_structure()
                if not keeps_symmetry(structure, gene):
                    higher[gene.space_group] += 1
                    continue
                if gene.degrees_of_freedom == 0:
                    rigid.add(gene)
                provenance = {
                    "generator": self.name,
                    "seed": seed,
                    "draw": number,
                    "gene": str(gene),
                    "method": "random",
                    "charge_neutral": smact_valid(gene.counts),
                }
                crystals.append(Crystal(f"{self.name}-{len(crystals) + 1:04d}", structure, provenance=provenance))
                if on_progress:
                    on_progress(len(crystals), count, reduced_formula(gene.counts))
                break
            else:
                misses += 1
        if not crystals and count > 0:
            compositions.refuse(higher)
        return crystals

    def card(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": self.name, "n_starts": self.n_starts, "cells": "pyxtal", "targets": "unused"}


class _Compositions:
    """Draws compositions, space groups and occupied positions under a wish."""

    def __init__(self, wish: CrystalWish, known: KnownMaterials):
        self.wish = wish
        self.needed = sorted(wish.needed_elements())
        self.possible = sorted(wish.possible_elements())
        # Refuses a wish that no space group can fulfil.
        self.any_gene = WishPlanner(wish, frozenset(SYMBOLS))
        self.groups = sorted(self.any_gene.planners)
        frequencies, self.stoichiometries = _statistics(known)
        weights = np.array([frequencies.get(symbol, 0) + 1.0 for symbol in self.possible])
        self.weights = weights / weights.sum()

    @cached_property
    def pool(self) -> list[tuple[tuple[int, ...], float]]:
        """Stoichiometries (atoms by element in the primitive cell) that suit the wish, with their frequency."""
        wish = self.wish
        if wish.formula:
            unit = sum(wish.formula.values())
            units = range(1, wish.max_atoms // unit + 1)
            return [(tuple(n * z for n in wish.formula.values()), 1.0) for z in units if z * unit >= wish.min_atoms]
        most = len(self.possible)
        return [
            (counts, float(frequency))
            for counts, frequency in self.stoichiometries
            if max(len(self.needed), 1) <= len(counts) <= most
            and wish.min_atoms <= sum(counts) <= wish.max_atoms
            and (wish.elements is None or len(counts) == len(wish.elements))
        ]

    @cached_property
    def _odds(self) -> np.ndarray:
        odds = np.array([frequency for _, frequency in self.pool])
        return odds / odds.sum()

    def gene(self, rng: np.random.Generator) -> Gene | None:
        """One gene that fulfils the wish, or ``None`` when the draw failed."""
        composition = self._composition(rng) if self.pool else None
        if composition is not None:
            # All space groups are as likely; only those that can hold the composition are taken.
            for number in rng.permutation(self.groups).tolist():
                planner = self._planner(number, composition)
                if planner.feasible:
                    return _walk(number, planner, rng)
        # No known stoichiometry fits: any gene that the positions allow.
        number = int(rng.choice(self.groups))
        planners = self.any_gene.planners[number]
        gene = _walk(number, planners[int(rng.integers(len(planners)))], rng)
        return gene if self.wish.composition_fault(gene.counts) is None else None

    @staticmethod
    @lru_cache(maxsize=20_000)
    def _feasible_planner(number: int, composition: tuple[tuple[str, int], ...]) -> Planner:
        counts = {INDEX[symbol]: count for symbol, count in composition}
        total = sum(counts.values())
        return Planner(number, frozenset(counts), frozenset(counts), total, total, counts)

    def _planner(self, number: int, composition: dict[str, int]) -> Planner:
        return self._feasible_planner(number, tuple(sorted(composition.items())))

    def _composition(self, rng: np.random.Generator) -> dict[str, int] | None:
        """Atoms by element; the first neutral one of some draws, else the last that fulfils the wish."""
        kept = None
        for _ in range(_COMPOSITIONS):
            counts = self.pool[int(rng.choice(len(self.pool), p=self._odds))][0]
            if self.wish.formula:
                return dict(zip(self.wish.formula, counts, strict=True))
            others = [index for index, symbol in enumerate(self.possible) if symbol not in self.needed]
            extra: list[str] = []
            if len(counts) > len(self.needed):
                odds = self.weights[others] / self.weights[others].sum()
                chosen = rng.choice(others, size=len(counts) - len(self.needed), replace=False, p=odds)
                extra = [self.possible[index] for index in chosen]
            for drawn in self._assignments([*self.needed, *extra], counts, rng):
                if self.wish.composition_fault(drawn) is None:
                    kept = drawn
                    if smact_valid(drawn):
                        return drawn
        return kept

    @staticmethod
    def _assignments(
        elements: list[str], counts: tuple[int, ...], rng: np.random.Generator
    ) -> Iterator[dict[str, int]]:
        """Orders of the counts on the elements, in random order."""
        if len(counts) > _MOST_ORDERED:
            yield dict(zip(elements, rng.permutation(counts).tolist(), strict=True))
            return
        orders = sorted(set(permutations(counts)))
        for place in rng.permutation(len(orders)):
            yield dict(zip(elements, orders[place], strict=True))

    def refuse(self, higher: Counter[int]) -> None:
        """Say why nothing was found, though the positions alone would allow it."""
        if higher:
            number = higher.most_common(1)[0][0]
            raise UserError(
                f"every crystal drawn in space group {number} ({space_group(number).symbol}) came out with a higher "
                "symmetry or a smaller cell",
                "random",
                "allow more atoms, more elements or other space groups",
            )
        raise UserError(
            "no crystal was found in which the atoms keep apart and all conditions hold",
            "random",
            "allow more atoms, or relax the least shares or the space groups",
        )


def _walk(number: int, planner: Planner, rng: np.random.Generator) -> Gene:
    """A random sequence of sites that the planner lets end well, each step as likely as the others."""
    group = space_group(number)
    state = planner.start
    sites: list[tuple[str, str]] = []
    while True:
        options = [(element, letter) for element, letters in planner.next_elements(state).items() for letter in letters]
        if not options or (planner.may_stop(state) and rng.random() < 0.5):
            return Gene(number, tuple(sorted(sites)))
        element, letter = options[int(rng.integers(len(options)))]
        state = planner.step(state, planner.place[element], letter)
        sites.append((SYMBOLS[element], group.positions[letter].letter))


@lru_cache(maxsize=1)
def _bundled_statistics() -> tuple[dict[str, int], list[tuple[tuple[int, ...], int]]]:
    return _count(known_materials())


def _statistics(known: KnownMaterials) -> tuple[dict[str, int], list[tuple[tuple[int, ...], int]]]:
    """Materials by element, and stoichiometries with their frequency."""
    return _bundled_statistics() if known is known_materials() else _count(known)


def _count(known: KnownMaterials) -> tuple[dict[str, int], list[tuple[tuple[int, ...], int]]]:
    elements: Counter[str] = Counter()
    stoichiometries: Counter[tuple[int, ...]] = Counter()
    for row in range(len(known)):
        counts = known.gene(row).counts
        elements.update(counts.keys())
        stoichiometries[tuple(sorted(counts.values()))] += 1
    return dict(elements), sorted(stoichiometries.items())
