"""What a column's value may be, given the other columns of its row: a density from the leaves of a forest.

A forest of extremely randomised trees (Geurts, Ernst, Wehenkel, Machine Learning 2006) that predicts a column from
the others says how alike two rows are: the share of trees in which they fall into one leaf, weighted by the leaf's
size (Meinshausen, Quantile regression forests, JMLR 2006). The values of the like rows, the row itself left out, make
the density: a heavy-tailed kernel about each, and an atom where values repeat (mixes in round numbers, zeros).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import norm, rankdata

from sozai.knowledge.tables.quality.numbers import Numbers, counts

TREES, LEAF, REFERENCE = 40, 4, 3000
NARROWEST = 0.04
"""Kernel width, in column spreads, below which two values are no different to any use."""
ATOM = 25.0
"""Density that a repeated value has against one column spread: one over twice the narrowest width, a round number."""
FLOOR = 1e-7
STUDENT = 2 / (np.pi * np.sqrt(3))  # height of Student's t with three degrees of freedom


@dataclass
class _Leaves:
    forest: Any
    features: list[int]
    rows: np.ndarray  # places of the reference rows
    matrix: sparse.csr_matrix  # (reference rows, leaves)
    starts: np.ndarray  # of each tree's leaves in the matrix
    values: np.ndarray  # scaled, of the reference rows
    raw: np.ndarray
    repeats: float  # share of values that stand elsewhere in the column too


class Conditionals:
    """Conditional densities of the columns of numbers, fitted to the table itself.

    Args:
        numbers: the table.
        seed: of the forests.
        trees: how many a forest has.
        reference: places of the rows to learn from; by default all, or a choice of many.
        on_progress: called with (columns done, columns, name).
    """

    def __init__(
        self,
        numbers: Numbers,
        seed: int = 0,
        trees: int = TREES,
        reference: np.ndarray | None = None,
        on_progress: Callable[[int, int, str], None] | None = None,
    ):
        self.numbers = numbers
        self._seed, self._trees = seed, trees
        rows = np.arange(len(numbers)) if reference is None else reference
        if len(rows) > REFERENCE:
            rows = np.sort(np.random.default_rng(seed).choice(rows, REFERENCE, replace=False))
        self._leaves: list[_Leaves | None] = []
        for place, name in enumerate(numbers.names):
            self._leaves.append(self._fitted(place, rows))
            if on_progress:
                on_progress(place + 1, len(numbers.names), name)

    def features(self, raw: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """What forests see of rows: numbers and codes side by side, as float32 that hold them."""
        both = np.column_stack([raw, codes])
        return np.clip(both, -1e30, 1e30).astype(np.float32)

    def _fitted(self, place: int, rows: np.ndarray) -> _Leaves | None:
        from sklearn.ensemble import ExtraTreesRegressor

        rows = rows[np.isfinite(self.numbers.raw[rows, place])]
        values = self.numbers.scaled[rows, place]
        if len(rows) < 8 or not np.ptp(values):
            return None
        both = self.features(self.numbers.raw[rows], self.numbers.codes[rows])
        features = [each for each in range(both.shape[1]) if each != place and np.isfinite(both[:, each]).any()]
        if not features:
            return None
        # Ranks, so that one wild value does not decide how the trees grow.
        target = norm.ppf((rankdata(values) - 0.5) / len(values))
        forest = ExtraTreesRegressor(
            self._trees, min_samples_leaf=min(LEAF, max(2, len(rows) // 10)), max_features=0.7, random_state=self._seed
        )
        forest.fit(both[:, features], target)
        nodes = _landed(forest, both[:, features])
        starts = np.concatenate([[0], np.cumsum([tree.tree_.node_count for tree in forest.estimators_])])
        matrix = _one_hot(nodes, starts)
        raw = self.numbers.raw[rows, place]
        repeats = float((counts(raw, raw) > 1).mean())
        return _Leaves(forest, features, rows, matrix, starts, values, raw, repeats)

    def repeats(self, place: int) -> float:
        """Share of a column's values that stand elsewhere in it too."""
        leaves = self._leaves[place]
        return leaves.repeats if leaves else 0.0

    def neighbours(self, place: int, raw: np.ndarray, codes: np.ndarray, own: np.ndarray) -> sparse.csr_matrix | None:
        """Weights (rows, reference rows) of the table's rows for these ones, their own left out.

        Args:
            place: of the column whose value is asked for.
            raw: (rows, columns) numbers, perhaps altered.
            codes: (rows, categories).
            own: place in the table of the row that each is (or was made from), -1 for none.
        """
        leaves = self._leaves[place]
        if leaves is None:
            return None
        nodes = _landed(leaves.forest, self.features(raw, codes)[:, leaves.features])
        sizes = np.asarray(leaves.matrix.sum(0)).ravel()
        asked = _one_hot(nodes, leaves.starts)
        asked.data = 1.0 / np.maximum(sizes[asked.indices], 1)
        weights = (asked @ leaves.matrix.T).tocsr()
        at = np.searchsorted(leaves.rows, own)
        at = np.minimum(at, len(leaves.rows) - 1)
        mine = leaves.rows[at] == own
        which = np.repeat(np.arange(len(own)), np.diff(weights.indptr))
        weights.data[mine[which] & (weights.indices == at[which])] = 0.0
        total = np.asarray(weights.sum(1)).ravel()
        weights.data /= np.maximum(total, 1e-12)[which]
        return weights

    def moments(self, place: int, weights: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean and standard deviation of the like rows' values, scaled, (rows,) each."""
        leaves = self._leaves[place]
        assert leaves is not None
        low, high = np.quantile(leaves.values, [0.005, 0.995])
        values = np.clip(leaves.values, low - 1, high + 1)
        mean = weights @ values
        return mean, np.sqrt(np.maximum(weights @ values**2 - mean**2, 0.0))

    def surprise(self, place: int, weights: sparse.csr_matrix, raw: np.ndarray) -> np.ndarray:
        """Minus the logarithm of the density of values (rows,) or (rows, candidates); 0 where missing."""
        leaves = self._leaves[place]
        assert leaves is not None
        _, spread = self.moments(place, weights)
        width = np.sqrt((0.4 * spread) ** 2 + NARROWEST**2)
        many = raw.reshape(len(raw), -1)
        scaled = self.numbers.scales[place](many)
        which = np.repeat(np.arange(len(raw)), np.diff(weights.indptr))
        theirs, theirs_raw = leaves.values[weights.indices], leaves.raw[weights.indices]
        out = np.zeros(many.shape)
        with np.errstate(invalid="ignore"):
            for each in range(many.shape[1]):
                away = (scaled[which, each] - theirs) / width[which]
                kernel = weights.data * STUDENT / width[which] / (1 + away**2 / 3) ** 2
                value = many[which, each]
                same = weights.data * (np.abs(value - theirs_raw) <= 1e-9 * np.abs(value))
                smooth = np.bincount(which, kernel, len(raw))
                atom = 0.9 * np.bincount(which, same, len(raw))
                atom += 0.1 * np.maximum(counts(many[:, each], leaves.raw) - 1, 0) / len(leaves.raw)
                share = 0.9 * leaves.repeats
                density = (1 - share) * smooth + share * ATOM * atom + FLOOR
                out[:, each] = np.where(np.isfinite(scaled[:, each]), -np.log(density), 0.0)
        return out.reshape(raw.shape)


def _landed(forest: Any, features: np.ndarray) -> np.ndarray:
    """Leaves (rows, trees); what ``forest.apply`` gives, which takes ten times longer for few rows."""
    features = np.ascontiguousarray(features)
    return np.column_stack([tree.tree_.apply(features) for tree in forest.estimators_])


def _one_hot(nodes: np.ndarray, starts: np.ndarray) -> sparse.csr_matrix:
    """Leaves (rows, trees) as ones in a sparse matrix (rows, leaves of all trees)."""
    rows, trees = nodes.shape
    places = (nodes + starts[:-1]).ravel()
    return sparse.csr_matrix(
        (np.ones(rows * trees), places, np.arange(0, rows * trees + 1, trees)), shape=(rows, int(starts[-1]))
    )
