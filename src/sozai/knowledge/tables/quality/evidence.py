"""What speaks for and against each number of a table, cell by cell.

Each value is asked how surprising it is given its row. Of the doubtful rows, explanations are tried: one value with a
slip undone, one value replaced by what its row lets expect, two values exchanged. An explanation is good when the
whole row, not only the changed cell, becomes an ordinary one: a wrong value also makes the right ones beside it look
wrong, and this tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sozai.knowledge.tables.quality.conditionals import TREES, Conditionals
from sozai.knowledge.tables.quality.numbers import Numbers, counts, decimals
from sozai.knowledge.tables.quality.slips import Slip, slips

FEATURES = (
    "surprise", "residual", "deviation", "gap", "same", "repeats", "decimals", "slip_own", "usual_own", "slip_row",
    "usual_row", "swap_row", "row", "rival", "tail", "target", "twin", "width", "outside",
)  # fmt: skip
RISING = (
    "surprise", "residual", "gap", "decimals", "slip_own", "slip_row", "usual_row", "swap_row", "tail", "twin",
    "outside",
)  # fmt: skip
"""Those of which more can only make an error more likely."""
CELLS, SHARE, MOST_ROWS, CHUNK = 3, 0.4, 1200, 4000
EVERY = 25
"""Of tables of very many rows one in so many is looked at closely."""
HIGHEST = 14.0
"""A single surprise beyond this counts as this: one cell must not drown its row."""


@dataclass
class Explanation:
    """The best accounts of one cell, see ``Evidence``."""

    slip: Slip | None = None
    usual: float = np.nan  # what the row lets expect
    swap: int = -1  # place of the column it may have been exchanged with


@dataclass
class Evidence:
    """Measures of the doubtful cells.

    Args:
        cells: (cells, 2) places of row and column.
        features: (cells, len(FEATURES)).
        explanations: of each cell.
        expected: (rows, columns) mean of the like rows, scaled; NaN where unknown.
        spread: (rows, columns) their standard deviation, scaled.
        surprise: (rows, columns) over the column's median one.
    """

    cells: np.ndarray
    features: np.ndarray
    explanations: list[Explanation]
    expected: np.ndarray
    spread: np.ndarray
    surprise: np.ndarray
    twins: np.ndarray = field(default_factory=lambda: np.zeros(0))


def evidence(
    numbers: Numbers,
    target: int | None = None,
    seed: int = 0,
    trees: int = TREES,
    reference: np.ndarray | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Evidence:
    """Measure the doubtful cells of a table.

    Args:
        numbers: the table.
        target: place of the column that is measured rather than set; twins that disagree in it are told.
        seed: of the forests.
        trees: of a forest.
        reference: places of the rows that the others are compared with; by default all.
        on_progress: see ``Conditionals``.
    """
    density = Conditionals(numbers, seed, trees, reference, on_progress)
    raw, codes = numbers.raw, numbers.codes
    n, d = raw.shape
    surprise, expected, spread = np.zeros((n, d)), np.full((n, d), np.nan), np.full((n, d), np.nan)
    own = np.arange(n)
    for column in range(d):
        for begin in range(0, n, CHUNK):
            part = slice(begin, begin + CHUNK)
            weights = density.neighbours(column, raw[part], codes[part], own[part])
            if weights is None:
                break
            surprise[part, column] = density.surprise(column, weights, raw[part, column])
            expected[part, column], spread[part, column] = density.moments(column, weights)
    usual = np.array([np.median(surprise[np.isfinite(raw[:, j]), j]) if np.isfinite(raw[:, j]).any() else 0.0
                      for j in range(d)])  # fmt: skip
    centred = np.where(np.isfinite(raw), np.minimum(surprise - usual, HIGHEST), 0.0)
    twin = twins(numbers, target)
    cells = _doubtful(centred, raw, twin, target)
    tried = _Trials(density, numbers, usual, centred, cells)
    among = own if reference is None else reference
    measured = _measured(numbers, centred, expected, spread, twin, target, density, cells, tried, among)
    return Evidence(cells, measured, tried.explanations, expected, spread, centred, twin)


def twins(numbers: Numbers, target: int | None) -> np.ndarray:
    """How far the target of each row is from those of the rows that are equal in all else, scaled; 0 without any."""
    out = np.zeros(len(numbers))
    if target is None or numbers.raw.shape[1] + numbers.codes.shape[1] < 2:
        return out
    others = np.column_stack([np.delete(numbers.raw, target, axis=1), numbers.codes])
    rows = pd.DataFrame(np.round(others, 9))
    groups = rows.groupby(list(rows.columns), dropna=False, sort=False).ngroup().to_numpy()
    value = pd.Series(numbers.scaled[:, target])
    by = value.groupby(groups)
    size, mean = by.transform("count").to_numpy(), by.transform("mean").to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (mean * size - value.to_numpy()) / (size - 1)
        return np.where((size > 1) & np.isfinite(rest), np.abs(value.to_numpy() - rest), 0.0)


def _doubtful(centred: np.ndarray, raw: np.ndarray, twin: np.ndarray, target: int | None) -> np.ndarray:
    """The most surprising cells of the most surprising rows, (cells, 2)."""
    n, d = centred.shape
    if not n or not d:
        return np.empty((0, 2), int)
    known = np.where(np.isfinite(raw), centred, -np.inf)
    top = known.max(1)
    count = min(n, max(MOST_ROWS, n // EVERY), max(40, int(SHARE * n)))
    rows = np.argsort(-top, kind="stable")[:count]
    columns = np.argsort(-known[rows], axis=1, kind="stable")[:, : min(CELLS, d)]
    cells = {(int(r), int(c)) for r, each in zip(rows, columns, strict=True) for c in each if np.isfinite(raw[r, c])}
    if target is not None:
        odd = np.flatnonzero(twin > 0)
        odd = odd[np.argsort(-twin[odd], kind="stable")][: max(MOST_ROWS, n // EVERY)]
        cells |= {(int(row), target) for row in odd if np.isfinite(raw[row, target])}
    return np.array(sorted(cells), int).reshape(-1, 2)


class _Trials:
    """Explanations of the doubtful cells, each tried on its whole row."""

    def __init__(
        self, density: Conditionals, numbers: Numbers, usual: np.ndarray, centred: np.ndarray, cells: np.ndarray
    ):
        self.density, self.numbers, self.usual = density, numbers, usual
        m, d = len(cells), len(numbers.names)
        self.explanations = [Explanation() for _ in range(m)]
        self.slip_own, self.usual_own = np.zeros(m), np.zeros(m)
        self.slip_row, self.usual_row, self.swap_row, self.rival = (np.zeros(m) for _ in range(4))
        if not m:
            return
        rows, of_row = np.unique(cells[:, 0], return_inverse=True)
        crossed = self._single(cells, rows, of_row)
        self._whole(cells, rows, of_row, crossed, np.maximum(centred[rows], -2.0).sum(1), d)

    def _single(self, cells: np.ndarray, rows: np.ndarray, of_row: np.ndarray) -> np.ndarray:
        """Find slips and usual values; gives the surprise (rows, column, column whose value it takes)."""
        raw, codes = self.numbers.raw[rows], self.numbers.codes[rows]
        d = raw.shape[1]
        crossed = np.full((len(rows), d, d), np.nan)
        for column in range(d):
            weights = self.density.neighbours(column, raw, codes, rows)
            if weights is None:
                continue
            found = self.density.surprise(column, weights, raw) - self.usual[column]
            crossed[:, column, :] = np.where(np.isfinite(raw), found, np.nan)
            mine = np.flatnonzero(cells[:, 1] == column)
            if not len(mine):
                continue
            whole = self.numbers.raw[:, column]
            positive = bool(np.nanquantile(whole, 0.03) >= 0)
            options = [slips(whole[cells[each, 0]], positive) for each in mine]
            most = max(map(len, options))
            near = weights[of_row[mine]]
            values = np.full((len(mine), most + 1), np.nan)
            costs = np.zeros((len(mine), most + 1))
            for at, each in enumerate(options):
                values[at, : len(each)] = [slip.value for slip in each]
                costs[at, : len(each)] = [slip.cost for slip in each]
                values[at, most] = _middle(self.density, column, near, at)
            told = self.density.surprise(column, near, values)
            now = crossed[of_row[mine], column, column] + self.usual[column]
            for at, cell in enumerate(mine):
                explanation = self.explanations[cell]
                explanation.usual = float(values[at, most])
                self.usual_own[cell] = now[at] - told[at, most] if np.isfinite(values[at, most]) else 0.0
                if options[at]:
                    k = len(options[at])
                    best = int(np.argmin(told[at, :k] + costs[at, :k]))
                    explanation.slip = options[at][best]
                    self.slip_own[cell] = now[at] - told[at, best] - costs[at, best]
        return crossed

    def _whole(
        self, cells: np.ndarray, rows: np.ndarray, of_row: np.ndarray, crossed: np.ndarray, base: np.ndarray, d: int
    ) -> None:
        """Try each explanation on its whole row."""
        trials: list[tuple[int, int, int, dict[int, float]]] = []  # cell, kind, partner, changes
        raw = self.numbers.raw
        for cell, (row, column) in enumerate(cells):
            explanation, at = self.explanations[cell], of_row[cell]
            if np.isfinite(explanation.usual):
                trials.append((cell, 0, -1, {column: explanation.usual}))
            if explanation.slip is not None and self.slip_own[cell] > 0:
                trials.append((cell, 1, -1, {column: explanation.slip.value}))
            own = np.diagonal(crossed[at])
            gain = own[column] + own - crossed[at][column, :] - np.array([crossed[at][k, column] for k in range(d)])
            gain[column] = np.nan
            if np.isfinite(gain).any():
                partner = int(np.nanargmax(gain))
                if gain[partner] > 0 and raw[row, partner] != raw[row, column]:
                    trials.append((cell, 2, partner, {column: raw[row, partner], partner: raw[row, column]}))
        if not trials:
            return
        own_rows = np.array([cells[cell, 0] for cell, *_ in trials])
        altered = raw[own_rows].copy()
        for at, (_, _, _, changes) in enumerate(trials):
            for column, value in changes.items():
                altered[at, column] = value
        total = np.zeros(len(trials))
        for column in range(d):
            for begin in range(0, len(trials), CHUNK):
                part = slice(begin, begin + CHUNK)
                codes = self.numbers.codes[own_rows[part]]
                weights = self.density.neighbours(column, altered[part], codes, own_rows[part])
                if weights is None:
                    break
                found = self.density.surprise(column, weights, altered[part, column]) - self.usual[column]
                total[part] += np.where(np.isfinite(altered[part, column]), np.clip(found, -2.0, HIGHEST), 0.0)
        best: dict[int, list[tuple[float, set[int]]]] = {}
        for at, (cell, kind, partner, changes) in enumerate(trials):
            drop = base[of_row[cell]] - total[at]
            if kind == 0:
                self.usual_row[cell] = drop
            elif kind == 1:
                slip = self.explanations[cell].slip
                self.slip_row[cell] = drop - (slip.cost if slip else 0.0)
            else:
                self.swap_row[cell], self.explanations[cell].swap = drop - np.log(d), partner
                drop -= np.log(d)
            best.setdefault(int(of_row[cell]), []).append((drop, set(changes)))
        for cell, (_, column) in enumerate(cells):
            others = [drop for drop, changed in best.get(int(of_row[cell]), []) if column not in changed]
            self.rival[cell] = max(others, default=0.0)


def _middle(density: Conditionals, column: int, weights: object, at: int) -> float:
    """The value that the like rows have: the commonest where one is in most, else the weighted median."""
    leaves = density._leaves[column]
    assert leaves is not None
    begin, end = weights.indptr[at], weights.indptr[at + 1]  # type: ignore[attr-defined]
    share, values = weights.data[begin:end], leaves.raw[weights.indices[begin:end]]  # type: ignore[attr-defined]
    if not len(values) or share.sum() <= 0:
        return float("nan")
    order = np.argsort(values)
    place = int(np.searchsorted(np.cumsum(share[order]), 0.5 * share.sum()))
    return float(values[order][min(place, len(values) - 1)])


def _measured(
    numbers: Numbers,
    centred: np.ndarray,
    expected: np.ndarray,
    spread: np.ndarray,
    twin: np.ndarray,
    target: int | None,
    density: Conditionals,
    cells: np.ndarray,
    tried: _Trials,
    among: np.ndarray,
) -> np.ndarray:
    if not len(cells):
        return np.empty((0, len(FEATURES)))
    n, d = centred.shape
    rows, columns = cells.T
    gap, outside, same, odd, tail = (np.zeros((n, d)) for _ in range(5))
    inside = np.isin(np.arange(n), among)
    for column in range(d):
        value, plain = numbers.scaled[:, column], numbers.raw[:, column]
        gap[:, column], outside[:, column] = _gaps(value, inside)
        same[:, column] = counts(plain, plain[among]) - inside
        places = decimals(plain)
        odd[:, column] = places - np.quantile(places[np.isfinite(plain)], 0.97) if np.isfinite(plain).any() else 0
        order = np.sort(centred[among, column])
        above = len(among) - np.searchsorted(order, centred[:, column], "left") + ~inside
        tail[:, column] = -np.log((above + 1) / (len(among) + 1))
    residual = np.abs(numbers.scaled - expected) / np.sqrt(spread**2 + 0.1**2)
    width = np.nan_to_num(np.nanmedian(np.where(np.isfinite(spread), spread, np.nan), axis=0), nan=1.0)
    repeats = np.array([density.repeats(column) for column in range(d)])
    total = np.maximum(centred, -2.0).sum(1)
    each = {
        "surprise": centred[rows, columns],
        "residual": np.minimum(np.nan_to_num(residual[rows, columns]), 30),
        "deviation": np.clip(numbers.scaled[rows, columns], -30, 30),
        "gap": np.minimum(gap[rows, columns], 30),
        "same": np.log1p(np.maximum(same[rows, columns], 0)),
        "repeats": repeats[columns],
        "decimals": odd[rows, columns],
        "slip_own": tried.slip_own,
        "usual_own": tried.usual_own,
        "slip_row": tried.slip_row,
        "usual_row": tried.usual_row,
        "swap_row": tried.swap_row,
        "row": total[rows],
        "rival": tried.rival,
        "tail": tail[rows, columns],
        "target": (columns == (-1 if target is None else target)).astype(float),
        "twin": np.where(columns == (-1 if target is None else target), twin[rows], 0.0),
        "width": width[columns],
        "outside": np.minimum(outside[rows, columns], 30),
    }
    return np.column_stack([each[name] for name in FEATURES])


def _gaps(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each value to the nearest of those that are compared with, and beyond all of them (0 within).

    A value that is itself one of these is left out for itself.
    """
    gap, outside = np.zeros(len(values)), np.zeros(len(values))
    known = np.sort(values[inside & np.isfinite(values)])
    if len(known) < 3:
        return gap, outside
    padded = np.concatenate([[-np.inf, -np.inf], known, [np.inf, np.inf]])
    right = np.searchsorted(known, values, "left")
    own = inside.astype(int)
    below = values - padded[right + 1]
    above = padded[right + 2 + own] - values
    gap = np.where(np.isfinite(values), np.minimum(below, above), 0.0)
    outside = np.where(np.isinf(below) | np.isinf(above), gap, 0.0)
    return gap, np.where(np.isfinite(values), outside, 0.0)
