"""A second method: finite differences on the equations as they were written, with ghost nodes at the boundary.

It shares nothing with the finite elements: not the weak form, not the mesh, not the time steps (scipy's BDF with
its own error control, where every unknown has a rate). Agreement within both error bars therefore says much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import sympy

from sozai.assistant.equations.pde.discrete import compiled, slope_of
from sozai.assistant.equations.pde.terms import read_terms
from sozai.assistant.equations.problem import Condition, Problem

Affine = tuple[sp.csr_matrix, Callable[[float], np.ndarray]]
"""A matrix on an unknown's numbers, and what the boundary adds at a time."""


class NotApplicable(Exception):
    """Why finite differences cannot serve as the second method here."""


@dataclass
class _Side:
    """What holds on one face for one unknown: its value, or its outward slope as ``value - share * u``."""

    value: Callable[[float], np.ndarray] | None = None
    slope: Callable[[float], np.ndarray] | None = None
    share: np.ndarray | None = None


class Differences:
    """A problem on a lattice.

    Args:
        problem: the person's.
        cells: intervals along each axis.
        traction: whether stated derivatives are tractions (which differences do not know).

    Raises:
        NotApplicable: a condition that differences cannot carry.
    """

    def __init__(self, problem: Problem, cells: list[int], traction: bool = False):
        self.problem, self.terms = problem, read_terms(problem)
        self.cells = cells
        names = [str(s) for s in problem.space]
        self.box = [tuple(float(e) for e in problem.domain[name]) for name in names]
        self.wraps = [
            any(c.kind == "periodic" and c.where in ("boundary", n, f"{n}-", f"{n}+") for c in problem.conditions)
            for n in names
        ]
        self.axes = [
            np.linspace(low, high, n + 1)[: n if wrap else n + 1]
            for (low, high), n, wrap in zip(self.box, cells, self.wraps, strict=True)
        ]
        self.shape = tuple(len(axis) for axis in self.axes)
        self.grid = [g.ravel() for g in np.meshgrid(*self.axes, indexing="ij")]
        self.count = len(self.grid[0])
        self.steps = [(high - low) / n for (low, high), n in zip(self.box, cells, strict=True)]
        self.sides = [self._sides(name, traction) for name in self.terms.names]
        self._affine: dict[tuple[int, tuple[int, ...]], Affine] = {}
        self.known = [self._known(j) for j in range(len(self.terms.names))]

    def _sides(self, name: str, traction: bool) -> dict[tuple[int, int], _Side]:
        found: dict[tuple[int, int], _Side] = {}
        for axis, symbol in enumerate(self.problem.space):
            for side, mark in ((-1, "-"), (1, "+")):
                if self.wraps[axis]:
                    continue
                here = [
                    c
                    for c in self.problem.conditions
                    if c.kind != "initial" and c.unknown == name and c.where in ("boundary", f"{symbol}{mark}")
                ]
                if not here:
                    raise NotApplicable(f"no condition is stated for {name} on {symbol}{mark}")
                made = found[axis, side] = _Side()
                for condition in here:
                    if condition.derivative == 3 and condition.value in (None, 0):
                        continue  # what the ghost nodes of the fourth derivative assume
                    if condition.derivative >= 2:
                        raise NotApplicable("a second derivative is stated on a face")
                    if traction and condition.kind != "dirichlet":
                        raise NotApplicable("tractions on a face are not differences of one unknown")
                    self._state(made, condition, axis, side)
        return found

    def _state(self, made: _Side, condition: Condition, axis: int, side: int) -> None:
        value = self.terms.expression(condition.value if condition.value is not None else sympy.S.Zero, "a face")
        share = self.terms.expression(
            condition.coefficient if condition.coefficient is not None else sympy.S.One, "a face"
        )
        unknown = set(self.terms.symbols.values())
        if (value.free_symbols | (share.free_symbols if condition.kind == "robin" else set())) & unknown:
            raise NotApplicable("a boundary condition depends on an unknown")
        on = self._on(axis, side)
        spots = [g[on] for g in self.grid]
        call = compiled([value], [*self.terms.space, self.terms.time])

        def at(t: float) -> np.ndarray:
            return np.broadcast_to(np.asarray(call(*spots, t)[0]), spots[0].shape)

        if condition.kind == "dirichlet":
            made.value = at
            return
        made.slope, made.share = at, np.zeros(len(on))
        if condition.kind == "robin":
            if share.has(self.terms.time):
                raise NotApplicable("a coefficient of a boundary condition varies in time")
            made.share = np.broadcast_to(
                np.asarray(compiled([share], list(self.terms.space))(*spots)[0]), spots[0].shape
            )

    def _on(self, axis: int, side: int) -> np.ndarray:
        numbers = np.arange(self.count).reshape(self.shape)
        return np.take(numbers, 0 if side < 0 else -1, axis=axis).ravel()

    def _known(self, j: int) -> np.ndarray:
        """Nodes whose values are prescribed."""
        places = [self._on(*face) for face, side in self.sides[j].items() if side.value is not None]
        return np.unique(np.concatenate(places)) if places else np.zeros(0, int)

    def prescribe(self, j: int, t: float, values: np.ndarray) -> np.ndarray:
        """The values of an unknown with what is prescribed put in."""
        for face, side in self.sides[j].items():
            if side.value is not None:
                values[self._on(*face)] = side.value(t)
        return values

    def _along(self, axis: int, line: sp.csr_matrix) -> sp.csr_matrix:
        """A matrix along one axis for all lines of the lattice."""
        made = sp.identity(1)
        for k, count in enumerate(self.shape):
            made = sp.kron(made, line if k == axis else sp.identity(count))
        return sp.csr_matrix(made)

    def _kind(self, j: int) -> type:
        """Complex where a coefficient on a face is."""
        shares = [side.share for side in self.sides[j].values() if side.share is not None]
        return complex if any(np.iscomplexobj(share) for share in shares) else float

    def _first(self, j: int, axis: int, plain: bool = False) -> Affine:
        """First derivative: central; at a face the stated slope, else one-sided of second order."""
        n, h = self.shape[axis], self.steps[axis]
        line = sp.diags([-1.0, 1.0], [-1, 1], shape=(n, n)).tolil()
        if self.wraps[axis]:
            line[0, n - 1], line[n - 1, 0] = -1.0, 1.0
        else:
            line[0, :3], line[n - 1, n - 3 :] = [-3.0, 4.0, -1.0], [1.0, -4.0, 3.0]
        matrix = self._along(axis, line / (2 * h)).astype(self._kind(j)).tolil()
        pieces = []
        for (k, side), stated in ({} if plain else self.sides[j]).items():
            if k == axis and stated.slope is not None:
                assert stated.share is not None
                on = self._on(axis, side)
                matrix[on, :] = 0.0
                matrix[on, on] = -side * stated.share
                pieces.append((on, side, stated.slope))
        return sp.csr_matrix(matrix), self._boundary(pieces)

    def _second(self, j: int, axis: int, natural: bool = False) -> Affine:
        """Second derivative along an axis, with a ghost node beyond faces where the slope is known."""
        n, h = self.shape[axis], self.steps[axis]
        line = sp.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n)).tolil()
        if self.wraps[axis]:
            line[0, n - 1] = line[n - 1, 0] = 1.0
            return self._along(axis, line / h**2), self._boundary([])
        line[0, 1] = line[n - 1, n - 2] = 2.0
        matrix = self._along(axis, line / h**2).astype(self._kind(j)).tolil()
        pieces = []
        for (k, side), stated in self.sides[j].items():
            if k != axis or natural:
                continue
            on = self._on(axis, side)
            if stated.slope is None:
                matrix[on, :] = 0.0  # never used: the value is prescribed there
            else:
                assert stated.share is not None
                matrix[on, on] = matrix[on, on].toarray().ravel() - 2 * stated.share / h
                pieces.append((on, 2.0 / h, stated.slope))
        return sp.csr_matrix(matrix), self._boundary(pieces)

    def _boundary(self, pieces: list) -> Callable[[float], np.ndarray]:
        def added(t: float) -> np.ndarray:
            made: np.ndarray = np.zeros(self.count)
            for on, factor, slope in pieces:
                values = factor * slope(t)
                made = made.astype(values.dtype) if np.iscomplexobj(values) else made
                made[on] += values
            return made

        return added

    def affine(self, j: int, counts: tuple[int, ...]) -> Affine:
        """The derivative of an unknown, as a matrix on its numbers and what the boundary adds."""
        if (j, counts) not in self._affine:
            self._affine[j, counts] = self._make(j, counts)
        return self._affine[j, counts]

    def _make(self, j: int, counts: tuple[int, ...]) -> Affine:
        axes = [axis for axis, count in enumerate(counts) for _ in range(count)]
        if not axes:
            return sp.identity(self.count, format="csr"), lambda t: np.zeros(self.count)
        if len(axes) == 1:
            return self._first(j, axes[0])
        if len(axes) == 2 and axes[0] == axes[1]:
            return self._second(j, axes[0])
        if len(axes) == 2:
            inner, outer = self._first(j, axes[0]), self._first(j, axes[1], plain=True)[0]
        else:  # the fourth: the second of the second, whose own slope at the faces is zero
            inner, outer = self._make(j, _counts(axes[:2], len(counts))), self._second(j, axes[2], natural=True)[0]
        return sp.csr_matrix(outer @ inner[0]), lambda t: outer @ inner[1](t)


