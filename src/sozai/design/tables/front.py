"""The best rows under several goals, and a varied choice among them."""

from __future__ import annotations

import numpy as np


def front(scores: np.ndarray) -> np.ndarray:
    """Rows that no other row beats or equals in all goals and beats in one (Pareto), (rows,) bool.

    Args:
        scores: (rows, goals), the larger the better.
    """
    count = len(scores)
    best = np.zeros(count, bool)
    # In the order of their sums no row can be beaten by a later one.
    kept: list[int] = []
    for place in np.argsort(-scores.sum(axis=1), kind="stable"):
        rivals = scores[kept]
        beaten = ((rivals >= scores[place]).all(axis=1) & (rivals > scores[place]).any(axis=1)).any() if kept else False
        if not beaten:
            kept.append(int(place))
            best[place] = True
    return best


def layers(scores: np.ndarray, most: int | None = None) -> np.ndarray:
    """Number of fronts to take away before a row is on one, (rows,) int; once ``most`` rows are placed all others
    share the next number."""
    layer = np.full(len(scores), -1)
    number = 0
    while (layer < 0).any():
        left = np.flatnonzero(layer < 0)
        if most is not None and len(scores) - len(left) >= most:
            layer[left] = number
            break
        layer[left[front(scores[left])]] = number
        number += 1
    return layer


def choose(scores: np.ndarray, points: np.ndarray, count: int, apart: float) -> np.ndarray:
    """Places of ``count`` good rows that are apart from one another, best first.

    Fronts come one after the other; within a front of several goals the rows farthest from those already chosen come
    first, of a single goal the best. Rows nearer than ``apart`` to a chosen one wait until no others are left.

    Args:
        scores: (rows, goals), the larger the better.
        points: (rows, size).
        count: how many; all when there are fewer.
        apart: least distance of two rows.
    """
    span = np.ptp(scores, axis=0)
    unit = (scores - scores.min(axis=0)) / np.where(span > 0, span, 1.0)
    if scores.shape[1] == 1:
        order = np.argsort(-scores[:, 0], kind="stable")
    else:
        layer = layers(scores, 4 * count)
        order = np.concatenate([_spread(unit, np.flatnonzero(layer == n)) for n in range(layer.max() + 1)])
    chosen: list[int] = []
    waiting: list[int] = []
    for place in order:
        if len(chosen) == count:
            break
        near = chosen and np.linalg.norm(points[chosen] - points[place], axis=1).min() < apart
        (waiting if near else chosen).append(int(place))
    return np.array((chosen + waiting)[:count], int)


def _spread(unit: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places ordered so that each next one is farthest, in goals, from those before; the best sum first."""
    if len(places) > 400:  # the tail of a long list is not shown
        return places[np.argsort(-unit[places].sum(axis=1), kind="stable")]
    order = [int(np.argmax(unit[places].sum(axis=1)))]
    gap = np.linalg.norm(unit[places] - unit[places[order[0]]], axis=1)
    while len(order) < len(places):
        gap[order] = -1
        order.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(unit[places] - unit[places[order[-1]]], axis=1))
    return places[order]
