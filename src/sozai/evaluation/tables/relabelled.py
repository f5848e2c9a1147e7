"""Rows of generators with the labels of learners: what good models of the real rows expect of new features.

A learner that is trained on them comes to predict much as the mean of its teachers does (C. Bucila et al., Model
compression, KDD 2006; L. Breiman, N. Shang, Born again trees, 1996): it gains where they are better than it is alone.
That mean is weighted by how well each teacher predicts rows that it has not seen.
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

TIMES = {"boosting": 4}
"""A teacher whose predictions differ from seed to seed is the mean of several."""
SPLITS = 5
"""Cross-validation that tells how good the teachers are."""
SHARP = 2
"""Power of its mean squared error by which a teacher counts less: on few rows errors are known too badly for more."""


class Relabelled(TableGenerator):
    """Features of other generators, in turn, and as labels the weighted mean of what learners of the rows predict.

    Args:
        features: any generators of table rows; their own labels are thrown away.
        teachers: learners (see ``learners``), and what each would count if all were as good.
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
        """What each teacher counts, in sum 1, by its cross-validated error; families of rows are not parted."""
        family = groups(known, self.target)
        error = dict.fromkeys(self.teachers, 1.0)
        if len(self.teachers) > 1 and len(np.unique(family)) >= SPLITS:
            guess = {name: np.zeros(len(values)) for name in self.teachers}
            for fold in parted(family, SPLITS, seed):
                train, test = known.frame.iloc[fold.train], known.frame.iloc[fold.test]
                for name in self.teachers:
                    model = learner(name, known, self.target, seed, len(fold.train)).fit(train, values[fold.train])
                    guess[name][fold.test] = model.predict(test)
            error = {name: float(((found - values) ** 2).mean()) for name, found in guess.items()}
        # A teacher without any error takes all; several of them share it.
        least = max(min(error.values()), 1e-12 * float(values.var()), 1e-300)
        counts = {name: share * (least / max(error[name], least)) ** SHARP for name, share in self.teachers.items()}
        return {name: count / sum(counts.values()) for name, count in counts.items()}

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
