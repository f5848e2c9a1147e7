"""Whole samples: rows that stand twice, rows that stand alone, what learners expect of the measured column."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sozai.knowledge.tables.quality.finding import Finding
from sozai.knowledge.tables.quality.numbers import Numbers

NEIGHBOURS, REFERENCE, FAR = 5, 4000, 8.0
"""Neighbours of a row, rows to find them among, and the robust deviations of their distance that make a row alone."""


def repeated(frame: pd.DataFrame) -> list[Finding]:
    """Rows that are equal in all columns, one finding for each set of them."""
    if not len(frame.columns):
        return []
    codes = np.column_stack([pd.factorize(frame[name])[0] for name in frame.columns])
    whole = pd.DataFrame(codes)
    group = whole.groupby(list(whole.columns), sort=False).ngroup().to_numpy()
    sizes = np.bincount(group)
    found = []
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for code in np.flatnonzero(sizes > 1):
        rows = [int(frame.index[place]) for place in order[starts[code] : starts[code + 1]]]
        why = (
            f"rows {', '.join(map(str, rows))} are equal in all {len(frame.columns)} columns: entered twice, or "
            "replicates that agree to the last digit; keep them on one side of every split"
        )
        found.append(Finding(rows[0], (), "sample", "duplicate", why, 0.5, others=tuple(rows[1:])))
    return found


def alone(numbers: Numbers, index: pd.Index, seed: int = 0) -> list[Finding]:
    """Rows far from all others: nothing near them can confirm or contradict them."""
    from sklearn.neighbors import NearestNeighbors

    n = len(numbers)
    if n < 30 or not numbers.names:
        return []
    scaled = np.clip(np.nan_to_num(numbers.scaled), -6, 6)
    rows = np.arange(n)
    if n > REFERENCE:
        rows = np.sort(np.random.default_rng(seed).choice(n, REFERENCE, replace=False))
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(scaled[rows])
    distance = np.log(np.maximum(near.kneighbors(scaled)[0][:, -1], 1e-3))
    middle = np.median(distance)
    spread = max(1.4826 * float(np.median(np.abs(distance - middle))), 0.15)
    found = []
    for place in np.flatnonzero((distance - middle) / spread > FAR / 2):
        most = np.argsort(-np.abs(scaled[place]))[:2]
        columns = tuple(numbers.names[each] for each in most)
        ratio = float(np.exp(distance[place] - middle))
        why = (
            f"its {NEIGHBOURS}th neighbour is {ratio:.0f} times as far away as usual, most of all in "
            f"{' and '.join(columns)}: no other row can confirm it"
        )
        values = tuple(float(numbers.raw[place, each]) for each in most)
        found.append(Finding(int(index[place]), columns, "sample", "isolated", why, 0.2, values))
    return found


def second_opinions(numbers: Numbers, target: int, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """What learners that have not seen a row expect of its target, (rows, learners).

    Args:
        numbers: the table.
        target: place of the measured column.
        rows: places of the rows asked about.
        seed: of the learners.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor

    others = np.column_stack([np.delete(numbers.scaled, target, axis=1), numbers.codes])
    filled = np.clip(np.nan_to_num(others), -6, 6)
    scale = numbers.scales[target]
    value = np.clip(numbers.scaled[:, target], -4, 4)
    kept = np.isfinite(value)
    kept[rows] = False  # none of the doubtful ones teaches
    if len(kept) > REFERENCE:
        chosen = np.random.default_rng(seed).choice(len(kept), REFERENCE, replace=False)
        kept &= np.isin(np.arange(len(kept)), chosen)
    if kept.sum() < 20 or not len(rows):
        return np.full((len(rows), 3), np.nan)
    learners = (
        HistGradientBoostingRegressor(loss="absolute_error", max_iter=120, random_state=seed),
        KNeighborsRegressor(5, weights="distance"),
        RidgeCV(np.logspace(-3, 3, 7)),
    )
    made = [learner.fit(filled[kept], value[kept]).predict(filled[rows]) for learner in learners]
    return scale.back(np.column_stack(made))
