"""Splits of a table that do not leak: rows of one family stay on one side.

Near copies on both sides of a split make any model look good. A family is what must not be parted: rows that are equal
or nearly so, the same mix at other ages (or temperatures, or times), the same formula. Four kinds of split ask four
questions, from easy to hard: new rows like the old ones (random), of another region (cluster), with an element or
ingredient never seen (element), and beyond the best known (extrapolation); most work reports the first only
(K. Li et al., arXiv:2406.06489).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.materials.tables.compositions import amounts_of
from sozai.materials.tables.table import Table

How = Literal["random", "cluster", "element", "extrapolation"]
HOWS: tuple[How, ...] = ("random", "cluster", "element", "extrapolation")
CONDITION_SHARE = 0.3
"""A column is a condition where it alone tells apart at least this share of the rows from others."""
NEAR = 1e-3
"""Rows are near copies where no number differs by more than this share of its column's range."""
LARGEST_FAMILY = 0.2
"""Families of near copies that would hold a larger share of the rows come of a fine grid, not of copies."""


@dataclass(frozen=True)
class Fold:
    """One split.

    Args:
        name: what is left out, e.g. ``"fold 2"``, ``"without Co"``.
        train: places (0 .. rows - 1) to learn from.
        test: places to judge on.
    """

    name: str
    train: np.ndarray
    test: np.ndarray


def conditions(table: Table, target: str) -> list[str]:
    """Columns that vary within otherwise equal rows: at which age or temperature the same thing was tested.

    Where most columns do so the table is a grid of experiments, and none of them is a condition.
    """
    frame = _features(table, target)
    names = list(frame.columns)
    if len(names) < 3:
        return []
    codes = _codes(frame)
    found = []
    for place, name in enumerate(names):
        others = np.delete(codes, place, axis=1)
        family = _labels(others)
        kinds = pd.Series(codes[:, place]).groupby(family).transform("nunique")
        if (kinds > 1).mean() >= CONDITION_SHARE:
            found.append(name)
    return found if len(found) <= len(names) / 3 else []


def groups(table: Table, target: str) -> np.ndarray:
    """The family of each row, (rows,) int: rows with the same number must stay on the same side of a split.

    A family holds rows whose features are equal or nearly so, apart from conditions (see ``conditions``), and rows
    with the same formula.

    Args:
        table: the rows.
        target: the column to predict; it plays no part in what is equal.
    """
    count = len(table)
    if count == 0:
        return np.zeros(0, int)
    frame = _features(table, target).drop(columns=conditions(table, target))
    exact = _labels(_codes(frame)) if len(frame.columns) else np.arange(count)
    joined = [exact]
    near = _near(frame, table)
    if near is not None:
        both = _union([exact, near])
        # Chains of small steps can join a whole scan; only then are equal rows alone the family.
        if np.bincount(both).max() <= max(LARGEST_FAMILY * count, np.bincount(exact).max()):
            joined.append(near)
    for name, column in table.columns.items():
        if column.kind == "formula" and name != target:
            keys = pd.Series([same_formula(text) or f"row {row}" for row, text in enumerate(table.frame[name])])
            joined.append(pd.factorize(keys)[0])
    return _union(joined)


def folds(table: Table, target: str, how: How = "random", n: int = 5, seed: int = 0) -> list[Fold]:
    """Splits of the rows; families (see ``groups``) are never parted.

    Args:
        table: the rows; the target must be known in all of them for ``"extrapolation"``.
        target: the column to predict.
        how: ``"random"``: families by chance; ``"cluster"``: one region of the features left out (k-means, as in
            LOCO-CV, B. Meredig et al., doi:10.1039/c8me00012c); ``"element"``: all rows with one element of the
            formula left out, or, of a table without formulas, with one ingredient (a column that is often zero);
            ``"extrapolation"``: the highest targets, the lowest, and the rows farthest from the middle.
        n: of splits, at most, for the first three.
        seed: same seed, same splits.

    Returns:
        No splits where the table does not allow the kind: no formula or ingredient, or too few families.

    Raises:
        UserError: there are fewer than two families, or no such kind of split.
    """
    if how not in HOWS:
        raise UserError(f"there is no split '{how}'", "splits", f"use one of {', '.join(HOWS)}")
    family = groups(table, target)
    if len(np.unique(family)) < 2:
        raise UserError(
            "all rows are of one family (copies, or one thing under several conditions), so none can be left out "
            "to judge on",
            table.source,
        )
    makers = {"random": _random, "cluster": _clusters, "element": _elements, "extrapolation": _extremes}
    made = makers[how](table, target, family, n, seed)
    return [fold for fold in made if len(fold.train) >= 5 and len(fold.test) >= 2]


