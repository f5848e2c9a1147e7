"""How alike generated and real rows are, and what the generated ones are good for.

The names are those of the field: column shapes and pair trends (as SDMetrics defines them), the classifier two-sample
test (Lopez-Paz and Oquab, 1610.06545), train on synthetic and test on real (Esteban et al., 1706.02633), distance to
the closest record. Frames hold the modelled columns of a ``Table``; missing values are a value of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.materials.tables.table import Table

MISSING = "(missing)"
"""A blank, where blanks are compared as a category."""
MOST_ROWS = 5000
"""Rows of one side that a quadratic or fitted measure looks at; of more, an even share."""


def column_shapes(real: pd.DataFrame, synthetic: pd.DataFrame, table: Table) -> tuple[float, dict[str, float]]:
    """How alike the columns' distributions are, 0 to 1: the mean and by column.

    1 minus the Kolmogorov-Smirnov distance of numbers, 1 minus the total variation of categories; shares of missing
    values that differ take theirs. Two draws of n rows from one law differ by about 1.2 / sqrt(n) in this measure.

    Args:
        real: rows; compare with those of training and with held-out ones, which says different things.
        synthetic: generated rows.
        table: says what the columns are.
    """
    by_column = {}
    for name in table.modelled:
        one, other = real[name], synthetic[name]
        blank = abs(float(one.isna().mean() - other.isna().mean()))
        if table.columns[name].numeric:
            distance = ks_distance(one.dropna().to_numpy(float), other.dropna().to_numpy(float))
        else:
            distance = _total_variation(one.dropna().astype(str), other.dropna().astype(str))
        by_column[name] = (1 - distance) * (1 - blank)
    return _mean(by_column.values()), by_column


def ks_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two samples' distribution functions; 1 where only one of them is empty."""
    if not len(one) or not len(other):
        return float(len(one) != len(other))
    one, other = np.sort(one), np.sort(other)
    at = np.concatenate([one, other])
    below = np.searchsorted(one, at, side="right") / len(one) - np.searchsorted(other, at, side="right") / len(other)
    return float(np.abs(below).max())


def pair_trends(
    real: pd.DataFrame, synthetic: pd.DataFrame, table: Table
) -> tuple[float, dict[tuple[str, str], float]]:
    """How alike the columns' relations are, 0 to 1: the mean and by pair.

    Of two numbers 1 minus half the difference of Pearson's correlations; else 1 minus the total variation of the joint
    table, a number in ten parts of equal weight in the real rows. Pairs with a constant column are left out.
    """
    names = [name for name in table.modelled if real[name].nunique() > 1]
    numeric = [name for name in names if table.columns[name].numeric]
    one, other = real[numeric].corr(), synthetic[numeric].corr()
    by_pair: dict[tuple[str, str], float] = {}
    binned: dict[str, tuple[pd.Series, pd.Series]] = {}
    if len(numeric) < len(names):
        binned = {name: _binned(real[name], synthetic[name], name in numeric) for name in names}
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            if first in numeric and second in numeric:
                difference = abs(float(one.loc[first, second]) - float(np.nan_to_num(other.loc[first, second])))
                by_pair[first, second] = 1 - difference / 2
            else:
                pairs = [binned[first][side] + "\0" + binned[second][side] for side in (0, 1)]
                by_pair[first, second] = 1 - _total_variation(*pairs)
    by_pair = {pair: value for pair, value in by_pair.items() if np.isfinite(value)}
    return _mean(by_pair.values()), by_pair


def two_sample_auc(real_test: pd.DataFrame, synthetic: pd.DataFrame, table: Table, seed: int = 0) -> float:
    """How well a classifier tells generated from real rows: 0.5 it cannot, 1 always.

    Area under the curve of gradient boosting's and of a forest's out-of-fold probabilities (five folds), the larger of
    the two, with as many rows of each side. Rows that are equal stay in one fold, so that repeated ones are not known
    by heart.
    """
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    size = min(len(real_test), len(synthetic), MOST_ROWS)
    if size < 10:
        raise UserError(f"{size} rows are too few for a two-sample test", "two_sample_auc", "give at least 10 of each")
    sides = [frame[table.modelled].sample(size, random_state=seed) for frame in (real_test, synthetic)]
    rows, label = pd.concat(sides, ignore_index=True), np.repeat([0, 1], size)
    values = np.nan_to_num(coded(rows, table), nan=-9e9)  # a column may be blank altogether in a fold
    groups = pd.util.hash_pandas_object(pd.DataFrame(values.round(9)), index=False).to_numpy()
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(values, label, groups))
    aucs = []
    for model in (
        HistGradientBoostingClassifier(max_iter=100, min_samples_leaf=5, random_state=seed),
        ExtraTreesClassifier(200, min_samples_leaf=2, random_state=seed),
    ):
        guess = np.empty(len(label))
        for train, test in folds:
            guess[test] = model.fit(values[train], label[train]).predict_proba(values[test])[:, 1]
        aucs.append(float(roc_auc_score(label, guess)))
    return max(aucs)


