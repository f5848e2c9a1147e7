"""Densities over normal scores: Gaussian copula, kernels, mixtures; and interpolation between neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from sozai.generators.base import Progress
from sozai.generators.tables.labels import LEAST_LABELLED, LabelModel
from sozai.generators.tables.representation import NumberCode, Representation
from sozai.generators.tables.rows import Arrays, RowGenerator
from sozai.materials.tables.table import Table

MOST_ROWS = 20_000
"""Rows that kernels and neighbours are kept of."""


class ScoreGenerator(RowGenerator):
    """A density of normal scores, margins being the data's own.

    Args:
        label: ``"joint"``: the target is a column like the others; ``"process"``, ``"boosting"``, ``"both"``: a numeric
            target is labelled by these.
        noise: share of a held-out residual that is added to a label.
    """

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {"label": "joint", "noise": 0.3}

    @abstractmethod
    def _learn_scores(self, scores: np.ndarray, seed: int) -> None:
        """Learn scores, (rows, columns)."""

    @abstractmethod
    def _draw_scores(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Draw scores, (count, columns)."""

    def _encoded(self, table: Table, seed: int) -> np.ndarray:
        return self.code.encode(table.frame, seed)

    def _learn(self, table: Table, target: str | None, seed: int, deadline: float, on_progress: Progress) -> None:
        self.code = Representation.fit(table)
        on_progress(0, 2, f"{self.name}: density")
        self._learn_scores(self._encoded(table, seed), seed)
        on_progress(1, 2, f"{self.name}: labels")
        self.labels: LabelModel | None = None
        labelled = target is not None and table.columns[target].numeric and self.settings["label"] != "joint"
        if labelled and len(table) >= LEAST_LABELLED and len(self.code.codes) > 1:
            assert target is not None
            features = self._features(table.frame, target)
            self.labels = LabelModel.fit(features, table.frame[target].to_numpy(float), seed, self.settings["label"])
        on_progress(2, 2, "")

    def _draw(self, count: int, generator: np.random.Generator) -> pd.DataFrame:
        frame = self.close(self.code.decode(self._draw_scores(count, generator)), generator)
        return self._relabelled(frame, generator)

    def _features(self, frame: pd.DataFrame, target: str) -> np.ndarray:
        return Representation({name: code for name, code in self.code.codes.items() if name != target}).places(frame)

    def _relabelled(self, frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        if self.labels is None or self.target is None or not len(frame):
            return frame
        labels = self.labels.draw(self._features(frame, self.target), generator, self.settings["noise"])
        code = self.code.codes[self.target]
        assert isinstance(code, NumberCode)
        labels = np.clip(labels, code.values[0], code.values[-1])
        return frame.assign(**{self.target: np.rint(labels) if code.whole else labels})

    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays = {**self.code.arrays(), **{f"density.{key}": value for key, value in self._density().items()}}
        if self.labels is not None:
            arrays |= {f"labels.{key}": value for key, value in self.labels.arrays().items()}
        return arrays, {"levels": self.code.levels(), "labelled": self.labels is not None}

    def _restore(self, arrays: Arrays, content: Mapping[str, Any]) -> None:
        self.code = Representation.of(arrays, dict(content["levels"]))
        parts = {
            prefix: {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            for prefix in ("density.", "labels.")
        }
        self.labels = LabelModel.restore(parts["labels."]) if content["labelled"] else None
        for key, value in parts["density."].items():
            setattr(self, f"_{key}", value)

    @abstractmethod
    def _density(self) -> Arrays:
        """The attributes (without their underscore) that hold the density."""


class GaussianCopula(ScoreGenerator):
    """Normal scores with the correlations of the data (Sklar 1959; as SDV uses it, Patki et al. 2016)."""

    name: ClassVar[str] = "gaussian-copula"

    def _learn_scores(self, scores: np.ndarray, seed: int) -> None:
        covariance = np.atleast_2d(np.cov(scores.T))
        values, vectors = np.linalg.eigh(covariance)
        self._root = vectors * np.sqrt(np.maximum(values, 0.0))
        self._mean = scores.mean(0)

    def _draw_scores(self, count: int, generator: np.random.Generator) -> np.ndarray:
        return self._mean + generator.standard_normal((count, len(self._mean))) @ self._root.T

    def _density(self) -> Arrays:
        return {"root": self._root, "mean": self._mean}


class Kernels(ScoreGenerator):
    """A normal around each row, with the shape of its neighbourhood (KDE; Silverman 1986).

    Args:
        bandwidth: deviations of a kernel in deviations of the data; 0: Scott's rule.
    """

    name: ClassVar[str] = "kde"

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {**super().defaults(), "bandwidth": 0.0}

    def _learn_scores(self, scores: np.ndarray, seed: int) -> None:
        rows, columns = scores.shape
        width = self.settings["bandwidth"] or rows ** (-1 / (columns + 4))
        some = np.random.default_rng(seed).permutation(rows)[:MOST_ROWS]
        self._rows = scores[some]
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(scores.T)))
        self._root = vectors * np.sqrt(np.maximum(values, 0.0)) * width
        # Kernels widen a distribution: rows are drawn together so that its covariance stays.
        self._shrink = np.array([1 / np.sqrt(1 + width**2)])
        self._mean = scores.mean(0)

    def _draw_scores(self, count: int, generator: np.random.Generator) -> np.ndarray:
        rows = self._rows[generator.integers(0, len(self._rows), count)]
        moved = rows + generator.standard_normal(rows.shape) @ self._root.T
        return self._mean + (moved - self._mean) * self._shrink

    def _density(self) -> Arrays:
        return {"rows": self._rows, "root": self._root, "shrink": self._shrink, "mean": self._mean}