def _counts(axes: list[int], dimension: int) -> tuple[int, ...]:
    return tuple(axes.count(axis) for axis in range(dimension))


class System:
    """The equations at the nodes: residuals and their derivatives by the unknowns' numbers."""

    def __init__(self, lattice: Differences):
        self.lattice, self.terms = lattice, lattice.terms
        self.symbols: list[tuple[int, int, tuple[int, ...], sympy.Symbol]] = [
            (j, order, counts, symbol) for (j, order, counts), symbol in self.terms.symbols.items()
        ]
        self.arguments = [*self.terms.space, self.terms.time, *(entry[3] for entry in self.symbols)]
        residuals = [self._without_pole(residual) for residual in self.terms.residuals]
        self.call = compiled(residuals, self.arguments)
        self.slopes = [
            (row, place, slope_of(residual, entry[3]))
            for row, residual in enumerate(residuals)
            for place, entry in enumerate(self.symbols)
            if residual.has(entry[3])
        ]
        self.call_slopes = compiled([strength for _, _, strength in self.slopes], self.arguments)

    def _without_pole(self, residual: sympy.Expr) -> sympy.Expr:
        """At a face where an unknown has no slope, ``u_x/x`` is ``u_xx`` there (the centre of a sphere or cylinder)."""
        for axis, (x, (low, _)) in enumerate(zip(self.terms.space, self.lattice.box, strict=True)):
            if low != 0 or not any(p.base == x and p.exp.is_negative for p in residual.atoms(sympy.Pow)):
                continue
            one, two = (tuple(k * (a == axis) for a in range(len(self.lattice.box))) for k in (1, 2))
            puts = {
                self.terms.symbols[j, 0, one]: x * self.terms.symbols[j, 0, two]
                for j, sides in enumerate(self.lattice.sides)
                if (j, 0, one) in self.terms.symbols
                and (j, 0, two) in self.terms.symbols
                and (stated := sides.get((axis, -1))) is not None
                and stated.slope is not None
                and not np.any(stated.slope(0.0))
            }
            centre = sympy.expand(residual.xreplace(puts)).subs(x, 0)
            if not centre.has(sympy.zoo, sympy.nan, sympy.oo):
                residual = sympy.Piecewise((centre, sympy.Eq(x, 0)), (residual, True))
        return residual

    def at(self, t: float, fields: list[np.ndarray], rates: dict[tuple[int, int], np.ndarray]) -> list:
        """Arguments of the compiled functions."""
        made = []
        for j, order, counts, _ in self.symbols:
            if order:
                made.append(rates[j, order])
            else:
                matrix, added = self.lattice.affine(j, counts)
                made.append(matrix @ fields[j] + added(t))
        return [*self.lattice.grid, t, *made]

    def residual(
        self, t: float, fields: list[np.ndarray], rates: dict[tuple[int, int], np.ndarray]
    ) -> list[np.ndarray]:
        """Left minus right side of each equation at each node."""
        shape = self.lattice.grid[0].shape
        return [np.broadcast_to(np.asarray(r), shape) for r in self.call(*self.at(t, fields, rates))]

    def derivative(
        self, t: float, fields: list[np.ndarray], rates: dict[tuple[int, int], np.ndarray], weights: dict[int, float]
    ) -> sp.csr_matrix:
        """Derivative by all numbers, with rates of order ``k`` counted ``weights[k]`` times."""
        count, n = len(fields), self.lattice.count
        strengths = self.call_slopes(*self.at(t, fields, rates))
        grid: list[list] = [[sp.csr_matrix((n, n)) for _ in range(count)] for _ in range(count)]
        for (row, place, _), strength in zip(self.slopes, strengths, strict=True):
            j, order, counts, _ = self.symbols[place]
            matrix = sp.identity(n) * weights.get(order, 0.0) if order else self.lattice.affine(j, counts)[0]
            grid[row][j] = grid[row][j] + sp.diags(np.broadcast_to(strength, (n,))) @ matrix
        return sp.csr_matrix(sp.bmat(grid, format="csr"))
