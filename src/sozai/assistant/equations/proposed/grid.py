"""The grids on which numbers are asked for, and high-order differences on them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from sozai.assistant.equations.problem import Problem

LEVELS = 3
_INTERVALS = {
    (0, True): (0, 200),
    (1, False): (200, 0),
    (1, True): (32, 40),
    (2, False): (16, 0),
    (2, True): (12, 16),
    (3, False): (10, 0),
    (3, True): (10, 10),
}
"""Intervals of the coarsest grid by dimension and whether there is time: along each axis of space, and in time."""

Axes = dict[str, np.ndarray]


def levels(problem: Problem) -> list[Axes]:
    """Three grids, each with half the step of the one before; time is the first axis, then x, y, z."""
    space, time = _INTERVALS[len(problem.space), problem.time is not None]
    names = [*([problem.time] if problem.time is not None else []), *problem.space]
    made = []
    for level in range(LEVELS):
        counts = [(time if symbol == problem.time else space) * 2**level + 1 for symbol in names]
        boxes = [problem.domain[str(symbol)] for symbol in names]
        made.append({str(s): np.linspace(low, high, n) for s, (low, high), n in zip(names, boxes, counts, strict=True)})
    return made


def differentiate(values: np.ndarray, axis: int, step: float, order: int, periodic: bool) -> np.ndarray:
    """A derivative along an axis by differences of sixth order (of the second and fourth derivative fifth at the ends).

    Args:
        values: on the whole grid; of a periodic axis with both ends.
        axis: along which.
        step: of the grid.
        order: of the derivative.
        periodic: whether stencils go around.
    """
    matrix = _matrix(values.shape[axis], order, periodic)
    moved = np.moveaxis(values, axis, 0)
    made = (matrix @ moved.reshape(moved.shape[0], -1)).reshape(moved.shape)
    return np.moveaxis(made, 0, axis) / step**order


@lru_cache(maxsize=64)
def _matrix(count: int, order: int, periodic: bool) -> sp.csr_matrix:
    width = min(2 * ((order + 1) // 2) + 5, count)
    reach = width // 2
    rows: list[int] = []
    columns: list[int] = []
    entries: list[float] = []
    for row in range(count):
        if periodic:
            chosen = (row + np.arange(-reach, reach + 1)) % (count - 1)
            weights = _weights(tuple(range(-reach, reach + 1)), order)
        else:
            first = min(max(row - reach, 0), count - width)
            chosen = first + np.arange(width)
            weights = _weights(tuple(int(c) for c in chosen - row), order)
        rows += [row] * len(chosen)
        columns += [int(c) for c in chosen]
        entries += list(weights)
    return sp.csr_matrix((entries, (rows, columns)), shape=(count, count))


@lru_cache(maxsize=256)
def _weights(offsets: tuple[int, ...], order: int) -> np.ndarray:
    """Weights that give a derivative at 0 from values at whole offsets exactly for polynomials."""
    powers = np.vander(np.array(offsets, float), len(offsets), increasing=True).T
    wanted = np.zeros(len(offsets))
    wanted[order] = float(np.prod(np.arange(1, order + 1)))
    return np.linalg.solve(powers, wanted)


def interpolated(values: np.ndarray) -> np.ndarray:
    """On a grid of half the step, by polynomials through six points along each axis in turn."""
    for axis in range(values.ndim):
        values = np.moveaxis(_halved(np.moveaxis(values, axis, 0)), 0, axis)
    return values


def _halved(values: np.ndarray) -> np.ndarray:
    count = values.shape[0]
    width = min(6, count)
    made = np.empty((2 * count - 1, *values.shape[1:]))
    made[::2] = values
    for place in range(count - 1):
        first = min(max(place - width // 2 + 1, 0), count - width)
        weights = _between(width, 2 * (place - first) + 1)
        made[2 * place + 1] = np.tensordot(weights, values[first : first + width], axes=1)
    return made


@lru_cache(maxsize=64)
def _between(width: int, halves: int) -> np.ndarray:
    """Weights of whole places 0, 1, ... for a value at ``halves / 2``."""
    powers = np.vander(np.arange(width, dtype=float), width, increasing=True).T
    return np.linalg.solve(powers, (halves / 2) ** np.arange(width))