def parted(family: np.ndarray, n: int, seed: int) -> list[Fold]:
    """Families dealt by chance to ``n`` folds of about equal size, largest first."""
    rng = np.random.default_rng(seed)
    labels, sizes = np.unique(family, return_counts=True)
    order = rng.permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    n = min(n, len(labels))
    filled, where = np.zeros(n), np.empty(len(labels), int)
    for label in order:
        least = np.flatnonzero(filled == filled.min())
        where[label] = rng.choice(least)
        filled[where[label]] += sizes[label]
    side = where[np.searchsorted(labels, family)]
    return [Fold(f"fold {k + 1}", np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(n)]


def same_formula(text: object) -> str:
    """A formula as fractions of elements, so that LiCoO2 is Li2Co2O4 and ``Al1 Co1`` is ``AlCo``; empty where the
    cell holds none."""
    amounts = _amounts(text)
    whole = sum(amounts.values())
    return " ".join(f"{symbol}{amounts[symbol] / whole:.3f}" for symbol in sorted(amounts)) if whole > 0 else ""


def scaled(table: Table, names: Sequence[str]) -> np.ndarray:
    """Columns as numbers of comparable size, (rows, columns): numbers by their spread, categories one by one,
    missing values at the middle."""
    parts: list[np.ndarray] = []
    for name in names:
        column = table.columns[name]
        if column.numeric:
            values = table.frame[name].to_numpy(float)
            known = values[np.isfinite(values)]
            spread = known.std() if len(known) else 0.0
            if spread > 0:
                parts.append((np.where(np.isfinite(values), values, known.mean()) - known.mean())[:, None] / spread)
        elif column.kind in ("category", "ordinal"):
            parts.append(pd.get_dummies(table.frame[name]).to_numpy(float))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(table), 0))


def _random(table: Table, target: str, family: np.ndarray, n: int, seed: int) -> list[Fold]:
    return parted(family, n, seed)


