"""How readily one element takes another's place, mined from known crystals.

After Glawe et al., New J. Phys. 2016, 18, 093011 (and Hautier et al., Inorg. Chem. 2011, 50, 656, who do it for
ions): two elements are alike when there are many pairs of known crystals that differ only in that the one stands
where the other does. Here a pair is two materials with the same occupied Wyckoff positions and the same other
elements on them. Unlike a table of ions, this needs no oxidation states and covers every element: pairs never
seen borrow from their neighbours on the modified Pettifor scale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from sozai.generators.chemistry_distance import NUMBER, element_scale
from sozai.materials.wyckoff import Gene

_PRIOR = 2.0  # pairs' worth of trust in the Pettifor scale
_REACH = 6.0  # elements apart on the scale at which the prior has fallen to 1/e


def swap_probabilities(genes: Iterable[Gene]) -> np.ndarray:
    """Geometric mean of the probabilities that element A gives way to B and B to A, shape (104, 104).

    Rows and columns are atomic numbers; row and column 0 are unused. The diagonal is 1: staying is free.
    """
    surroundings: dict[tuple, set[str]] = defaultdict(set)
    for gene in genes:
        for element in {name for name, _ in gene.sites}:
            own = tuple(letter for name, letter in gene.sites if name == element)
            others = tuple(site for site in gene.sites if site[0] != element)
            surroundings[gene.space_group, own, others].add(element)
    scale = element_scale() * (len(element_scale()) - 2)
    pairs = np.zeros((len(scale), len(scale)))
    for members in surroundings.values():
        numbers = [NUMBER[name] for name in members]
        if len(numbers) > 1:
            # Each material counts as one replacement, however large its family is.
            pairs[np.ix_(numbers, numbers)] += 1 / (len(numbers) - 1)
    np.fill_diagonal(pairs, 0)
    prior = np.nan_to_num(np.exp(-np.abs(scale[:, None] - scale[None, :]) / _REACH))
    np.fill_diagonal(prior, 0)
    prior /= np.maximum(prior.sum(axis=1, keepdims=True), 1e-12)
    given = (pairs + _PRIOR * prior) / (pairs.sum(axis=1, keepdims=True) + _PRIOR)
    both = np.sqrt(given * given.T)
    np.fill_diagonal(both, 1.0)
    return both
