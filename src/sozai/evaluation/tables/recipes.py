"""Synthetic rows for one training set: which generator, how many, and which of its rows are kept.

An ``Augmenter`` is given training rows and nothing else. It fits generators on them, on demand, and hands out rows: the
rows that a model is judged on cannot reach a generator, because there is no way to pass them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.evaluation.tables.learners import MEMBERS, learner, weighted
from sozai.evaluation.tables.splits import scaled
from sozai.generators.tables.base import TableGenerator
from sozai.materials.tables.table import Table

Fit = Callable[[Table, int], TableGenerator]
"""From training rows and a seed to a generator that was fitted on them."""
Keep = Literal["all", "confident", "near"]
KEEPS: tuple[Keep, ...] = ("all", "confident", "near")
TAUGHT = "taught"
"""Interpolated and smoothed features, labelled by the weighted mean of three learners (see ``relabelled``)."""
RATIOS, ROWS = (2.0, 32.0), 1600
"""Synthetic rows for each real one: at least and at most, and how many rows to come to in between."""
WEIGHTS = {TAUGHT: 0.3}
"""What a synthetic row counts in the fit of a learner, where a real one counts 1; of other generators it is 1 too."""


def usual_ratios(rows: int) -> tuple[float, float]:
    """Synthetic rows for each of so many real ones: what serves most tables, and half of it."""
    ratio = float(round(min(max(ROWS / rows, RATIOS[0]), RATIOS[1])))
    return ratio, ratio / 2


@dataclass(frozen=True, order=True)
class Recipe:
    """How synthetic rows are made.

    Args:
        generator: its name.
        ratio: synthetic rows for each real one.
        keep: ``"all"``; ``"confident"``: the half of the rows on whose label an ensemble agrees best; ``"near"``: the
            half nearest to real rows.
        weight: of each of its rows in the fit of a learner, where a real row weighs 1; above 0.
    """

    generator: str
    ratio: float = RATIOS[1]
    keep: Keep = "all"
    weight: float = 1.0

    def __str__(self) -> str:
        kept = {"all": "", "confident": ", confident labels only", "near": ", near the data only"}[self.keep]
        counts = "" if self.weight == 1 else f", each of weight {self.weight:g}"
        return f"{self.generator} ({self.ratio:g} synthetic rows for each real one{counts}{kept})"

    @property
    def key(self) -> str:
        """Short name, for files."""
        return f"{self.generator}|{self.ratio:g}|{self.keep}|{self.weight:g}"

    @classmethod
    def of(cls, key: str) -> Recipe:
        """Read a ``key``."""
        name, ratio, keep, weight = key.rsplit("|", 3)
        return cls(name, float(ratio), keep, float(weight))  # type: ignore[arg-type]

    @classmethod
    def usual(cls, generator: str, ratio: float, keep: str = "all") -> Recipe:
        """With the weight that rows of this generator have."""
        return cls(generator, ratio, keep, WEIGHTS.get(generator, 1.0))  # type: ignore[arg-type]


TAUGHT_MEMBERS = ("boosting", "forest")
"""Members of an ensemble that learn from synthetic rows; a Gaussian process interpolates by itself."""


class Augmenter:
    """Makes synthetic rows from training rows alone.

    Args:
        train: the training rows.
        target: the column that will be predicted.
        fits: by name of the generator.
        obeys: which rows break no hard rule, (rows,); others are thrown away.
        seed: same seed, same rows.
        most: the largest ratio that will be asked for.
    """

    def __init__(
        self,
        train: Table,
        target: str,
        fits: Mapping[str, Fit],
        obeys: Callable[[pd.DataFrame], np.ndarray] | None = None,
        seed: int = 0,
        most: float = RATIOS[1],
    ):
        self.train, self.target, self.fits, self.obeys, self.seed, self.most = train, target, fits, obeys, seed, most
        self.failed: dict[str, str] = {}
        """Generators that could not learn these rows, and why."""
        self._pools: dict[str, pd.DataFrame] = {}
        self._ranks: dict[tuple[str, str], np.ndarray] = {}

    def rows(self, recipe: Recipe) -> pd.DataFrame | None:
        """Synthetic rows with the training table's modelled columns; ``None`` where the generator failed."""
        pool = self._pool(recipe.generator)
        if pool is None:
            return None
        wanted = round(recipe.ratio * len(self.train))
        if recipe.keep == "all":
            return pool.iloc[:wanted]
        # The better half of twice as many rows, in the order they were drawn.
        first = min(2 * wanted, len(pool))
        rank = self._rank(recipe.generator, recipe.keep)[:first]
        return pool.iloc[np.sort(np.argsort(rank, kind="stable")[: min(wanted, (first + 1) // 2)])]

    def _pool(self, name: str) -> pd.DataFrame | None:
        if name in self.failed:
            return None
        if name not in self._pools:
            try:
                generator = self.fits[name](self.train, self.seed)
                made = generator.sample(round(2 * self.most * len(self.train)), seed=self.seed)
            except UserError as error:
                self.failed[name] = error.sentence()
                return None
            made = made[made[self.target].notna()]
            if self.obeys is not None:
                made = made[self.obeys(made)]
            if len(made) < len(self.train) / 2:
                self.failed[name] = "hardly any of its rows obey the rules."
                return None
            self._pools[name] = made.reset_index(drop=True)
        return self._pools[name]

    def _rank(self, name: str, keep: Keep) -> np.ndarray:
        """The smaller the better, (rows of the pool,)."""
        if (name, keep) not in self._ranks:
            made = _distances if keep == "near" else _doubts
            self._ranks[name, keep] = made(self.train, self._pools[name], self.target, self.seed)
        return self._ranks[name, keep]


def _distances(train: Table, made: pd.DataFrame, target: str, seed: int) -> np.ndarray:
    """Distance to the nearest training row in the space of the features."""
    from scipy.spatial import cKDTree

    names = [name for name in train.modelled if name != target]
    both = train.with_frame(pd.concat([train.frame[names], made[names]], ignore_index=True))
    points = scaled(both, names)
    return cKDTree(points[: len(train)]).query(points[len(train) :])[0]


def _doubts(train: Table, made: pd.DataFrame, target: str, seed: int) -> np.ndarray:
    """How far a row's label is from what a forest and a Gaussian process expect of it, and these from each other."""
    values = train.frame[target].to_numpy(float)
    guesses = [
        learner(name, train, target, seed).fit(train.frame, values).predict(made)
        for name in ("forest", "gaussian-process")
    ]
    label = made[target].to_numpy(float)
    return np.abs(label - guesses[0]) + np.abs(label - guesses[1]) + np.abs(guesses[0] - guesses[1])


class Mean:
    """The mean of fitted models."""

    def __init__(self, models: Sequence[Any]):
        self.models = models

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """(rows,)"""
        return np.mean([model.predict(frame) for model in self.models], axis=0)


def learned(name: str, train: Table, target: str, extra: pd.DataFrame | None, seed: int, weight: float = 1.0) -> Any:
    """A learner fitted on training rows, and on synthetic ones of some weight each if given; of an ensemble only the
    ``TAUGHT_MEMBERS`` get synthetic rows."""
    if name == "ensemble" and extra is not None:
        return Mean([
            learned(each, train, target, extra if each in TAUGHT_MEMBERS else None, seed, weight) for each in MEMBERS
        ])  # fmt: skip
    frame = train.frame[train.modelled]
    if extra is None:
        return learner(name, train, target, seed).fit(frame, frame[target].to_numpy(float))
    frame = pd.concat([frame, extra[train.modelled]], ignore_index=True)
    weights = np.repeat([1.0, weight], [len(train), len(extra)])
    return weighted(learner(name, train, target, seed, len(frame)), frame, frame[target].to_numpy(float), weights)
