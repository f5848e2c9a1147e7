"""Rows of generators with the labels of learners: what good models of the real rows expect of new features.

A learner that is trained on them comes to predict much as the mean of its teachers does (C. Bucila et al., Model
compression, KDD 2006; L. Breiman, N. Shang, Born again trees, 1996): it gains where they are better than it is alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.evaluation.tables.learners import learner
from sozai.generators.base import Progress
from sozai.generators.tables.base import TableGenerator
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Table

TIMES = {"boosting": 4}
"""A teacher whose predictions differ from seed to seed is the mean of several."""


class Relabelled(TableGenerator):
    """Features of other generators, in turn, and the mean prediction of learners of the training rows as labels.

    Args:
        features: any generators of table rows; their own labels are thrown away.
        teachers: learners, see ``learners``; several are averaged.
    """

    name: ClassVar[str] = "relabelled"

    def __init__(self, features: Sequence[TableGenerator], teachers: Sequence[str] = ("gaussian-process",)):
        self.features, self.teachers = tuple(features), tuple(teachers)

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
        frame = data.frame[data.modelled]
        known = frame[frame[target].notna()]
        values = known[target].to_numpy(float)
        self.models = [
            [learner(name, data, target, seed + again).fit(known, values) for again in range(TIMES.get(name, 1))]
            for name in self.teachers
        ]
        self.range = float(values.min()), float(values.max())
        return self

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
        guess = np.mean([np.mean([model.predict(made) for model in same], axis=0) for same in self.models], axis=0)
        return made.assign(**{self.target: np.clip(guess, *self.range)})
