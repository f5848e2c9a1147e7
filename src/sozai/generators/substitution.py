"""``substitution``: known prototypes with other elements on them.

The oldest way to new crystals, and a hard baseline: under DFT, ion exchange on known prototypes gave more stable
new materials than the deep models it was set against (Szymanski and Bartel, Mater. Horiz. 2025, arXiv 2501.02144).
Which elements replace which is mined from the library of known materials (``element_swaps``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.generators.base import Generator, Progress
from sozai.generators.chemistry_distance import NUMBER, expected_volume
from sozai.generators.prototypes import MOST_ELEMENTS, PrototypeLibrary, Prototypes
from sozai.generators.spacing import spacing
from sozai.generators.symmetry_check import keeps_symmetry
from sozai.generators.templates import scaled
from sozai.knowledge.crystals.chemistry import smact_valid
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish
from sozai.materials.crystal import Crystal
from sozai.materials.known import KnownMaterials, known_materials, reduced_formula
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffSite, space_group

_ENUMERATE_UP_TO = 5  # so few possible elements: all maps are listed rather than drawn
_TRIES = 60  # draws a wanted crystal, when maps are drawn
_STAY = 2.0  # odds of an element to stay, against a total below 1 for all that may replace it


@lru_cache(maxsize=1)
def _bundled_library() -> PrototypeLibrary:
    return PrototypeLibrary(known_materials())


@dataclass(frozen=True)
class _Map:
    """Elements of a prototype and what replaces them; ``score`` is the log probability."""

    row: int
    elements: dict[str, str]
    score: float


class Substitution(Generator):
    """Element substitution on known prototypes.

    Exact conditions hold by construction: of the maps from prototype elements to wished ones only those are drawn
    that fulfil them, and the symmetry of each crystal is found anew. Neutral compositions (SMACT, ``consensus=1,
    commonality="low"``) come first. Targets are not used.

    Args:
        known: library of prototypes; the bundled one by default.
        novel: leave out compositions that the library already has on the same Wyckoff positions.
    """

    name = "substitution"

    def __init__(self, known: KnownMaterials | None = None, novel: bool = True):
        self.known = known
        self.novel = novel

    @property
    def library(self) -> PrototypeLibrary:
        """The prototypes, read at first use (about a second)."""
        if self.known is None:
            return _bundled_library()
        if "_library" not in self.__dict__:
            self._library = PrototypeLibrary(self.known)
        return self._library

    def sample(
        self, count: int, given: Any = None, seed: int = 0, on_progress: Progress | None = None
    ) -> list[Crystal]:
        """Draw distinct crystals by substitution; see ``Generator.sample``.

        Raises:
            UserError: no prototype fits the wish, or all that fit are known.
        """
        wish = given if given is not None else CrystalWish.of()
        rng = np.random.default_rng(seed)
        possible = wish.possible_elements()
        self._refuse_if_empty(wish)
        if len(possible) <= _ENUMERATE_UP_TO or possible == wish.needed_elements():
            maps = self._listed(wish, rng)
        else:
            maps = self._drawn(wish, rng, _TRIES * count + 500)
        crystals: list[Crystal] = []
        charged: list[tuple[_Map, Gene]] = []
        seen: set[Gene] = set()
        for change in maps:
            if len(crystals) >= count:
                break
            gene = self._gene(change)
            if gene in seen or (self.novel and self.library.holds(gene, reduced_formula(gene.counts))):
                continue
            seen.add(gene)
            if not smact_valid(gene.counts):
                charged.append((change, gene))
                continue
            self._add(crystals, change, gene, seed, count, on_progress)
        for change, gene in charged:  # rather these than fewer than asked for
            if len(crystals) >= count:
                break
            self._add(crystals, change, gene, seed, count, on_progress)
        if not crystals and count > 0:
            raise UserError(
                "every prototype that fits the wish gives a crystal that is known already or has atoms too close",
                "substitution",
                "relax a condition, or use another generator",
            )
        return crystals

    def card(self) -> dict[str, Any]:
        """Name and settings."""
        source = (self.known or known_materials()).source
        return {"name": self.name, "novel": self.novel, "prototypes": source.get("materials", ""), "targets": "unused"}

    def _gene(self, change: _Map) -> Gene:
        parent = self.library.known.gene(change.row)
        sites = sorted((change.elements[element], letter) for element, letter in parent.sites)
        return Gene(parent.space_group, tuple(sites))

    def _add(
        self,
        crystals: list[Crystal],
        change: _Map,
        gene: Gene,
        seed: int,
        count: int,
        on_progress: Progress | None,
    ) -> None:
        """Build the crystal and append it, unless atoms come too close or its symmetry is not the gene's."""
        parent = self.library.known.crystal(change.row)
        sites = [WyckoffSite(change.elements[s.element], s.letter, s.parameters) for s in parent.sites]
        factor = expected_volume(gene.counts) / expected_volume(parent.gene.counts)
        child = scaled(WyckoffCrystal(parent.space_group, tuple(sites), parent.lattice), factor)
        if not spacing(child).roomy:
            return
        structure = child.to_structure()
        if not keeps_symmetry(structure, gene):
            return
        table = self.library.known.table
        provenance = {
            "generator": self.name,
            "seed": seed,
            "gene": str(gene),
            "template": str(table["id"].iat[change.row]),
            "template_formula": str(table["formula"].iat[change.row]),
            "map": {old: new for old, new in change.elements.items() if old != new},
            "probability": float(np.exp(change.score)),
            "charge_neutral": smact_valid(gene.counts),
        }
        crystals.append(Crystal(f"{self.name}-{len(crystals) + 1:04d}", structure, provenance=provenance))
        if on_progress:
            on_progress(len(crystals), count, reduced_formula(gene.counts))

    def _listed(self, wish: CrystalWish, rng: np.random.Generator) -> Iterator[_Map]:
        """All admissible maps, in an order drawn by their probability (Gumbel top-k: without replacement)."""
        needed = wish.needed_elements()
        free = sorted(wish.possible_elements() - needed)
        found: list[tuple[Prototypes, tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]] = []
        for extra in range(len(free) + 1):
            for some in combinations(free, extra):
                elements = tuple(sorted((*needed, *some)))
                if not 1 <= len(elements) <= MOST_ELEMENTS:
                    continue
                prototypes = self.library.by_size[len(elements)]
                admissible = prototypes.of_size(wish) & prototypes.of_group(wish)
                for places, suits in prototypes.orders(wish, elements):
                    index = np.flatnonzero(admissible & suits)
                    targets = np.empty(len(elements), dtype=int)
                    targets[list(places)] = [NUMBER[element] for element in elements]
                    score = self.library.log_swaps[prototypes.numbers[index], targets].sum(axis=1)
                    found.append((prototypes, elements, targets, index, score))
        if not found:
            return
        scores = np.concatenate([entry[4] for entry in found])
        weights = np.concatenate([entry[0].log_weight[entry[3]] for entry in found])
        owners = np.repeat(np.arange(len(found)), [len(entry[3]) for entry in found])
        members = np.concatenate([np.arange(len(entry[3])) for entry in found])
        for place in np.argsort(-(scores + weights + rng.gumbel(size=len(scores))), kind="stable"):
            prototypes, _, targets, index, score = found[owners[place]]
            which = index[members[place]]
            yield self._map(prototypes, which, targets, float(score[members[place]]))

    def _drawn(self, wish: CrystalWish, rng: np.random.Generator, tries: int) -> Iterator[_Map]:
        """Maps drawn one by one: a prototype by its stability, then elements by how readily they replace its own."""
        needed = sorted(wish.needed_elements())
        possible = np.zeros(len(SYMBOLS) + 1)
        possible[[NUMBER[symbol] for symbol in wish.possible_elements()]] = 1
        swaps = self.library.swaps * possible[None, :]
        np.fill_diagonal(swaps, _STAY * possible)
        pools = []
        for prototypes in self.library.by_size.values():
            ways = prototypes.orders(wish, needed) if len(needed) <= prototypes.counts.shape[1] else []
            suits = np.any([mask for _, mask in ways], axis=0) if ways else np.zeros(len(prototypes.rows), bool)
            index = np.flatnonzero(suits & prototypes.of_size(wish) & prototypes.of_group(wish))
            if len(index):
                pools.append((prototypes, ways, index, np.exp(prototypes.log_weight[index])))
        sums = np.array([pool[3].sum() for pool in pools])
        chosen = rng.choice(len(pools), size=tries, p=sums / sums.sum())
        for prototypes, ways, index, weights in (pools[choice] for choice in chosen):
            which = int(index[np.searchsorted(np.cumsum(weights), rng.random() * weights.sum())])
            old = prototypes.numbers[which]
            new = np.zeros(len(old), dtype=int)
            fits = [places for places, mask in ways if mask[which]]
            fixed = [NUMBER[element] for element in needed]
            odds = np.array([np.prod(self.library.swaps[old[list(places)], fixed]) for places in fits])
            places = fits[int(rng.choice(len(fits), p=odds / odds.sum()))]
            new[list(places)] = fixed
            for place in rng.permutation([p for p in range(len(old)) if p not in places]):
                odds = swaps[old[place]].copy()
                odds[new[new > 0]] = 0
                if not odds.sum() > 0:
                    break
                new[place] = rng.choice(len(odds), p=odds / odds.sum())
            else:
                if not np.array_equal(new, old):
                    yield self._map(prototypes, which, new, float(self.library.log_swaps[old, new].sum()))

    @staticmethod
    def _map(prototypes: Prototypes, which: int, targets: np.ndarray, score: float) -> _Map:
        pairs = zip(prototypes.numbers[which].tolist(), targets.tolist(), strict=True)
        elements = {SYMBOLS[old - 1]: SYMBOLS[new - 1] for old, new in pairs}
        return _Map(int(prototypes.rows[which]), elements, score)

    def _refuse_if_empty(self, wish: CrystalWish) -> None:
        """Refuse a wish that no prototype fits, with the nearest that one does."""
        needed = sorted(wish.needed_elements())
        most = len(wish.possible_elements())
        if len(needed) > MOST_ELEMENTS:
            raise UserError(
                f"substitution handles at most {MOST_ELEMENTS} elements and the wish needs {len(needed)}",
                mend="ask for fewer elements, or use the generator random",
            )
        sizes, groups = set(), set()
        for k, prototypes in self.library.by_size.items():
            if not max(len(needed), 1) <= k <= most or not (ways := prototypes.orders(wish, needed)):
                continue
            suits = np.any([mask for _, mask in ways], axis=0)
            in_size, in_group = prototypes.of_size(wish), prototypes.of_group(wish)
            if (suits & in_size & in_group).any():
                return
            sizes |= set(prototypes.atoms[suits & in_group].tolist())
            groups |= set(prototypes.groups[suits & in_size].tolist())
        hints = []
        if groups and wish.space_groups:
            nearest = sorted(groups, key=lambda number: (abs(number - wish.space_groups[0]), number))[:3]
            hints.append("take space group " + ", ".join(f"{n} ({space_group(n).symbol})" for n in nearest))
        if sizes:
            hints.append(f"allow {min(sizes, key=lambda n: (max(wish.min_atoms - n, n - wish.max_atoms), n))} atoms")
        raise UserError(
            f"no known prototype fits the wish ({_spell(wish)})",
            "substitution",
            " or ".join(hints) or "relax a condition, or use the generator random",
        )


def _spell(wish: CrystalWish) -> str:
    parts = []
    if wish.formula:
        parts.append("".join(f"{e}{n if n > 1 else ''}" for e, n in wish.formula.items()))
    elif wish.needed_elements():
        parts.append(" and ".join(sorted(wish.needed_elements())))
    parts += [f"at least {share:.0%} {element}" for element, share in wish.at_least.items()]
    if wish.space_groups:
        parts.append("space group " + ", ".join(map(str, wish.space_groups[:5])))
    parts.append(f"{wish.min_atoms} to {wish.max_atoms} atoms")
    return ", ".join(parts)
