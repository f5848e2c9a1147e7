"""The learners that say whether a table has become more useful: each a pipeline from rows to a number.

All take the feature columns as they stand in ``Table.frame``; filling of missing values, scaling and the coding of
categories are fitted with the learner, so that nothing of a test row gets into them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    VotingRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sozai.errors import UserError
from sozai.evaluation.tables.feature_machine import FeatureMachine
from sozai.materials.tables.table import Table

LEARNERS = ("boosting", "forest", "gaussian-process", "ridge", "ensemble")
ALSO = ("feature-machine",)
"""Learners that are not compared unless named."""
MEMBERS = ("boosting", "forest", "gaussian-process")
"""Whose mean the ensemble is."""
MANY_ROWS = 3000
"""From here on boosting works on histograms: as good on many rows and much faster."""
TREES, TREES_FROM = (150, 500), 200
"""Trees of boosting: the fewest up to so many rows, then more with more rows. On 50 or 200 real rows the most do no
better than the fewest; of 1,000 rows the fewest are too few to follow them."""
GP_ROWS = 150
"""Rows from which the length scales of a Gaussian process are learned."""
GP_STEPS = 15
"""Steps of the search for its scales."""
GP_ROWS_EACH = 8
"""Rows for each feature from which every feature gets a length scale of its own."""
BEYOND = 0.1
"""By how much of the targets' range predictions of a Gaussian process or a line may lie outside of it."""
GP_MOST_ROWS = 1500
"""Rows that a Gaussian process remembers: its time grows with their cube."""


class Unskew(TransformerMixin, BaseEstimator):
    """Logarithm of columns of positive, long-tailed numbers, such as ages and times; others pass."""

    def fit(self, values: np.ndarray, y: Any = None) -> Unskew:
        """Find them: no value below 0, and skewness above 1.5 that the logarithm makes smaller."""
        values = np.asarray(values, float)
        self.scale_ = np.full(values.shape[1], np.nan)
        for place, column in enumerate(values.T):
            above = column[column > 0]
            if len(above) < 3 or column.min() < 0:
                continue
            scale = float(np.median(above))
            if skewness(column) > 1.5 and abs(skewness(np.log1p(column / scale))) < skewness(column):
                self.scale_[place] = scale
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The same columns, (rows, columns)."""
        values = np.array(values, float)
        for place in np.flatnonzero(np.isfinite(self.scale_)):
            values[:, place] = np.log1p(np.maximum(values[:, place], 0.0) / self.scale_[place])
        return values


class GaussianProcess(RegressorMixin, BaseEstimator):
    """A Gaussian process (Matern 5/2 and noise) that stays quick and sane on few rows.

    Its scales are learned on a part of the rows, at their most probable values under a prior that grows with the number
    of features (C. Hvarfner et al., arXiv:2402.02229): likelihood alone takes 50 rows of 13 features for a steep plane,
    and predicts far beyond all that was measured (R2 of -0.7 was met). Means stay near the range of the targets.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, features: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None) -> GaussianProcess:
        """Learn from rows that are scaled to unit spread.

        The noise of a row is taken as larger the less it weighs. Scales and noise are learned from the rows of greatest
        weight, the measured ones: labels that a model made are smooth where that is, and tell scales of its own.
        """
        rng = np.random.default_rng(self.seed)
        features, target = np.asarray(features, float), np.asarray(target, float)
        weight = np.ones(len(target)) if sample_weight is None else np.asarray(sample_weight, float)
        measured = np.flatnonzero(weight >= weight.max())
        wide = features.shape[1]
        count = wide if len(measured) >= GP_ROWS_EACH * wide else 1
        usual = np.array([0.0, *np.full(count, np.sqrt(2) + np.log(wide) / 2), -3.0])
        spread = np.array([1.0, *np.full(count, 1.2), 1.5])
        scales = np.exp(usual[1:-1]) if count > 1 else float(np.exp(usual[1]))
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(scales, (0.1, 1e3), nu=2.5) + WhiteKernel(0.05, (1e-4, 1e1))
        part = measured[_part(len(measured), GP_ROWS, rng)]
        climb = partial(_climb, usual=usual, spread=spread)
        learned = GaussianProcessRegressor(kernel, normalize_y=True, alpha=1e-8, optimizer=climb)
        learned.fit(features[part], target[part])
        if len(part) < len(target):
            # The measured ones first: others tell less.
            some = rng.permutation(len(target))
            part = np.sort(some[np.argsort(-weight[some], kind="stable")][:GP_MOST_ROWS])
            more = learned.kernel_.k2.noise_level * (1 / weight[part] - 1)
            learned = GaussianProcessRegressor(learned.kernel_, optimizer=None, normalize_y=True, alpha=1e-8 + more)
            learned.fit(features[part], target[part])
        self.model_ = learned
        self.range_ = _range(target)
        return self

    def predict(self, features: np.ndarray, return_std: bool = False) -> Any:
        """Mean, (rows,), and the standard deviation of a new measurement if asked."""
        found = self.model_.predict(np.asarray(features, float), return_std=return_std)
        return (np.clip(found[0], *self.range_), found[1]) if return_std else np.clip(found, *self.range_)