def _clusters(table: Table, target: str, family: np.ndarray, n: int, seed: int) -> list[Fold]:
    from sklearn.cluster import KMeans

    points = scaled(table, [name for name in table.modelled if name != target])
    labels, first = np.unique(family, return_inverse=True)
    if points.shape[1] == 0 or len(labels) < 2 * n:
        return []
    sizes = np.bincount(first)
    middles = np.stack([np.bincount(first, column) / sizes for column in points.T], axis=1)
    side = KMeans(n, n_init=4, random_state=seed).fit_predict(middles, sample_weight=sizes)[first]
    return [
        Fold(f"region {k + 1}", np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(n) if k in side
    ]


def _elements(table: Table, target: str, family: np.ndarray, n: int, seed: int) -> list[Fold]:
    shares = sorted(((abs(present.mean() - 0.2), name, present) for name, present in _presences(table, target, family)))
    return [
        Fold(f"without {name}", np.flatnonzero(~present), np.flatnonzero(present)) for _, name, present in shares[:n]
    ]


def _presences(table: Table, target: str, family: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Elements or ingredients that 5% to 60% of the rows have; a family has what one of its rows has."""
    found: dict[str, np.ndarray] = {}
    formulas = [name for name, column in table.columns.items() if column.kind == "formula" and name != target]
    if formulas:
        rows = [set(_amounts(text)) for text in table.frame[formulas[0]]]
        found = {symbol: np.array([symbol in row for row in rows]) for symbol in sorted(set().union(*rows))}
    else:
        for name in table.numeric:
            values = table.frame[name].to_numpy(float)
            if name != target and (values == 0).mean() >= 0.2 and not (values < 0).any():
                found[name] = values > 0
    for name, present in found.items():
        whole = np.isin(family, np.unique(family[present]))
        if 0.05 <= whole.mean() <= 0.6:
            yield name, whole


def _extremes(table: Table, target: str, family: np.ndarray, n: int, seed: int) -> list[Fold]:
    """A fifth of the rows each: highest and lowest targets, and the farthest features."""
    measures: dict[str, np.ndarray] = {}
    column = table.columns[target]
    if column.numeric:
        values = table.frame[target].to_numpy(float)
        measures = {f"highest {target}": values, f"lowest {target}": -values}
    points = scaled(table, [name for name in table.modelled if name != target])
    if points.shape[1]:
        measures["farthest features"] = np.sqrt(((points - np.median(points, axis=0)) ** 2).sum(1))
    made = []
    for name, measure in measures.items():
        by_family = pd.Series(measure).groupby(family)
        order = by_family.mean().sort_values(ascending=False, kind="stable").index
        sizes = by_family.size().loc[order].to_numpy()
        out = order[: max(1, int(np.searchsorted(np.cumsum(sizes), len(table) / 5, side="right")))]
        test = np.isin(family, out)
        made.append(Fold(name, np.flatnonzero(~test), np.flatnonzero(test)))
    return made


def _amounts(text: object) -> dict[str, float]:
    """Amount of each element; empty of a cell that holds no formula."""
    return (amounts_of(text) if isinstance(text, str) else None) or {}


def _features(table: Table, target: str) -> pd.DataFrame:
    """What tells rows apart: the modelled columns and formulas, without the target."""
    names = [
        name
        for name, column in table.columns.items()
        if name != target and (name in table.modelled or column.kind == "formula")
    ]
    return table.frame[names]


def _codes(frame: pd.DataFrame) -> np.ndarray:
    """Each column's values as whole numbers, (rows, columns); missing ones are equal to each other."""
    return np.stack([pd.factorize(frame[name], use_na_sentinel=True)[0] for name in frame.columns], axis=1)


def _labels(codes: np.ndarray) -> np.ndarray:
    if codes.shape[1] == 0:
        return np.zeros(len(codes), int)
    return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)


def _near(frame: pd.DataFrame, table: Table) -> np.ndarray | None:
    """Components of near copies; ``None`` where there are no numbers to compare or some other column differs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    numbers = [name for name in frame.columns if table.columns[name].numeric]
    if not numbers:
        return None
    values = frame[numbers].to_numpy(float)
    low, high = np.nanmin(values, axis=0, initial=np.inf), np.nanmax(values, axis=0, initial=-np.inf)
    span = np.where(high > low, high - low, 1.0)
    points = (np.nan_to_num(values, nan=0.0) - np.where(np.isfinite(low), low, 0.0)) / span
    points = np.where(np.isnan(values), -10.0, points)  # missing is near to missing only
    others = _labels(_codes(frame.drop(columns=numbers))) if len(numbers) < len(frame.columns) else None
    if others is not None:
        points = np.column_stack([points, 10.0 * others])
    # Equal rows are one family already: a point of each is enough, and keeps the number of pairs small.
    unique, place = np.unique(points, axis=0, return_inverse=True)
    pairs = cKDTree(unique).query_pairs(NEAR, p=np.inf, output_type="ndarray")
    ones = np.ones(len(pairs))
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(unique), len(unique)))
    return connected_components(graph, directed=False)[1][place.reshape(-1)]


def _union(partitions: Sequence[np.ndarray]) -> np.ndarray:
    """The finest partition that parts nothing that one of these joins."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, start = len(partitions[0]), len(partitions[0])
    rows, ends = [], []
    for labels in partitions:  # a node for each row and each label
        rows.append(np.arange(count))
        ends.append(start + labels)
        start += int(labels.max()) + 1
    edges = np.concatenate(rows), np.concatenate(ends)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(start, start))
    found = connected_components(graph, directed=False)[1][:count]
    return np.unique(found, return_inverse=True)[1].reshape(-1)
