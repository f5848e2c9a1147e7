"""A weak form on a mesh: its residual and its derivative, and Newton's method on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import sympy
from scipy.sparse.linalg import splu

from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.space import Points, Space

NEWTON_STEPS = 25
NEWTON_TOLERANCE = 1e-11
"""Largest last change of Newton's method, relative to the largest number of each field."""


class Diverged(Exception):
    """Numbers that are no longer finite, or Newton's method that finds no solution."""


def compiled(outputs: Sequence[sympy.Expr], arguments: Sequence[sympy.Symbol]) -> Callable[..., list[Any]]:
    """A numpy function of symbols that gives a list of arrays (or numbers, where nothing varies)."""
    call = sympy.lambdify(list(arguments), list(outputs), modules=["scipy", "numpy"], cse=True)

    def with_arrays(*numbers: Any) -> list[Any]:
        """1/0 is infinite, as in arrays, and found as such; no exception."""
        return call(*(np.float64(n) if isinstance(n, float) else n for n in numbers))

    return with_arrays


def slope_of(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    """The derivative for real numbers (of ``|u|`` it is the sign), zero where a function jumps: Newton's method."""
    if not expression.has(sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Max, sympy.Min):
        return sympy.diff(expression, symbol)
    real = {each: sympy.Dummy(each.name, real=True) for each in expression.free_symbols | {symbol}}
    made = sympy.diff(expression.xreplace(real), real[symbol]).replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)
    return made.xreplace({dummy: each for each, dummy in real.items()})


@dataclass
class _Entry:
    """One term of the derivative: how row ``row`` answers to ``symbol`` of field ``column``."""

    row: int
    column: int
    test: int  # -1: the test function itself, else its slope along this axis
    trial: int  # -1: the value, -2: the rate, else the slope along this axis
    strength: sympy.Expr


class Region:
    """The body or a face: what is integrated over it, compiled."""

    def __init__(self, form: Form, points: Points, tested: list[tuple[int, int, sympy.Expr]], degrees: Sequence[int]):
        self.form, self.points, self.degrees = form, points, degrees
        self.tested = [(row, test) for row, test, _ in tested]
        self.arguments = [*form.space, form.time, *form.values, *itertools.chain(*form.slopes), *form.rates]
        self.call = compiled([e for _, _, e in tested], self.arguments)
        hidden = set(form.unknowns) | {form.time}
        entries = list(self._entries(tested))
        self.fixed = [e for e in entries if not e.strength.free_symbols & hidden]
        self.moving = [e for e in entries if e.strength.free_symbols & hidden]
        self.call_fixed = compiled([e.strength for e in self.fixed], form.space)
        self.call_moving = compiled([e.strength for e in self.moving], self.arguments)

    def _entries(self, tested: list[tuple[int, int, sympy.Expr]]) -> Iterator[_Entry]:
        for row, test, expression in tested:
            for j, value in enumerate(self.form.values):
                symbols = [(-1, value), (-2, self.form.rates[j]), *enumerate(self.form.slopes[j])]
                for trial, symbol in symbols:
                    strength = slope_of(expression, symbol)
                    if strength != 0:
                        yield _Entry(row, j, test, trial, strength)

    def operator(self, field: int, kind: int) -> sp.csr_matrix:
        """The matrix of a field's values (negative kind) or slopes at the points."""
        degree = self.degrees[field]
        return self.points.value[degree] if kind < 0 else self.points.slopes[degree][kind]

    def at(self, t: float, fields: Sequence[np.ndarray], rates: Sequence[np.ndarray]) -> list[Any]:
        """Arguments of the compiled functions."""
        dimension = len(self.form.space)
        return [
            *self.points.where,
            t,
            *(self.operator(j, -1) @ u for j, u in enumerate(fields)),
            *(self.operator(j, k) @ u for j, u in enumerate(fields) for k in range(dimension)),
            *(self.operator(j, -1) @ r for j, r in enumerate(rates)),
        ]

    def blocks(self, entries: list[_Entry], strengths: list[Any], rate: float) -> Iterator[tuple[int, int, Any, bool]]:
        """Blocks of the derivative: row, column, matrix, whether it belongs to the rates."""
        for entry, strength in zip(entries, strengths, strict=True):
            weights = self.points.weights * strength * (rate if entry.trial == -2 else 1.0)
            trial = self.operator(entry.column, entry.trial)
            block = self.operator(entry.row, entry.test).T @ sp.diags(weights) @ trial
            yield entry.row, entry.column, block, entry.trial == -2


