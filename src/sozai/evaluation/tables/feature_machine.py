"""A kernel machine that learns which columns matter."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

ROUNDS = 4
"""Metrics that are tried: all columns alike, and each time as the last function's slopes tell."""
WIDTHS = (1.0, 2.0, 4.0)
"""Of the kernel, in median distances of the rows."""
NOISES = (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0)
SLOPES_NOISE = 0.03
"""Noise of the function whose slopes make the next metric."""
LEAST = 0.1
"""What a column counts at least, where 1 is the mean: slopes of few rows are mostly luck."""
ROWS, MOST_ROWS = 400, 1500
"""Rows from which metric, width and noise are learned, and rows that are remembered: time grows with their cube."""
BEYOND = 0.1
"""By how much of the targets' range predictions may lie outside of it."""


class FeatureMachine(RegressorMixin, BaseEstimator):
    """Kernel ridge regression (Laplace kernel) whose metric weighs each column by the mean square of the learned
    function's slope along it, found in rounds (recursive feature machine; A. Radhakrishnan et al., Science 383, 1461,
    2024), with a diagonal metric. Round, width and noise are those of the least leave-one-out error.

    Args:
        seed: draws the rows that are learned from where there are too many.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, features: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None) -> FeatureMachine:
        """Learn from rows that are scaled to unit spread, (rows, columns); noise is larger the less a row weighs."""
        features, target = np.asarray(features, float), np.asarray(target, float)
        weight = np.ones(len(target)) if sample_weight is None else np.asarray(sample_weight, float)
        self.mean_, self.scale_ = float(target.mean()), float(target.std()) or 1.0
        margin = BEYOND * float(np.ptp(target))
        self.range_ = float(target.min()) - margin, float(target.max()) + margin
        scaled = (target - self.mean_) / self.scale_
        # Those that weigh most are the measured ones.
        order = np.random.default_rng(self.seed).permutation(len(target))
        order = order[np.argsort(-weight[order], kind="stable")]
        part = np.sort(order[:ROWS])
        noise = self._search(features[part], scaled[part], weight[part])
        if len(part) < len(target):
            part = np.sort(order[:MOST_ROWS])
            self.rows_ = features[part]
            kernel = np.exp(-_distances(self.rows_, self.rows_, self.metric_) / self.width_)
            self.factors_ = np.linalg.solve(kernel + np.diag(noise / weight[part]), scaled[part])
        return self

    def _search(self, rows: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
        """Set the metric, width and factors of the least leave-one-out error; its noise."""
        self.rows_ = rows
        root = np.sqrt(weight)
        least, chosen = np.inf, NOISES[-1]
        for times in WIDTHS:
            metric = np.ones(rows.shape[1])
            for _ in range(ROUNDS):
                apart = _distances(rows, rows, metric)
                width = times * (float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0)
                kernel = np.exp(-apart / width)
                values, vectors = _eigen(root[:, None] * kernel * root)
                along = vectors.T @ (root * target)
                slopes_from = np.zeros(len(rows))
                for noise in NOISES:
                    inverse = 1 / (values + noise)
                    factors = vectors @ (inverse * along)
                    # What is left of a row by the function of all others (leave-one-out in closed form).
                    lost = float(((factors / (vectors**2 @ inverse)) ** 2).sum() / weight.sum())
                    if lost < least:
                        least, chosen = lost, noise
                        self.metric_, self.width_, self.factors_ = metric, width, root * factors
                    if noise == SLOPES_NOISE:
                        slopes_from = root * factors
                metric = _by_slopes(rows, metric, kernel * slopes_from, apart, width)
        return chosen

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(rows,)"""
        kernel = np.exp(-_distances(np.asarray(features, float), self.rows_, self.metric_) / self.width_)
        return np.clip(kernel @ self.factors_ * self.scale_ + self.mean_, *self.range_)


def _by_slopes(rows: np.ndarray, metric: np.ndarray, terms: np.ndarray, apart: np.ndarray, width: float) -> np.ndarray:
    """Mean squares of the function's slopes at the rows, as a metric of mean 1."""
    pull = terms / np.where(apart > 1e-9, apart, np.inf) / width
    slopes = metric * (pull @ rows - pull.sum(1)[:, None] * rows)
    square = (slopes**2).mean(0)
    return LEAST + (1 - LEAST) * square / square.mean() if square.max() > 0 else metric


def _distances(ones: np.ndarray, others: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """(rows, other rows)"""
    ones, others = ones * np.sqrt(metric), others * np.sqrt(metric)
    square = (ones**2).sum(1)[:, None] + (others**2).sum(1) - 2 * ones @ others.T
    return np.sqrt(np.maximum(square, 0.0))


def _eigen(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, not below 0, and eigenvectors of a symmetric matrix."""
    from scipy.linalg import eigh

    # The slower driver: the quick one fails on kernels of repeated rows.
    values, vectors = eigh(kernel + 1e-8 * np.eye(len(kernel)), driver="ev")
    return values.clip(0), vectors
