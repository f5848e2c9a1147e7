"""What a target is likely to be, given the features of a row: the labels of drawn rows.

A drawn row is worth most to a learner when its label is what a good model of the real rows expects of it. Two models
that err differently, stochastic gradient boosting (Friedman 2002) and a Gaussian process on quantiles (Matern 3/2, a
length scale a column), are averaged by the weight that held-out rows favour, and a share of their held-out
residuals is added.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sozai.generators.tables.treebank import TreeBank

LEAST_LABELLED = 16
"""Rows below which the target is drawn as any column is."""
MOST_FOR_KERNEL = 150
"""Rows from which a Gaussian process learns its length scales: each step costs their number cubed."""
MOST_FOR_PROCESS = 1500
"""Rows above which boosting alone labels."""


class Process:
    """A Gaussian process regression, zero mean, Matern 3/2 kernel with a length scale a column, noise.

    Args:
        points: training rows, (rows, columns), about 0 to 1.
        weights: (K + noise)^-1 y, (rows,).
        scales: length scales, (columns,).
        amplitude: variance of the function.
    """

    def __init__(self, points: np.ndarray, weights: np.ndarray, scales: np.ndarray, amplitude: float):
        self.points, self.weights, self.scales, self.amplitude = points, weights, scales, amplitude

    @classmethod
    def fit(cls, points: np.ndarray, labels: np.ndarray, seed: int, scales: np.ndarray | None = None) -> Process:
        """From rows and standardised labels; ``scales`` (with amplitude and noise at its end) of an earlier fit."""
        hyper = scales if scales is not None else cls.learned(points, labels, seed)
        length, amplitude, noise = hyper[:-2], float(hyper[-2]), float(hyper[-1])
        covariance = amplitude * matern(points / length, points / length) + (noise + 1e-8) * np.eye(len(points))
        return cls(points, cho_solve(cho_factor(covariance), labels), length, amplitude)

    @staticmethod
    def learned(points: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        """Length scales, amplitude and noise of greatest marginal likelihood on at most ``MOST_FOR_KERNEL`` rows."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        some = np.random.default_rng(seed).permutation(len(points))[:MOST_FOR_KERNEL]
        columns = points.shape[1]
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.ones(columns), (5e-2, 1e2), nu=1.5) + WhiteKernel(
            0.1, (1e-4, 2.0)
        )
        with warnings.catch_warnings():
            # A length at its bound says that the column hardly matters, or nothing else does: both are answers.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = GaussianProcessRegressor(kernel).fit(points[some], labels[some]).kernel_
        return np.array([*np.broadcast_to(fitted.k1.k2.length_scale, columns), fitted.k1.k1.constant_value,
                         fitted.k2.noise_level])  # fmt: skip

    def predict(self, points: np.ndarray) -> np.ndarray:
        """Expected labels, (rows,)."""
        made = np.empty(len(points))
        near = self.points / self.scales
        for start in range(0, len(points), 2048):
            part = points[start : start + 2048] / self.scales
            made[start : start + 2048] = self.amplitude * (matern(part, near) @ self.weights)
        return made