class Discrete:
    """A weak form on a mesh.

    Args:
        form: the weak form.
        space: fields on the box.
        degrees: of each field's elements.
    """

    def __init__(self, form: Form, space: Space, degrees: Sequence[int]):
        self.form, self.space, self.degrees = form, space, list(degrees)
        self.dtype = complex if form.complex else float
        sizes = [space.size[p] for p in degrees]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.size = int(self.offsets[-1])
        assert space.body is not None
        inside = [
            *((i, k, -form.flux[i][k]) for i in range(len(form.names)) for k in range(len(form.space))),
            *((i, -1, form.rest[i]) for i in range(len(form.names))),
        ]
        self.regions = [Region(form, space.body, [part for part in inside if part[2] != 0], degrees)]
        for face, points in space.faces.items():
            outside = [(i, -1, form.boundary[i][face]) for i in range(len(form.names)) if face in form.boundary[i]]
            if outside:
                self.regions.append(Region(form, points, outside, degrees))
        self._still, self._mass = self._fixed()
        self.constant = not any(region.moving for region in self.regions)
        self.linear = form.linear
        self._set_fixed_values()
        held = np.zeros(self.size, bool)
        held[self.held] = True
        self.free = np.flatnonzero(~held)
        self._means()

    def _fixed(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        still: list[tuple[int, int, Any]] = []
        mass: list[tuple[int, int, Any]] = []
        for region in self.regions:
            strengths = region.call_fixed(*region.points.where)
            for row, column, block, of_rate in region.blocks(region.fixed, strengths, 1.0):
                (mass if of_rate else still).append((row, column, block))
        return self._whole(still), self._whole(mass)

    def _whole(self, parts: list[tuple[int, int, Any]]) -> sp.csr_matrix:
        grid: list[list[Any]] = [[None] * len(self.degrees) for _ in self.degrees]
        for row, column, block in parts:
            grid[row][column] = block if grid[row][column] is None else grid[row][column] + block
        for i, p in enumerate(self.degrees):
            if grid[i][i] is None:
                grid[i][i] = sp.csr_matrix((self.space.size[p], self.space.size[p]))
        return sp.csr_matrix(sp.bmat(grid, format="csr"))

    def _set_fixed_values(self) -> None:
        """Where values are prescribed, and by what; where faces meet, the last one stated holds."""
        self._prescribed = []
        places = []
        for j, faces in enumerate(self.form.fixed):
            nodes = self.space.nodes(self.degrees[j])
            for face, value in faces.items():
                on = self.space.on_face(face, self.degrees[j])
                call = compiled([value], [*self.form.space, self.form.time])
                self._prescribed.append((on + self.offsets[j], [spots[on] for spots in nodes], call))
                places.append(on + self.offsets[j])
        self.held = np.unique(np.concatenate(places)) if places else np.zeros(0, int)

    def _means(self) -> None:
        """Rows that give the mean of fields that only matter up to a constant."""
        body = self.regions[0].points
        self.means = np.zeros((len(self.form.mean_free), self.size))
        for row, j in enumerate(self.form.mean_free):
            weights = body.value[self.degrees[j]].T @ body.weights
            self.means[row, self.offsets[j] : self.offsets[j + 1]] = weights / np.abs(weights).sum()

    def hold(self, t: float, state: np.ndarray) -> np.ndarray:
        """The state with the values prescribed at a time."""
        for places, spots, call in self._prescribed:
            state[places] = call(*spots, t)[0]
        return state

    def centre(self, state: np.ndarray) -> np.ndarray:
        """The state with the mean of fields that only matter up to a constant taken away."""
        for row, j in enumerate(self.form.mean_free):
            state[self.offsets[j] : self.offsets[j + 1]] -= self.means[row] @ state
        return state

    def parts(self, state: np.ndarray) -> list[np.ndarray]:
        """The numbers of each field."""
        return [state[a:b] for a, b in itertools.pairwise(self.offsets)]

    def residual(self, t: float, state: np.ndarray, rate: np.ndarray) -> np.ndarray:
        """The weak form tested by every node's function."""
        made = np.zeros(self.size, self.dtype)
        fields, rates = self.parts(state), self.parts(rate)
        for region in self.regions:
            for (row, test), value in zip(region.tested, region.call(*region.at(t, fields, rates)), strict=True):
                answer = region.operator(row, test).T @ (region.points.weights * value)
                made[self.offsets[row] : self.offsets[row + 1]] += answer
        return made

    def derivative(self, t: float, state: np.ndarray, rate: np.ndarray, per_step: float) -> sp.csr_matrix:
        """Derivative of the residual by the state, with ``rate = per_step * state + ...``."""
        made = self._still + per_step * self._mass
        parts = []
        for region in self.regions:
            if region.moving:
                strengths = region.call_moving(*region.at(t, self.parts(state), self.parts(rate)))
                parts += [block[:3] for block in region.blocks(region.moving, strengths, per_step)]
        return made + self._whole(parts) if parts else made


class Newton:
    """Newton's method with a derivative that is kept while it serves.

    Args:
        discrete: the equations.
        only: numbers to solve for (all that are not prescribed, by default).
    """

    def __init__(self, discrete: Discrete, only: np.ndarray | None = None):
        self.discrete = discrete
        self.free = discrete.free if only is None else only
        # One number of each field that only matters up to a constant is set to zero; a dense row for the mean
        # would fill the factors. What then does not balance is the multiplier; the mean is taken away after.
        first = [discrete.offsets[j] for j in discrete.form.mean_free]
        self.pins = np.flatnonzero(np.isin(self.free, first))
        self.multipliers = np.zeros(len(self.pins), discrete.dtype)
        self._solver: Any = None
        self._at = float("nan")

    def _factor(self, t: float, state: np.ndarray, rate: np.ndarray, per_step: float) -> None:
        if self._solver is not None and self.discrete.constant and per_step == self._at:
            return
        matrix = self.discrete.derivative(t, state, rate, per_step)[self.free][:, self.free]
        if len(self.pins):
            count = len(self.pins)
            border = sp.csr_matrix((np.ones(count), (np.arange(count), self.pins)), shape=(count, len(self.free)))
            matrix = sp.bmat([[matrix, border.T], [border, None]])
        matrix = sp.csc_matrix(matrix)
        if not np.isfinite(matrix.data).all():
            raise Diverged("the coefficients are no longer finite numbers")
        try:
            self._solver, self._at = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01), per_step
        except RuntimeError as error:
            raise Diverged("the equations do not determine the solution (singular matrix)") from error

    def solve(self, t: float, state: np.ndarray, base: np.ndarray, per_step: float) -> np.ndarray:
        """The state at which the residual vanishes, with ``rate = per_step * (state - base)``.

        Raises:
            Diverged: no such state was found.
        """
        discrete, state = self.discrete, state.copy()
        stale, before = self._solver is None or self._at != per_step, np.inf
        for _ in range(NEWTON_STEPS):
            rate = per_step * (state - base)
            if stale:
                self._factor(t, state, rate, per_step)
                stale = False
            left = discrete.residual(t, state, rate)[self.free]
            if len(self.pins):
                left[self.pins] += self.multipliers
                left = np.concatenate([left, state[self.free][self.pins]])
            if not np.isfinite(left).all():
                raise Diverged("the numbers are no longer finite")
            change = self._solver.solve(left)
            state[self.free] -= change[: len(self.free)]
            self.multipliers = self.multipliers - change[len(self.free) :]
            size = self._relative(change[: len(self.free)], state)
            if size <= NEWTON_TOLERANCE or (discrete.constant and discrete.linear):
                return discrete.centre(state)
            stale = size > 0.2 * before or size > 0.5  # what is kept no longer serves: form it anew
            before = size
        if before < 1e-8:
            return discrete.centre(state)  # at the level of rounding
        raise Diverged("Newton's method found no solution")

    def _relative(self, change: np.ndarray, state: np.ndarray) -> float:
        """Largest change of a field relative to its largest number."""
        whole = np.zeros(self.discrete.size)
        whole[self.free] = np.abs(change)
        worst = 0.0
        for part, values in zip(self.discrete.parts(whole), self.discrete.parts(np.abs(state)), strict=True):
            if part.size:
                worst = max(worst, float(part.max() / max(values.max(), 1e-12)))
        return worst
