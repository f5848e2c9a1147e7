"""The numbers of rows as a matrix, projected onto (in)equalities, grids and formulas."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sozai.knowledge.tables.alternatives import Comparison, Grid, Linear
from sozai.knowledge.tables.project import CHUNK, project
from sozai.knowledge.tables.sums import Derived

MOST_STEPS = 15
"""Linearisations of conditions that are not linear."""
MOST_ROUNDINGS = 81
"""Neighbours on the grids that are tried where the nearest values break a comparison: all of up to four columns."""


class Numbers:
    """The columns of numbers that are not computed from others, in units of their spread.

    Args:
        frame: rows, for the spreads.
        derived: columns that are computed, each after those it needs.
        scales: by column, the change that counts as one, instead of the spread.
    """

    def __init__(self, frame: pd.DataFrame, derived: Sequence[Derived], scales: Mapping[str, float]):
        self.derived = tuple(derived)
        computed = {rule.column for rule in derived}
        self.names = [str(name) for name in frame.columns if frame[name].dtype.kind in "fiu" and name not in computed]
        self.places = {name: place for place, name in enumerate(self.names)}
        self.scale, self.size = np.ones(len(self.names)), np.ones(len(self.names))
        for place, name in enumerate(self.names):
            known = frame[name].to_numpy(float)
            known = known[np.isfinite(known)]
            size = float(np.abs(known).mean()) if len(known) else 1.0
            spread = float(scales.get(name, known.std() if len(known) > 1 else 0.0))
            self.size[place] = size
            self.scale[place] = spread if spread > 1e-9 * size else size or 1.0
        self.forms = self._forms()

    def _forms(self) -> dict[str, Linear]:
        """Derived columns that are linear in the others, in terms of those."""
        forms: dict[str, Linear] = {}
        for rule in self.derived:
            if rule.linear is not None:
                made = self._substituted(rule.linear, forms)
                if made is not None:
                    forms[rule.column] = made
        return forms

    def _substituted(self, form: Linear, forms: Mapping[str, Linear]) -> Linear | None:
        """A linear form in columns that are not computed; ``None`` where it is none."""
        coefficients: dict[str, float] = {}
        constant = form.constant
        for name, by in form.coefficients.items():
            inner = {name: 1.0} if name in self.places else forms[name].coefficients if name in forms else None
            if inner is None:
                return None
            constant += 0.0 if name in self.places else by * forms[name].constant
            for each, value in inner.items():
                coefficients[each] = coefficients.get(each, 0.0) + by * value
        return Linear(coefficients, constant, form.sign)

    def values(self, frame: pd.DataFrame) -> np.ndarray:
        """(rows, columns) in units of the spread."""
        return np.column_stack([frame[name].to_numpy(float) for name in self.names] or [np.zeros((len(frame), 0))]) / (
            self.scale
        )

    def movable(self, frame: pd.DataFrame, fixed: frozenset[str]) -> np.ndarray:
        """What may change, (rows, columns): known values of columns that are not fixed."""
        free = np.array([name not in fixed for name in self.names], bool)
        return np.isfinite(self.values(frame)) & free

    def projected(
        self, frame: pd.DataFrame, comparisons: Sequence[Comparison], grids: Sequence[Grid], movable: np.ndarray
    ) -> pd.DataFrame:
        """Rows changed as little as may be to obey; not all need to come to do so.

        Args:
            frame: rows.
            comparisons: that must hold together.
            grids: columns that take only some values.
            movable: (rows, columns) of bool: what may change.
        """
        allowed = _merged(grids)
        system = _System(self, comparisons, allowed)
        start = self.values(frame)
        made = system.solve(start, start, movable)
        snapped = [self.places[name] for name in allowed if name in self.places]
        if snapped:
            still = movable.copy()
            still[:, snapped] = False
            nearest = self._snapped(made, allowed)
            nearest = np.where(movable, nearest, made)
            tried = system.solve(start, nearest, still)
            wrong = system.missed(tried) & ~system.missed(made)
            if wrong.any():
                rows = np.flatnonzero(wrong)
                tried[rows] = self._rounded(system, start[rows], made[rows], movable[rows], allowed, tried[rows])
            made = tried
        out = frame.copy()
        for place, name in enumerate(self.names):
            changed = made[:, place] != start[:, place]
            if changed.any():
                old = frame[name].to_numpy(float)
                new = np.where(changed, made[:, place] * self.scale[place], old)
                if name in allowed:
                    new = np.where(changed, allowed[name].nearest(new), new)
                low, high = system.limits(name)
                out[name] = np.where(changed & movable[:, place], np.clip(new, low, high), old)
        for rule in self.derived:
            fresh = rule.computed(out)
            old = out[rule.column].to_numpy(float)
            missed = np.abs(fresh - old) > max(rule.tolerance / 2, 1e-9) * np.abs(fresh)
            out[rule.column] = np.where((missed | np.isnan(old)) & np.isfinite(fresh), fresh, old)
        return out

    def _rounded(
        self,
        system: _System,
        start: np.ndarray,
        made: np.ndarray,
        movable: np.ndarray,
        allowed: Mapping[str, Grid],
        otherwise: np.ndarray,
    ) -> np.ndarray:
        """Rows whose nearest values on the grids break a comparison: the nearest of their neighbours that does not.

        Args:
            system: the comparisons.
            start: rows as they were.
            made: rows that obey, but are not on the grids.
            movable: what may change.
            allowed: the grids.
            otherwise: what to return for rows without such a neighbour.
        """
        places = [self.places[name] for name in allowed if name in self.places]
        still = movable.copy()
        still[:, places] = False
        best, far = otherwise.copy(), np.full(len(made), np.inf)
        steps = [(-1, 0, 1) if name in system.shared else (0,) for name in allowed if name in self.places]
        every = itertools.islice(itertools.product(*steps), 10 * MOST_ROUNDINGS)
        for ways in sorted(every, key=lambda each: sum(map(abs, each)))[1:MOST_ROUNDINGS]:
            side = np.where(movable, self._snapped(made, allowed, ways), made)
            again = system.solve(start, side, still)
            away = np.nansum((again - start) ** 2, axis=1)
            better = ~system.missed(again) & (away < far)
            best[better], far[better] = again[better], away[better]
        return best

    def _snapped(self, made: np.ndarray, allowed: Mapping[str, Grid], ways: Sequence[int] = ()) -> np.ndarray:
        """Values on their grids: the nearest (0), or the next below (-1) or above it (1)."""
        made = made.copy()
        names = [name for name in allowed if name in self.places]
        for name, way in zip(names, ways or [0] * len(names), strict=True):
            place, grid = self.places[name], allowed[name]
            new = grid.nearest(made[:, place] * self.scale[place])
            if way and grid.values:
                steps = np.asarray(grid.values)
                new = steps[np.clip(np.searchsorted(steps, np.nan_to_num(new)) + way, 0, len(steps) - 1)]
            made[:, place] = (new + (0 if grid.values else way)) / self.scale[place]
        return made

    def columns(self, values: np.ndarray) -> dict[str, Any]:
        """All columns of numbers for conditions to read, computed ones anew.

        Args:
            values: (rows, columns) in units of the spread.
        """
        made: dict[str, Any] = {name: values[:, place] * self.scale[place] for place, name in enumerate(self.names)}
        for rule in self.derived:
            made[rule.column] = rule.computed(made)
        return made


class _System:
    """Comparisons that must hold together, as rows of a matrix in units of the spread."""

    def __init__(self, numbers: Numbers, comparisons: Sequence[Comparison], allowed: Mapping[str, Grid]):
        self.numbers = numbers
        self.linear: list[Linear] = []
        self.curved: list[Comparison] = []
        for each in comparisons:
            form = numbers._substituted(each.linear, numbers.forms) if each.linear is not None else None
            if form is None:
                self.curved.append(each)
            elif form.coefficients:
                self.linear.append(_on_grid(form, allowed))
        names = numbers.names
        self.matrix = np.zeros((len(self.linear), len(names)))
        for row, form in enumerate(self.linear):
            for name, by in form.coefficients.items():
                self.matrix[row, numbers.places[name]] = by * numbers.scale[numbers.places[name]]
        self.right = -np.array([form.constant for form in self.linear]).reshape(-1)
        self.signs = [form.sign for form in self.linear] + [each.sign for each in self.curved]
        self.equal = np.array([sign == "=" for sign in self.signs], bool)
        # What is strictly below keeps a distance that survives printing with six digits.
        typical = np.abs(self.matrix) @ (numbers.size / numbers.scale) + np.abs(self.right)
        margin = 1e-3 * np.linalg.norm(self.matrix, axis=1) + 2e-5 * typical
        self.aim = self.right - np.where([form.sign == "<" for form in self.linear], margin, 0.0)

    @property
    def shared(self) -> set[str]:
        """Columns that comparisons tie to others."""
        tied = [form.coefficients for form in self.linear if len(form.coefficients) > 1]
        return {*(name for each in tied for name in each), *(name for each in self.curved for name in each.columns)}

    def limits(self, name: str) -> tuple[float, float]:
        """Least and greatest value of one column by itself."""
        low, high = -np.inf, np.inf
        for form in self.linear:
            if list(form.coefficients) == [name] and form.sign != "<":
                ((_, by),) = form.coefficients.items()
                value = -form.constant / by
                if by > 0 or form.sign == "=":
                    high = min(high, value)
                if by < 0 or form.sign == "=":
                    low = max(low, value)
        return low, max(low, high)

    def solve(self, start: np.ndarray, held: np.ndarray, movable: np.ndarray) -> np.ndarray:
        """Nearest points to ``start`` where it may move and ``held`` where it may not, (rows, columns)."""
        point = np.where(movable, start, held)
        out = point.copy()
        for begin in range(0, len(point), CHUNK):
            part = slice(begin, begin + CHUNK)
            out[part] = self._solve(point[part], movable[part])
        return out

    def _solve(self, point: np.ndarray, movable: np.ndarray) -> np.ndarray:
        known = np.isfinite(point)
        base = np.where(known, point, 0.0)
        # A constraint on a value that is missing is not judged.
        touched = (~known).astype(float) @ (self.matrix != 0).T.astype(float) > 0
        right = np.where(touched, np.inf, self.aim)
        count = len(self.linear)
        made, found = project(base, self.matrix, right, self.equal[:count], movable)
        if not self.curved:
            return np.where(found[:, None] & known, made, point)
        # The linear ones first: they keep the start away from where a ratio has no meaning.
        here, goal = np.where(found[:, None], made, base), np.flatnonzero(found)
        fixed_part = np.broadcast_to(self.matrix, (len(base), *self.matrix.shape))
        for _ in range(MOST_STEPS):
            values, slopes, margin = self._curved(np.where(known, here, np.nan)[goal])
            whole = np.concatenate([fixed_part[goal], slopes], axis=1)
            level = np.einsum("rmk,rk->rm", slopes, here[goal]) - values - margin
            both = np.concatenate([right[goal], np.where(np.isfinite(level), level, np.inf)], axis=1)
            made, found = project(base[goal], whole, both, self.equal, movable[goal])
            moved = np.abs(made - here[goal]).max(axis=1) > 1e-10 * (1 + np.abs(made).max(axis=1))
            here[goal[found]] = made[found]
            goal = goal[found & moved]
            if not len(goal):
                break
        return np.where(known, here, point)

    def _curved(self, here: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, slopes and margins of the conditions that are not linear: (rows, conditions[, columns])."""
        rows, columns = here.shape
        values = np.full((rows, len(self.curved)), np.nan)
        slopes = np.zeros((rows, len(self.curved), columns))
        at = self.numbers.columns(here)
        with np.errstate(all="ignore"):
            for number, each in enumerate(self.curved):
                values[:, number] = each.value(at)
            for place in self._needed():
                step = 1e-5 * np.maximum(np.abs(here[:, place]), 1e-2)
                sides = []
                for way in (1, -1):
                    beside = here.copy()
                    beside[:, place] += way * step
                    at = self.numbers.columns(beside)
                    sides.append([each.value(at) for each in self.curved])
                for number in range(len(self.curved)):
                    slopes[:, number, place] = (sides[0][number] - sides[1][number]) / (2 * step)
        bad = ~np.isfinite(values) | ~np.isfinite(slopes).all(axis=2)
        slopes = np.where(bad[:, :, None], 0.0, slopes)
        strict = np.array([each.sign == "<" for each in self.curved])
        margin = np.where(strict, 1e-3 * np.linalg.norm(slopes, axis=2) + 2e-5 * np.abs(values), 0.0)
        return np.where(bad, np.nan, values), slopes, margin

    def _needed(self) -> list[int]:
        """Places of the columns that the conditions depend on, also by way of computed ones."""
        needed = {name for each in self.curved for name in each.columns}
        for rule in reversed(self.numbers.derived):
            if rule.column in needed:
                needed |= set(rule.formula.columns)
        return [self.numbers.places[name] for name in self.numbers.names if name in needed]

    def missed(self, points: np.ndarray) -> np.ndarray:
        """Rows that break a comparison, (rows,)."""
        return np.asarray((self._excess(points) > 0).any(axis=1))

    def _excess(self, points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            linear = points @ self.matrix.T - self.right if not np.isnan(points).any() else self._known(points)
            at = self.numbers.columns(points) if self.curved else {}
            curved = [each.value(at) for each in self.curved]
        every = np.column_stack([linear, *curved])
        every = np.where(self.equal, np.abs(every), every)
        size = np.abs(np.nan_to_num(points)) @ np.abs(self.matrix).T + np.abs(self.right)
        size = np.column_stack([size, *(np.full(len(points), 1.0) for _ in self.curved)])
        slack = np.where([sign == "<" for sign in self.signs], -1e-6, 1e-6)
        return np.where(np.isnan(every), 0.0, every - slack * size)

    def _known(self, points: np.ndarray) -> np.ndarray:
        touched = np.isnan(points).astype(float) @ (self.matrix != 0).T.astype(float) > 0
        return np.where(touched, np.nan, np.nan_to_num(points) @ self.matrix.T - self.right)


def _merged(grids: Sequence[Grid]) -> dict[str, Grid]:
    """One grid for each column: what several allow together."""
    made: dict[str, Grid] = {}
    for grid in grids:
        old = made.get(grid.column)
        if old is None:
            made[grid.column] = grid
        else:
            values = set(old.values or grid.values) & set(grid.values or old.values)
            if values and not (old.values and grid.values):
                values = {value for value in values if value == round(value)}
            made[grid.column] = Grid(grid.column, tuple(sorted(values))) if values else old
    return made


def _on_grid(form: Linear, allowed: Mapping[str, Grid]) -> Linear:
    """A limit of a column that takes only some values, moved to the last value within it."""
    if len(form.coefficients) != 1 or form.sign == "=":
        return form
    ((name, by),) = form.coefficients.items()
    if name not in allowed:
        return form
    limit, strict = -form.constant / by, form.sign == "<"
    values = allowed[name].values
    if values:
        inside = [v for v in values if (v - limit) * by < 0 or (v == limit and not strict)]
        if not inside:
            return form
        new = max(inside) if by > 0 else min(inside)
    else:
        new = np.floor(limit + 1e-9) if by > 0 else np.ceil(limit - 1e-9)
        if strict and new == limit:
            new += -1.0 if by > 0 else 1.0
    return Linear({name: by}, -by * float(new), "<=")
