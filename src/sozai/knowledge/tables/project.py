"""The nearest point that obeys linear (in)equalities, for many rows at once.

The dual active-set method of Goldfarb and Idnani (Math. Program. 27, 1, 1983) with the unit matrix as Hessian, every
step taken for all rows together: exact up to rounding after about as many steps as constraints are met, and it tells
where there is no such point. As in the constraint layer of Stoian et al. (arXiv 2402.04823) the outcome obeys by
construction; other than there, no order of the columns decides which one gives way: all change together, as little as
may be.
"""

from __future__ import annotations

import numpy as np

CHUNK = 8192
"""Rows at a time, which bounds the memory."""
_CLOSE = 1e-10


def project(
    points: np.ndarray, matrix: np.ndarray, right: np.ndarray, equal: np.ndarray, movable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest points with ``matrix @ x <= right``, and which were found.

    Args:
        points: (rows, columns), in units in which a change of one counts alike in each column.
        matrix: (constraints, columns), or one for each row (rows, constraints, columns).
        right: (constraints,) or (rows, constraints); infinite where the constraint does not apply.
        equal: (constraints,) of bool: where ``=`` stands for ``<=``.
        movable: (rows, columns) of bool: what may change.

    Returns:
        points (rows, columns), and (rows,) of bool; where it is false there is no such point.
    """
    rows = len(points)
    made, found = points.copy(), np.ones(rows, bool)
    right = np.broadcast_to(right, (rows, np.shape(right)[-1]))
    for start in range(0, rows, CHUNK):
        part = slice(start, start + CHUNK)
        block = matrix[part] if matrix.ndim == 3 else np.broadcast_to(matrix, (len(points[part]), *matrix.shape))
        made[part], found[part] = _project(points[part], block, right[part], equal, movable[part])
    return made, found


def _project(
    points: np.ndarray, matrix: np.ndarray, right: np.ndarray, equal: np.ndarray, movable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows, constraints, columns = matrix.shape
    made, found = points.copy(), np.ones(rows, bool)
    if not constraints or not rows:
        return made, found
    normals = matrix * movable[:, None, :]
    length = np.linalg.norm(normals, axis=2)
    usable = (length > 1e-12 * (np.abs(matrix).max(axis=2) + 1e-300)) & np.isfinite(right)
    length = np.where(usable, length, 1.0)
    # What cannot move goes to the right side, so that only unit normals of what can are left.
    with np.errstate(invalid="ignore"):
        right = right - np.einsum("rmk,rk->rm", matrix - normals, points)
    normals, right = (
        np.where(usable[:, :, None], normals / length[:, :, None], 0.0),
        np.where(usable, right / length, 0),
    )
    slack = _CLOSE * (1 + np.abs(right) + np.abs(points).max(axis=1)[:, None])

    width = min(columns, constraints) + 1
    active = np.full((rows, width), -1)
    sign = np.ones((rows, width))
    weight = np.zeros((rows, width))
    entering = np.full(rows, -1)
    entering_sign, entering_weight = np.ones(rows), np.zeros(rows)
    todo = np.arange(rows)
    for _ in range(12 * (constraints + 2)):
        if not len(todo):
            return made, found
        # The constraint that is missed most, where none is on its way in.
        free = todo[entering[todo] < 0]
        if len(free):
            missed = np.einsum("rmk,rk->rm", normals[free], made[free]) - right[free]
            size = np.where(equal, np.abs(missed), missed)
            size = np.where(usable[free], size - slack[free], -1.0)
            choice = size.argmax(axis=1)
            pick = np.arange(len(free))
            entering[free] = np.where(size[pick, choice] > 0, choice, -1)
            entering_sign[free] = np.where(equal[choice] & (missed[pick, choice] < 0), -1.0, 1.0)
            entering_weight[free] = 0.0
            todo = todo[entering[todo] >= 0]
            if not len(todo):
                return made, found
        into = normals[todo, entering[todo]] * entering_sign[todo, None]
        gap = (into * made[todo]).sum(axis=1) - right[todo, entering[todo]] * entering_sign[todo]
        used = active[todo] >= 0
        depth = int(np.max(np.where(used.any(axis=1), width - used[:, ::-1].argmax(axis=1), 0), initial=0))
        step, ratio = into, np.zeros((len(todo), depth))
        if depth:
            used = used[:, :depth]
            within = normals[todo[:, None], np.maximum(active[todo, :depth], 0)]
            within = within * (sign[todo, :depth] * used)[:, :, None]
            gram = within @ within.transpose(0, 2, 1)
            gram[:, np.arange(depth), np.arange(depth)] += np.where(used, 1e-14, 1.0)
            ratio = np.linalg.solve(gram, (within @ into[:, :, None]))[:, :, 0] * used
            step = into - (within * ratio[:, :, None]).sum(axis=1)
        length2 = (step * into).sum(axis=1)
        with np.errstate(all="ignore"):
            whole = np.where(length2 > 1e-9, gap / length2, np.inf)
            blocking = np.where(ratio > 1e-9, weight[todo, :depth] / ratio, np.inf)
        first = blocking.min(axis=1, initial=np.inf)
        none = ~np.isfinite(np.minimum(whole, first))
        found[todo[none]] = False
        length_of = np.where(none, 0.0, np.minimum(whole, first))
        made[todo] -= np.where(np.isfinite(whole), length_of, 0.0)[:, None] * step
        weight[todo, :depth] -= length_of[:, None] * ratio
        entering_weight[todo] += length_of
        full = ~none & (whole <= first)
        enter = todo[full]
        if len(enter):
            place = (active[enter] < 0).argmax(axis=1)
            active[enter, place], sign[enter, place] = entering[enter], entering_sign[enter]
            weight[enter, place] = entering_weight[enter]
            entering[enter] = -1
        leave = ~none & ~full
        if leave.any():
            place = blocking[leave].argmin(axis=1)
            active[todo[leave], place] = -1
            weight[todo[leave], place] = 0.0
        todo = todo[~none]
    found[todo] = False
    return made, found
