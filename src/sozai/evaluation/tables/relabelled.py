"""Rows of generators with the labels of learners: what good models of the real rows expect of new features.

A learner that is trained on them comes to predict much as the mean of its teachers does (C. Bucila et al., Model
compression, KDD 2006; L. Breiman, N. Shang, Born again trees, 1996): it gains where they are better than it is alone.
In that mean the learner itself has a large share, as the mean of several seeds, and what the others get beyond theirs
they have to earn on rows that they have not seen: so it is hardly ever worse than the learner alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.evaluation.tables.learners import learner
from sozai.evaluation.tables.splits import groups, parted
from sozai.generators.base import Progress
from sozai.generators.tables.base import TableGenerator
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Table

TIMES = {"boosting": 8}
"""A teacher whose predictions differ from seed to seed is the mean of several, and as such never worse than one of them
(the squared error is convex): the safe part of the mean."""
SPLITS, TRIED = 5, 2
"""Cross-validation that tells how good the teachers are, and of how many seeds the mean is there at most."""
FIRM = 3.0
"""How firmly a teacher keeps its share against what the cross-validation says: on few rows errors are known badly."""


class Relabelled(TableGenerator):
    """Features of other generators, in turn, and as labels the weighted mean of what learners of the rows predict.

    Args:
        features: any generators of table rows; their own labels are thrown away.
        teachers: learners (see ``learners``), and what each counts, in sum above 0, before their errors are known; one
            of 0 has to earn all it gets.
    """

    name: ClassVar[str] = "relabelled"

    def __init__(self, features: Sequence[TableGenerator], teachers: Mapping[str, float]):
        self.features, self.teachers = tuple(features), dict(teachers)

    def fit(  # type: ignore[override]
        self,
        data: Table,
        on_progress: Progress | None = None,
        *,
        rules: TableRules | None = None,
        target: str | None = None,
        seed: int = 0,
        max_time: float | str = float("inf"),
    ) -> Self:
        """See ``TableGenerator``; a numeric target is needed."""
        if target is None or not data.column(target).numeric:
            raise UserError("rows can be labelled only with a target that is a number", "target")
        self.target = target
        for generator in self.features:
            generator.fit(data, on_progress, rules=rules, target=target, seed=seed, max_time=max_time)
        known = data.rows(np.flatnonzero(data.frame[target].notna()))
        values = known.frame[target].to_numpy(float)
        self.weights = self._trust(known, values, seed)
        self.models = {
            name: [
                learner(name, data, target, seed + again).fit(known.frame, values)
                for again in range(TIMES.get(name, 1))
            ]
            for name in self.teachers
        }
        self.range = float(values.min()), float(values.max())
        return self

    def _trust(self, known: Table, values: np.ndarray, seed: int) -> dict[str, float]:
        """What each teacher counts, in sum 1, by cross-validated errors; families of rows are not parted."""
        shares = np.array(list(self.teachers.values()), float) / sum(self.teachers.values())
        family, spread = groups(known, self.target), float(values.std())
        if len(self.teachers) > 1 and spread > 0 and len(np.unique(family)) >= SPLITS:
            guess = {name: np.zeros(len(values)) for name in self.teachers}
            for fold in parted(family, SPLITS, seed):
                train, test = known.frame.iloc[fold.train], known.frame.iloc[fold.test]
                for name in self.teachers:
                    for again in range(times := min(TIMES.get(name, 1), TRIED)):
                        model = learner(name, known, self.target, seed + again, len(fold.train))
                        guess[name][fold.test] += model.fit(train, values[fold.train]).predict(test) / times
            shares = shares_of(np.array([(guess[name] - values) / spread for name in self.teachers]), shares)
        return dict(zip(self.teachers, shares.tolist(), strict=True))

    def sample(  # type: ignore[override]
        self,
        count: int,
        given: Sequence[str] | None = None,
        seed: int = 0,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """See ``TableGenerator``; labels stay within the range of the training rows."""
        each = -(-count // len(self.features))
        parts = [
            generator.sample(each, given, seed=seed, on_progress=on_progress, **options) for generator in self.features
        ]
        # One of each in turn, so that the first rows are of all alike.
        made = pd.concat(parts).sort_index(kind="stable").reset_index(drop=True).iloc[:count]
        guess = sum(
            (self.weights[name] * np.mean([model.predict(made) for model in same], axis=0))
            for name, same in self.models.items()
        )
        return made.assign(**{self.target: np.clip(np.asarray(guess, float), *self.range)})


def shares_of(errors: np.ndarray, usual: np.ndarray, firm: float = FIRM) -> np.ndarray:
    """Shares of models in a mean: of least squared error, but near to the usual ones (stacking with non-negative
    weights, L. Breiman, Machine Learning 24, 49, 1996, as ridge regression about those).

    Args:
        errors: of each model on the same rows that it has not seen, in spreads of the target, (models, rows).
        usual: shares before the errors are known, in sum 1, (models,).
        firm: how firmly they are kept; the more rows, the less.

    Returns:
        None below 0, in sum 1, (models,).
    """
    from scipy.optimize import nnls

    models, rows = errors.shape
    hold = np.sqrt(firm / np.sqrt(rows))
    # Of weight enough that the sum is 1 before anything else.
    one = 1e3 * np.ones((1, models))
    left = np.vstack([errors.T / np.sqrt(rows), hold * np.eye(models), one])
    found = nnls(left, np.concatenate([np.zeros(rows), hold * usual, one[:, 0]]))[0]
    return found / found.sum()