def synthetic_to_real_r2(
    train_synth: pd.DataFrame, test_real: pd.DataFrame, target: str, seed: int = 0, learner: str = "boosting"
) -> float:
    """R2 on real rows of a learner that learned from generated rows alone.

    Rows without the target are left out; texts are one category each.

    Args:
        train_synth: generated rows.
        test_real: held-out real rows.
        target: column to predict.
        seed: of the learner.
        learner: ``"boosting"`` (histogram gradient boosting) or ``"trees"`` (extremely randomised trees), as
            scikit-learn sets them.

    Raises:
        UserError: the target is not a column of numbers, or no rows are left.
    """
    from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
    from sklearn.metrics import r2_score

    names = [name for name in train_synth.columns if name != target]
    train, test = (frame.dropna(subset=[target]) for frame in (train_synth, test_real))
    if target not in train or not pd.api.types.is_numeric_dtype(train[target]):
        raise UserError("the target must be a column of numbers", f"'{target}'")
    if len(train) < 2 or len(test) < 2:
        raise UserError("there are too few rows with a target", f"'{target}'")
    both = pd.concat([train[names], test[names]], ignore_index=True)
    values = _one_hot(both)
    boosting = learner == "boosting"
    model = (
        HistGradientBoostingRegressor(random_state=seed) if boosting else ExtraTreesRegressor(200, random_state=seed)
    )
    model.fit(values[: len(train)], train[target].to_numpy(float))
    return float(r2_score(test[target].to_numpy(float), model.predict(values[len(train) :])))


def closest_record(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, table: Table | None = None
) -> dict[str, float]:
    """Distances of generated rows to the nearest training row, beside those of held-out real rows.

    Columns are standardised by the training rows; a category that differs counts as two deviations would.

    Returns:
        ``ratio`` of the medians (below 1: nearer to the training rows than real rows are), ``synthetic`` and ``real``:
        the medians themselves, ``copies``: share of generated rows equal to a training row, ``copies_real``: of real.
    """
    names = table.modelled if table is not None else list(train.columns)
    points = _points([frame[names] for frame in (train, test, synthetic)])
    made = nearest(points[0], points[2])
    real = nearest(points[0], points[1])
    middle_made, middle_real = float(np.median(made)), float(np.median(real))
    ratio = middle_made / middle_real if middle_real > 0 else (float("inf") if middle_made > 0 else 1.0)
    return {
        "ratio": ratio,
        "synthetic": middle_made,
        "real": middle_real,
        "copies": float((made < COPY).mean()),
        "copies_real": float((real < COPY).mean()),
    }


COPY = 1e-6
"""Rows nearer than this, in standard deviations, are equal."""


def nearest(points: np.ndarray, of: np.ndarray, neighbours: int = 1) -> np.ndarray:
    """Distance of each row of ``of`` to its nearest ``points``, (rows,); of several, (rows, neighbours)."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(neighbours, len(points)), algorithm="kd_tree").fit(points)
    distances = search.kneighbors(of)[0]
    return distances[:, 0] if neighbours == 1 else distances


def coded(frame: pd.DataFrame, table: Table) -> np.ndarray:
    """Numbers as they are and categories as places in their levels, (rows, columns); blanks are NaN."""
    made = []
    for name in table.modelled:
        column = table.columns[name]
        if column.numeric:
            made.append(frame[name].to_numpy(float))
        else:
            places: Mapping[str, int] = {level: place for place, level in enumerate(column.levels)}
            made.append(frame[name].map(places).to_numpy(float))
    return np.stack(made, 1) if made else np.empty((len(frame), 0))


def _points(frames: Sequence[pd.DataFrame]) -> list[np.ndarray]:
    """Rows of several frames in one Euclidean space, scaled by the first; blanks are the mean and a mark."""
    both = pd.concat(frames, ignore_index=True)
    first = len(frames[0])
    parts = []
    for name in both.columns:
        values = both[name]
        if pd.api.types.is_numeric_dtype(values):
            numbers = values.to_numpy(float)
            known = numbers[:first][np.isfinite(numbers[:first])]
            middle, width = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
            scaled = (numbers - middle) / (width if width > 0 else 1.0)
            parts.append(np.nan_to_num(scaled))
            if np.isnan(numbers).any():
                parts.append(np.isnan(numbers).astype(float))
        else:
            codes = pd.get_dummies(values.fillna(MISSING).astype(str)).to_numpy(float)
            parts.extend(np.sqrt(2.0) * codes.T)  # two that differ are two apart
    points = np.stack(parts, 1)
    ends = np.cumsum([0, *(len(frame) for frame in frames)])
    return [points[start:end] for start, end in pairwise(ends)]


def _one_hot(frame: pd.DataFrame) -> np.ndarray:
    """Numbers (blanks far below them all) and a column a category."""
    parts = []
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[name]):
            numbers = frame[name].to_numpy(float)
            known = numbers[np.isfinite(numbers)]
            low = known.min() - 10 * (np.ptp(known) + 1) if len(known) else 0.0
            parts.append(np.where(np.isfinite(numbers), numbers, low)[:, None])
        else:
            parts.append(pd.get_dummies(frame[name].fillna(MISSING).astype(str)).to_numpy(float))
    return np.concatenate(parts, 1)


def _binned(real: pd.Series, synthetic: pd.Series, numeric: bool) -> tuple[pd.Series, pd.Series]:
    """Both as texts; numbers by tenths of the real rows."""
    if not numeric:
        return real.fillna(MISSING).astype(str), synthetic.fillna(MISSING).astype(str)
    edges = np.unique(np.quantile(real.dropna(), np.linspace(0, 1, 11)[1:-1]))

    def places(values: pd.Series) -> pd.Series:
        codes = np.where(values.isna(), -1, np.searchsorted(edges, values.to_numpy(float), side="right"))
        return pd.Series(codes, index=values.index).astype(str)

    return places(real), places(synthetic)


def _total_variation(one: pd.Series, other: pd.Series) -> float:
    if not len(one) or not len(other):
        return float(len(one) != len(other))
    shares = one.value_counts(normalize=True).sub(other.value_counts(normalize=True), fill_value=0.0)
    return float(shares.abs().sum() / 2)


def _mean(values: object) -> float:
    listed = list(values)  # type: ignore[call-overload]
    return float(np.mean(listed)) if listed else 1.0
