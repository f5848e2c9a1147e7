"""Whether a candidate is like the measured rows, so that a prediction about it can be believed."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 3
SHARE = 0.95
"""Share of the measured rows that are inside when each is judged by the others."""


class Domain:
    """The applicability domain of a set of measured points.

    A point's distance is the mean of those to its three nearest measured points; it is inside if 95% of the measured
    points, each judged by the others, are not nearer than it is far.

    Args:
        points: of measured rows, without repetition, (rows, size).
    """

    def __init__(self, points: np.ndarray):
        self.points = np.unique(points, axis=0)
        self._tree = cKDTree(self.points)
        self._count = min(NEIGHBOURS, max(1, len(self.points) - 1))
        if len(self.points) > 1:
            others = self._tree.query(self.points, k=list(range(2, self._count + 2)))[0].mean(axis=1)
            self.limit = float(np.quantile(others, SHARE))
            self.usual = float(np.median(others))
        else:
            self.limit = self.usual = 0.0

    def distance(self, points: np.ndarray) -> np.ndarray:
        """How far from the measured points, in units of the limit: up to 1 is inside."""
        found = self._tree.query(points, k=list(range(1, self._count + 1)))[0].mean(axis=1)
        return found / (self.limit or 1.0)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Whether each point is inside."""
        return self.distance(points) <= 1.0


def nearest(points: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Place of the measured point nearest to each point."""
    return cKDTree(measured).query(points)[1]
