"""Sequential trees: each column is drawn from rows that are alike in the columns before it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from sozai.generators.base import Progress
from sozai.generators.tables.labels import LEAST_LABELLED, LabelModel
from sozai.generators.tables.representation import CategoryCode, NumberCode, Representation
from sozai.generators.tables.rows import Arrays, RowGenerator
from sozai.generators.tables.treebank import TreeBank
from sozai.materials.tables.table import Table

MOST_ROWS = 20_000
"""Rows that trees are grown on and donors taken from; of more, an even share."""


class SequentialTrees(RowGenerator):
    """Columns one after another, each from the leaf of a random tree (synthpop; Reiter 2005; Nowok et al. 2016,
    doi 10.18637/jss.v074.i11), and the target by a model of its own.

    The column with the most values comes first. For each further one a forest is grown on those before it; a new row
    falls into a leaf of one of its trees, and one of the rows there gives the value. Real rows come in families (one
    mix, many ages): a share of the rows is drawn from smaller leaves, so that drawn rows do too. Values that occur once
    are moved within the gap to their neighbours, so that none is copied; values that repeat stay. A numeric target is
    what boosting and a Gaussian process expect of the drawn features, plus a share of their held-out residuals.

    Args:
        leaf: rows in a leaf at least: fewer keep relations, more keep away from single rows.
        close: share of the rows, at most, that is drawn from leaves of ``close_leaf`` rows; less where these would come
            nearer to the data than its rows are to each other.
        close_leaf: see there.
        trees: of each column.
        smooth: by how many places in the column's order a value that occurs once is moved at most.
        noise: share of a held-out residual that is added to a label; 1 spreads labels as measurements are, less
            teaches a learner more.
        label: ``"both"``, ``"process"``, ``"boosting"``: what models a numeric target; ``"leaf"``: leaves, as for all.
    """

    name: ClassVar[str] = "trees"

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {
            "leaf": 5, "close": 0.4, "close_leaf": 2, "trees": 30, "smooth": 0.75, "noise": 0.3, "label": "both",
        }  # fmt: skip

    def _learn(self, table: Table, target: str | None, seed: int, deadline: float, on_progress: Progress) -> None:
        from sklearn.ensemble import RandomForestRegressor

        if len(table) > MOST_ROWS:
            table = table.rows(np.sort(np.random.default_rng(seed).permutation(len(table))[:MOST_ROWS]))
        rows = len(table)
        self.code = Representation.fit(table)
        self.donors = self.code.places(table.frame).astype(np.float32)
        self.single = np.stack([_single(code, table.frame[name]) for name, code in self.code.codes.items()], 1)
        names = list(self.code.codes)
        labelled = (
            target is not None
            and table.columns[target].numeric
            and self.settings["label"] != "leaf"
            and rows >= LEAST_LABELLED
            and len(names) > 1
        )
        # What a row is made of comes first, what was done to it (an age, a step) last: it may differ for the same mix.
        order = sorted(
            (name for name in names if name != target), key=lambda name: len(_distinct(self.code.codes[name]))
        )
        self.order = [names.index(name) for name in order]
        if target is not None and not labelled:
            self.order.append(names.index(target))
        self.banks: list[TreeBank] = []
        many = rows > 3000
        trees = self.settings["trees"] if not many else max(8, self.settings["trees"] // 3)
        for step in range(1, len(self.order)):
            on_progress(step, len(self.order), f"trees of column {names[self.order[step]]}")
            size = 2 if time.monotonic() > deadline else max(trees // 2, 2)
            at = self.order[step]
            response = _response(self.code.codes[names[at]], table.frame[names[at]], self.donors[:, at])
            grown: list[Any] = []
            for leaf in (self.settings["leaf"], self.settings["close_leaf"]):
                forest = RandomForestRegressor(
                    size, min_samples_leaf=leaf, random_state=seed + 1000 * len(grown) + step,
                    max_features=max(1 / 3, 3 / step) if many and step > 3 else 1.0,
                    max_samples=3000 / rows if many else None,
                )  # fmt: skip
                grown += forest.fit(self.donors[:, self.order[:step]], response).estimators_
            self.banks.append(TreeBank.of(grown, step))
        self.labels: LabelModel | None = None
        if labelled:
            assert target is not None
            on_progress(len(self.order), len(self.order), f"model of {target}")
            at = names.index(target)
            features = np.delete(self.donors, at, 1).astype(float)
            kinds = self.settings["label"] if time.monotonic() < deadline else "boosting"
            self.labels = LabelModel.fit(features, table.frame[target].to_numpy(float), seed, kinds)
        self._index()
        self.close_share = self._close_share(table, seed)

    def _close_share(self, table: Table, seed: int) -> float:
        """The largest share of close rows, up to the setting, with which drawn rows are no nearer to the training rows
        than these are to each other (median distance to the closest record).
        """
        from sozai.metrics.fidelity import _points, nearest

        frame = table.frame.iloc[:2000]
        for share in (1.0, 0.75, 0.5, 0.25):
            self.close_share = share * self.settings["close"]
            drawn = self._draw(len(frame), np.random.default_rng(seed))
            rows, made = _points([frame, drawn[list(frame.columns)]])
            between = nearest(rows, rows, 2)
            if between.ndim < 2 or between.shape[1] < 2 or np.median(nearest(rows, made)) >= np.median(between[:, 1]):
                return self.close_share
        return 0.0

    def _index(self) -> None:
        """For each tree the donors by leaf."""
        self.places: list[list[tuple[np.ndarray, np.ndarray]]] = []
        for step, bank in enumerate(self.banks, 1):
            inner = []
            for tree in range(len(bank)):
                leaves = bank.leaves(self.donors[:, self.order[:step]], tree)
                by_leaf = np.argsort(leaves, kind="stable").astype(np.int32)
                inner.append((leaves[by_leaf].astype(np.int32), by_leaf))
            self.places.append(inner)

    def _draw(self, count: int, generator: np.random.Generator) -> pd.DataFrame:
        drawn = np.full((count, self.donors.shape[1]), 0.5, np.float32)
        close = generator.random(count) < self.close_share
        for step, at in enumerate(self.order):
            if step == 0:
                # Each row equally often, as far as that goes: shares of values are then as in the data.
                donors = generator.permutation(np.resize(generator.permutation(len(self.donors)), count))
            else:
                donors = self._donors(step, drawn[:, self.order[:step]], close, generator)
            values = self.donors[donors, at]
            shift = generator.uniform(-1, 1, count) * self.settings["smooth"] / len(self.donors)
            drawn[:, at] = np.where(self.single[donors, at], values + shift, values)
        frame = self.close(self.code.at(np.clip(drawn.astype(float), 0.0, 1.0)), generator)
        return self._relabelled(frame, generator)

    def _donors(self, step: int, points: np.ndarray, close: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """For each row a donor from its leaf of one tree, (rows,)."""
        bank, places = self.banks[step - 1], self.places[step - 1]
        half = len(bank) // 2
        chosen = generator.integers(0, half, len(points)) + half * close
        share = generator.random(len(points))
        donors = np.empty(len(points), np.int32)
        for tree in range(len(bank)):
            rows = np.flatnonzero(chosen == tree)
            if not len(rows):
                continue
            sorted_leaves, by_leaf = places[tree]
            leaves = bank.leaves(points[rows], tree)
            start = np.searchsorted(sorted_leaves, leaves, side="left")
            end = np.searchsorted(sorted_leaves, leaves, side="right")
            donors[rows] = by_leaf[start + (share[rows] * (end - start)).astype(int)]
        return donors

    def _relabelled(self, frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        if self.labels is None or self.target is None or not len(frame):
            return frame
        names = [name for name in self.code.codes if name != self.target]
        features = Representation({name: self.code.codes[name] for name in names}).places(frame).astype(np.float32)
        labels = self.labels.draw(features.astype(float), generator, self.settings["noise"])
        code = self.code.codes[self.target]
        assert isinstance(code, NumberCode)
        labels = np.clip(labels, code.values[0], code.values[-1])
        return frame.assign(**{self.target: np.rint(labels) if code.whole else labels})

    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays: Arrays = {**self.code.arrays(), "donors": self.donors, "single": self.single}
        for step, bank in enumerate(self.banks):
            arrays |= {f"bank.{step}.{key}": value for key, value in bank.arrays().items()}
        if self.labels is not None:
            arrays |= {f"labels.{key}": value for key, value in self.labels.arrays().items()}
        return arrays, {"levels": self.code.levels(), "order": self.order, "labelled": self.labels is not None,
                        "close": self.close_share}  # fmt: skip

    def _restore(self, arrays: Arrays, content: Mapping[str, Any]) -> None:
        self.code = Representation.of(arrays, content["levels"])
        self.close_share = float(content["close"])
        self.donors, self.single, self.order = arrays["donors"], arrays["single"], list(content["order"])
        self.banks = [TreeBank.restore(_under(arrays, f"bank.{step}.")) for step in range(max(len(self.order) - 1, 0))]
        self.labels = LabelModel.restore(_under(arrays, "labels.")) if content["labelled"] else None
        self._index()


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _distinct(code: NumberCode | CategoryCode) -> np.ndarray:
    return np.unique(code.values) if isinstance(code, NumberCode) else code.ends


def _single(code: NumberCode | CategoryCode, column: pd.Series) -> np.ndarray:
    """Rows whose value occurs once, (rows,)."""
    if isinstance(code, CategoryCode):
        return np.zeros(len(column), bool)
    return ~column.duplicated(keep=False).to_numpy() & column.notna().to_numpy()


def _response(code: NumberCode | CategoryCode, column: pd.Series, places: np.ndarray) -> np.ndarray:
    """What trees split for: places of numbers and whether they are blank, or which category it is."""
    if isinstance(code, CategoryCode):
        codes = code.positions(column)
        return np.eye(len(code.levels) + 1)[codes][:, np.unique(codes)]
    blank = column.isna().to_numpy()
    if blank.any() and not blank.all():
        return np.stack([np.where(blank, np.median(places[~blank]), places), blank], 1)
    return places