class Ridge(RidgeCV):
    """Ridge regression whose strength is chosen by leave-one-out, and whose predictions stay near the targets' range:
    a line through few rows can be off by any amount."""

    def fit(self, features: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None) -> Ridge:
        """See ``RidgeCV``."""
        self.range_ = _range(np.asarray(target, float))
        return super().fit(features, target, sample_weight=sample_weight)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """See ``RidgeCV``."""
        return np.clip(super().predict(features), *self.range_)


def learner(name: str, table: Table, target: str, seed: int = 0, rows: int | None = None) -> Pipeline:
    """An untrained learner of a numeric target from the modelled columns of a table.

    Args:
        name: one of ``LEARNERS`` or ``ALSO``.
        table: tells the kinds of the columns and about how many rows there will be; its values are not looked at.
        target: the column to predict.
        seed: same seed, same learner.
        rows: that it will learn from; by default those of the table.

    Returns:
        An estimator with ``fit(frame, values)`` and ``predict(frame)``; frames hold at least the feature columns. Its
        last step takes ``sample_weight``, see ``weighted``.

    Raises:
        UserError: no such learner, or no feature columns.
    """
    numbers = [name_ for name_ in table.numeric if name_ != target]
    words = [name_ for name_ in table.modelled if name_ not in numbers and name_ != target]
    if not numbers and not words:
        raise UserError("there is no column to predict the target from", table.source)
    if name == "boosting":
        model: Any = (
            GradientBoostingRegressor(n_estimators=_trees(rows or len(table)), learning_rate=0.08, max_depth=3,
                                      subsample=0.7, min_samples_leaf=2, random_state=seed)
            if len(table) < MANY_ROWS
            else HistGradientBoostingRegressor(max_iter=300, learning_rate=0.08, random_state=seed)
        )  # fmt: skip
        return make_pipeline(_prepared(numbers, words, scaled=False), model)
    if name == "forest":
        model = ExtraTreesRegressor(100, random_state=seed)
        return make_pipeline(_prepared(numbers, words, scaled=False), model)
    if name == "gaussian-process":
        return make_pipeline(_prepared(numbers, words, scaled=True), GaussianProcess(seed))
    if name == "feature-machine":
        return make_pipeline(_prepared(numbers, words, scaled=True), FeatureMachine(seed))
    if name == "ensemble":
        members = [(each, learner(each, table, target, seed, rows)) for each in MEMBERS]
        return make_pipeline(VotingRegressor(members))
    if name == "ridge":
        model = Ridge(np.logspace(-3, 4, 22))
        return make_pipeline(_prepared(numbers, words, scaled=True), model)
    raise UserError(f"there is no learner '{name}'", "learners", f"use some of {', '.join((*LEARNERS, *ALSO))}")


def weighted(model: Pipeline, frame: pd.DataFrame, values: np.ndarray, weights: np.ndarray) -> Pipeline:
    """A learner fitted on rows of unequal weight: above 0, 1 for a measured one; (rows,)."""
    return model.fit(frame, values, **{f"{model.steps[-1][0]}__sample_weight": weights})


def _trees(rows: int) -> int:
    return round(min(max(TREES[0] * (rows / TREES_FROM) ** 0.75, TREES[0]), TREES[1]))


def _prepared(numbers: list[str], words: list[str], scaled: bool) -> ColumnTransformer:
    """From a frame to a matrix of numbers without gaps; a gap is told by a column of its own."""
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    steps: list[Any] = [filled, Unskew(), StandardScaler()] if scaled else [filled]
    coded = make_pipeline(
        FunctionTransformer(_told),
        OneHotEncoder(handle_unknown="ignore", max_categories=20, sparse_output=False),
    )
    parts = [("numbers", make_pipeline(*steps), numbers)] if numbers else []
    return ColumnTransformer([*parts, ("words", coded, words)] if words else parts)


def _told(frame: pd.DataFrame) -> pd.DataFrame:
    """Blanks as a word of their own."""
    return frame.astype(object).where(frame.notna(), "(missing)")


def _climb(
    objective: Any, start: np.ndarray, bounds: np.ndarray, usual: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, float]:
    """The first steps bring nearly all of the posterior: likelihood, and a normal prior on the logarithms."""
    from scipy.optimize import minimize

    def lost(place: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = objective(place)
        far = (place - usual) / spread
        return value + 0.5 * float(far @ far), slope + far / spread

    found = minimize(lost, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": GP_STEPS})
    return found.x, found.fun


def _part(count: int, most: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))


def _range(target: np.ndarray) -> tuple[float, float]:
    margin = BEYOND * np.ptp(target)
    return float(target.min() - margin), float(target.max() + margin)


def skewness(values: np.ndarray) -> float:
    """Third standardised moment of numbers, (rows,); 0 where they are all the same."""
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