def matern(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Matern 3/2 correlations, (rows, rows)."""
    square = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    far = np.sqrt(3.0 * np.maximum(square, 0.0))
    return (1 + far) * np.exp(-far)


class Boosting:
    """Stochastic gradient boosting of small trees.

    Args:
        bank: trees whose values are already shrunken.
        start: the constant below them.
    """

    def __init__(self, bank: TreeBank, start: float):
        self.bank, self.start = bank, start

    @classmethod
    def fit(cls, points: np.ndarray, labels: np.ndarray, seed: int) -> Boosting:
        """From rows and standardised labels."""
        from sklearn.ensemble import GradientBoostingRegressor

        rows = len(points)
        rounds = 600 if rows <= 5000 else 300
        model = GradientBoostingRegressor(
            n_estimators=rounds, learning_rate=0.05, max_depth=5 if rows > 300 else 3, subsample=0.5,
            max_features=max(1, round(0.6 * points.shape[1])), min_samples_leaf=2, random_state=seed,
        )  # fmt: skip
        some = np.arange(rows) if rows <= 20_000 else np.random.default_rng(seed).permutation(rows)[:20_000]
        model.fit(points[some], labels[some])
        bank = TreeBank.of(model.estimators_[:, 0], points.shape[1])
        bank = TreeBank(bank.nodes, bank.values * model.learning_rate, bank.sizes, bank.columns)
        return cls(bank, float(model.init_.constant_[0, 0]))

    def predict(self, points: np.ndarray) -> np.ndarray:
        """Expected labels, (rows,)."""
        return self.start + self.bank.total(points)


class LabelModel:
    """Labels for rows of features.

    Args:
        process, boosting: the two models; either may be missing.
        weight: of the process.
        center, width: of the labels.
        residuals: of held-out rows, in widths, ascending, (rows,).
    """

    def __init__(
        self,
        process: Process | None,
        boosting: Boosting | None,
        weight: float,
        center: float,
        width: float,
        residuals: np.ndarray,
    ):
        self.process, self.boosting, self.weight = process, boosting, weight
        self.center, self.width, self.residuals = center, width, residuals

    @classmethod
    def fit(cls, points: np.ndarray, labels: np.ndarray, seed: int, kinds: str = "both") -> LabelModel:
        """From rows (rows, columns) of places and their labels (rows,).

        Args:
            points: features as places from 0 to 1.
            labels: known numbers.
            seed: of folds and subsamples.
            kinds: ``"both"``, ``"process"`` or ``"boosting"``.
        """
        from sklearn.model_selection import KFold

        center, width = float(labels.mean()), float(labels.std()) or 1.0
        scaled = (labels - center) / width
        with_process = kinds == "process" or (kinds == "both" and len(points) <= MOST_FOR_PROCESS)
        with_boosting = kinds != "process"
        if len(points) > MOST_FOR_PROCESS and with_process:
            keep = np.random.default_rng(seed).permutation(len(points))[:MOST_FOR_PROCESS]
            points, scaled = points[keep], scaled[keep]
        guesses = np.zeros((2, len(points)))
        hyper = Process.learned(points, scaled, seed) if with_process else None
        folds = KFold(min(4, len(points)), shuffle=True, random_state=seed)
        for rest, held in folds.split(points):
            if with_process:
                guesses[0, held] = Process.fit(points[rest], scaled[rest], seed, hyper).predict(points[held])
            if with_boosting:
                guesses[1, held] = Boosting.fit(points[rest], scaled[rest], seed).predict(points[held])
        weight = float(with_process)
        if with_process and with_boosting:
            shares = np.linspace(0, 1, 11)
            errors = [((scaled - share * guesses[0] - (1 - share) * guesses[1]) ** 2).mean() for share in shares]
            weight = float(shares[int(np.argmin(errors))])
        residuals = np.sort(scaled - weight * guesses[0] - (1 - weight) * guesses[1])
        process = Process.fit(points, scaled, seed, hyper) if weight > 0 else None
        boosting = Boosting.fit(points, scaled, seed) if weight < 1 else None
        return cls(process, boosting, weight, center, width, residuals)

    @property
    def r2(self) -> float:
        """Of held-out rows."""
        return float(1 - (self.residuals**2).mean())

    def expected(self, points: np.ndarray) -> np.ndarray:
        """Expected labels, (rows,)."""
        made = np.zeros(len(points))
        if self.process is not None:
            made += self.weight * self.process.predict(points)
        if self.boosting is not None:
            made += (1 - self.weight) * self.boosting.predict(points)
        return self.center + self.width * made

    def draw(self, points: np.ndarray, generator: np.random.Generator, noise: float) -> np.ndarray:
        """Labels with ``noise`` times a held-out residual, (rows,)."""
        drawn = self.residuals[generator.integers(0, len(self.residuals), len(points))]
        return self.expected(points) + noise * self.width * drawn

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        made = {"residuals": self.residuals, "scale": np.array([self.weight, self.center, self.width])}
        if self.process is not None:
            process = self.process
            made |= {"process.points": process.points, "process.weights": process.weights,
                     "process.scales": np.array([*process.scales, process.amplitude])}  # fmt: skip
        if self.boosting is not None:
            made |= {f"boosting.{key}": value for key, value in self.boosting.bank.arrays().items()}
            made["boosting.start"] = np.array([self.boosting.start])
        return made

    @classmethod
    def restore(cls, arrays: dict[str, Any]) -> LabelModel:
        """From ``arrays``."""
        process = boosting = None
        if "process.points" in arrays:
            scales = arrays["process.scales"]
            process = Process(arrays["process.points"], arrays["process.weights"], scales[:-1], float(scales[-1]))
        if "boosting.start" in arrays:
            own = {key.removeprefix("boosting."): value for key, value in arrays.items() if "boosting." in key}
            boosting = Boosting(TreeBank.restore(own), float(arrays["boosting.start"][0]))
        weight, center, width = (float(value) for value in arrays["scale"])
        return cls(process, boosting, weight, center, width, arrays["residuals"])