class Mixture(ScoreGenerator):
    """A mixture of normals; as many as held-out rows favour.

    Args:
        most: normals at most.
    """

    name: ClassVar[str] = "gmm"

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {**super().defaults(), "most": 32}

    def _learn_scores(self, scores: np.ndarray, seed: int) -> None:
        from sklearn.mixture import GaussianMixture

        rows, columns = scores.shape
        order = np.random.default_rng(seed).permutation(rows)[:MOST_ROWS]
        cut = max(1, len(order) // 5)
        held, rest = scores[order[:cut]], scores[order[cut:]]

        def mixture(count: int) -> Any:
            return GaussianMixture(count, reg_covar=1e-2, random_state=seed, n_init=1, max_iter=100)

        best, chosen, worse = -np.inf, 1, 0
        count = 1
        while count <= min(self.settings["most"], max(1, len(rest) // (2 * columns))) and worse < 2:
            likelihood = mixture(count).fit(rest).score(held)
            if likelihood > best:
                best, chosen, worse = likelihood, count, 0
            else:
                worse += 1
            count *= 2
        fitted = mixture(chosen).fit(scores[order])
        self._weights, self._means = fitted.weights_, fitted.means_
        self._roots = np.linalg.cholesky(fitted.covariances_)

    def _draw_scores(self, count: int, generator: np.random.Generator) -> np.ndarray:
        part = generator.choice(len(self._weights), count, p=self._weights / self._weights.sum())
        noise = generator.standard_normal((count, self._means.shape[1]))
        made = np.empty_like(noise)
        for each in np.unique(part):
            rows = part == each
            made[rows] = self._means[each] + noise[rows] @ self._roots[each].T
        return made

    def _density(self) -> Arrays:
        return {"weights": self._weights, "means": self._means, "roots": self._roots}


class GPLabelled(Mixture):
    """A mixture of normals for the features and a Gaussian process's labels: the recipe that helped every learner
    in this project's measurement with few rows.
    """

    name: ClassVar[str] = "gp-labelled"

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {**super().defaults(), "label": "process"}


class Smote(ScoreGenerator):
    """A point between a row and one of its neighbours (SMOTE, Chawla et al. 2002; for regression SMOGN, Branco et al.
    2017). Rows come out near those that were learned: look at the audit.

    Args:
        neighbours: of which one is chosen.
    """

    name: ClassVar[str] = "smote"

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {**super().defaults(), "neighbours": 5}

    def _encoded(self, table: Table, seed: int) -> np.ndarray:
        return self.code.encode(table.frame)  # spikes in the middle of their stretch, so that equal values stay

    def _learn_scores(self, scores: np.ndarray, seed: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._rows = scores[np.random.default_rng(seed).permutation(len(scores))[:MOST_ROWS]]
        near = min(self.settings["neighbours"], len(self._rows) - 1)
        scale = self._rows / np.maximum(self._rows.std(0), 1e-9)
        self._near = NearestNeighbors(n_neighbors=near + 1).fit(scale).kneighbors(scale)[1][:, 1:]

    def _draw_scores(self, count: int, generator: np.random.Generator) -> np.ndarray:
        first = generator.integers(0, len(self._rows), count)
        second = self._near[first, generator.integers(0, self._near.shape[1], count)]
        share = generator.random((count, 1))
        return self._rows[first] + share * (self._rows[second] - self._rows[first])

    def _density(self) -> Arrays:
        return {"rows": self._rows, "near": self._near}
