"""Rows of a generator with the labels of a learner: what a good model of the real rows expects of new features."""

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


class Relabelled(TableGenerator):
    """Features of another generator, and the mean prediction of learners of the training rows as labels.

    Args:
        features: any generator of table rows; its own labels are thrown away.
        teachers: learners, see ``learners``; several are averaged.
    """

    name: ClassVar[str] = "relabelled"

    def __init__(self, features: TableGenerator, teachers: Sequence[str] = ("gaussian-process",)):
        self.features, self.teachers = features, tuple(teachers)

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
        self.features.fit(data, on_progress, rules=rules, target=target, seed=seed, max_time=max_time)
        frame = data.frame[data.modelled]
        known = frame[frame[target].notna()]
        values = known[target].to_numpy(float)
        self.models = [learner(name, data, target, seed).fit(known, values) for name in self.teachers]
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
        made = self.features.sample(count, given, seed=seed, on_progress=on_progress, **options)
        guess = np.mean([model.predict(made) for model in self.models], axis=0)
        return made.assign(**{self.target: np.clip(guess, *self.range)})
