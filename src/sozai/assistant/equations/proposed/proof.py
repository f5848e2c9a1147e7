"""What the equations and conditions say of numbers that a stranger made, on three grids.

Nothing is believed of how the numbers came about. They are put into the equations as given by differences of sixth
order, which no script is likely to share; what is left must be small and must fall from grid to grid, as it does for
the numbers of a solution and for no others: of numbers that solve another equation, something is left that no
refinement takes away. Means over blocks are taken, because data that do not fit together at a corner leave something
there whose mean falls, and a jump that was hidden anywhere leaves something whose mean does not.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from sozai.assistant.equations.classify import as_symbols, numeric, numeric_equations
from sozai.assistant.equations.problem import Condition, Problem
from sozai.assistant.equations.proposed.grid import Axes, differentiate, interpolated
from sozai.knowledge.verdict import Verdict

Numbers = Mapping[str, np.ndarray]
LIMIT = 0.02
"""Largest part of its terms that an equation may leave on the finest grid, and largest difference of the two finest."""
EXACT = 1e-6
"""Below this nothing needs to fall any more."""
FALLS = 0.75
"""What is left must fall by at least this factor when the steps are halved."""
WIDEST = 0.1
"""Widest error bar, as a part of the largest value, of numbers that count."""
_SAFETY = 3.0
"""Of the residual's part in the error bar."""
_BLOCKS = 4
_MODULES = ["scipy", "numpy"]


@dataclass(frozen=True)
class Proof:
    """Verdicts, and an error bar by unknown."""

    verdicts: tuple[Verdict, ...]
    error: Mapping[str, float]

    @property
    def holds(self) -> bool:
        """Nothing failed, and what must hold does."""
        held = {v.rule for v in self.verdicts if v.passed}
        return {"residual", "refinement"} <= held and not any(v.passed is False for v in self.verdicts)


def prove(problem: Problem, grids: Sequence[Axes], found: Sequence[Numbers]) -> Proof:
    """Judge numbers on three grids.

    Args:
        problem: with its noise already drawn.
        grids: coarse to fine, each with half the step.
        found: by unknown an array over the axes, on each grid.
    """
    lattices = [_Lattice(problem, axes, numbers) for axes, numbers in zip(grids, found, strict=True)]
    verdicts = [_residual(problem, lattices), *_conditions(problem, lattices)]
    refined, error = _refinement(problem, found)
    left = verdicts[0].amount if np.isfinite(verdicts[0].amount) else 1.0
    bars = {n: max(error[n], _SAFETY * left * _way(problem, found[-1][n])) for n in problem.unknowns}
    part = max(bars[n] / max(float(np.abs(found[-1][n]).max()), 1e-300) for n in problem.unknowns)
    message = f"the error bar is {part:.1e} of the size of the numbers (limit {WIDEST:g})"
    return Proof((*verdicts, refined, Verdict("error_bar", part <= WIDEST, message, part)), bars)


def _way(problem: Problem, values: np.ndarray) -> float:
    """How far the numbers go in time, at least their size: an error that stays small in each term adds up along it."""
    size = float(np.abs(values).max())
    if problem.time is None:
        return size
    steps = np.abs(np.diff(values, axis=0)).reshape(len(values) - 1, -1)
    return max(size, float(steps.max(axis=1).sum()))


class _Lattice:
    """Numbers on one grid, and their derivatives."""

    def __init__(self, problem: Problem, axes: Axes, numbers: Numbers):
        self.problem, self.axes, self.numbers = problem, axes, numbers
        self.names = list(axes)
        self.mesh = np.meshgrid(*axes.values(), indexing="ij")
        self.made: dict[tuple[str, tuple[tuple[str, int], ...]], np.ndarray] = {}

    def derivative(self, unknown: str, orders: tuple[tuple[str, int], ...]) -> np.ndarray:
        if (unknown, orders) not in self.made:
            values = self.numbers[unknown]
            for name, order in orders:
                places = self.axes[name]
                step = float(places[1] - places[0])
                values = differentiate(values, self.names.index(name), step, order, self._wraps(unknown, name))
            self.made[unknown, orders] = values
        return self.made[unknown, orders]

    def _wraps(self, unknown: str, name: str) -> bool:
        return any(
            c.kind == "periodic" and c.unknown == unknown and c.where[:-1] == name for c in self.problem.conditions
        )

    def terms(self, expression: sympy.Expr) -> list[np.ndarray]:
        """The terms of a sum on the grid."""
        plain, table = as_symbols(expression.doit())
        symbols, arrays = [sympy.Symbol(n) for n in self.names], list(self.mesh)
        for atom, symbol in table.items():
            function = atom.expr if isinstance(atom, sympy.Derivative) else atom
            orders = (
                tuple((str(v), int(n)) for v, n in atom.variable_count) if isinstance(atom, sympy.Derivative) else ()
            )
            symbols.append(symbol)
            arrays.append(self.derivative(function.func.__name__, orders))
        parts = list(sympy.Add.make_args(sympy.expand(plain)))
        with np.errstate(all="ignore"):
            made = sympy.lambdify(symbols, parts, modules=_MODULES, cse=True)(*arrays)
        return [np.broadcast_to(np.asarray(part, complex), self.mesh[0].shape) for part in made]


def _residual(problem: Problem, lattices: Sequence[_Lattice]) -> Verdict:
    equations = numeric_equations(problem)
    left = []
    for lattice in lattices:
        worst = 0.0
        for equation in equations:
            terms = lattice.terms(equation)
            total, size = np.abs(sum(terms)), sum(np.abs(term) for term in terms)
            inside = tuple(slice(1, -1) for _ in total.shape)  # a coefficient such as 1/r has no value at an end
            if not np.isfinite(total[inside]).all():
                return Verdict("residual", False, "the equation has no value for these numbers at some places", np.inf)
            total, size = np.where(np.isfinite(total), total, 0.0), np.where(np.isfinite(size), size, 0.0)
            worst = max(worst, _blockwise(total, size))
        left.append(worst)
    return _falling(
        "residual",
        left,
        "put into the equations as given by differences of sixth order, the numbers leave",
        " of the size of their terms",
    )


def _blockwise(total: np.ndarray, size: np.ndarray) -> float:
    """The largest relative mean over the blocks of the box, small ones measured by a hundredth of the whole."""
    floor = 1e-2 * float(size.mean())
    cuts = [np.array_split(np.arange(n), _BLOCKS) for n in total.shape]
    worst = 0.0
    for block in itertools.product(*cuts):
        where = np.ix_(*block)
        measure = max(float(size[where].mean()), floor)
        if measure > 0:
            worst = max(worst, float(total[where].mean()) / measure)
    return worst


def _falling(rule: str, left: Sequence[float], what: str, unit: str) -> Verdict:
    """Whether what is left is small on the finest grid and falls towards it."""
    fine = left[-1]
    falls = fine <= FALLS * left[-2]
    passed = bool(fine <= EXACT or (fine <= LIMIT and falls))
    table = ", ".join(f"{amount:.1e}" for amount in left)
    message = f"{what} {fine:.1e}{unit} (on three grids: {table})"
    if not passed:
        message += (
            f"; at most {LIMIT:g} is allowed"
            if fine > LIMIT
            else "; it must fall when the steps are halved, and does not"
        )
    return Verdict(rule, passed, message, float(fine))


def _conditions(problem: Problem, lattices: Sequence[_Lattice]) -> list[Verdict]:
    made = []
    for condition in problem.conditions:
        rule = "initial_condition" if condition.where == "t" else "boundary_condition"
        if condition.kind == "neumann" and problem.name in ("linear-elasticity", "stokes"):
            made.append(
                Verdict(rule, False, f"a traction on {condition.where} is not checked here, so that it is open")
            )
            continue
        made.append(_condition(problem, condition, lattices, rule))
    return made


def _condition(problem: Problem, condition: Condition, lattices: Sequence[_Lattice], rule: str) -> Verdict:
    name = condition.unknown
    order = condition.derivative or (1 if condition.kind in ("neumann", "robin") else 0)
    axis = str(problem.time) if condition.where == "t" else condition.where[:-1]
    last = condition.where.endswith("+")
    place = f"{axis} = {problem.domain[axis][1 if last else 0]:g}"
    left = []
    for lattice in lattices:
        values = lattice.numbers[name]
        scale = max(float(np.abs(values).max()), 1e-300)
        where: list[slice | int] = [slice(None)] * values.ndim
        where[lattice.names.index(axis)] = -1 if last else 0
        face = tuple(where)
        if condition.kind == "periodic":
            where[lattice.names.index(axis)] = 0 if last else -1
            left.append(float(np.abs(values[face] - values[tuple(where)]).max()) / scale)
            continue
        wanted = _on(numeric(condition.value, problem), lattice, face)
        sign = -1.0 if condition.where.endswith("-") and order % 2 else 1.0
        slope = lattice.derivative(name, ((axis, order),)) if order else values
        got = sign * slope[face] if order else values[face]
        measure = max(float(np.abs(slope).max()) if order else scale, float(np.abs(wanted).max()))
        if condition.kind == "robin":
            share = _on(numeric(condition.coefficient, problem), lattice, face)
            got = got + share * values[face]
            measure = max(measure, float(np.abs(share * values[face]).max()))
        gap = np.abs(got - wanted)
        if problem.time is not None and condition.where != "t":
            gap = gap[1:]  # at the start the initial value counts, which may be another
        left.append(float(gap.mean() if order else gap.max()) / max(measure, 1e-300) if gap.size else 0.0)
    what = {"periodic": f"{name} is to be periodic in {axis}; its ends differ by"}.get(
        condition.kind, f"{name}{chr(39) * order} at {place} misses the condition by"
    )
    if order:
        return _falling(rule, left, what, " of its size")
    passed = max(left) <= EXACT
    return Verdict(rule, passed, f"{what} {max(left):.1e} of its size (limit {EXACT:.0e})", max(left))


def _on(expression: sympy.Expr, lattice: _Lattice, face: tuple[slice | int, ...]) -> np.ndarray:
    call = sympy.lambdify([sympy.Symbol(n) for n in lattice.names], expression, modules=_MODULES)
    spots = [g[face] for g in lattice.mesh]
    return np.broadcast_to(np.asarray(call(*spots), float), spots[0].shape)


def _refinement(problem: Problem, found: Sequence[Numbers]) -> tuple[Verdict, dict[str, float]]:
    """Each grid against the next, also at the places between: numbers there cannot be anything."""
    worst, words, error, holds = 0.0, [], {}, True
    for name in problem.unknowns:
        scale = max(float(np.abs(found[-1][name]).max()), 1e-300)
        first, second = (
            float(np.abs(interpolated(coarse[name]) - fine[name]).max()) / scale
            for coarse, fine in itertools.pairwise(found)
        )
        order = float(np.log2(first / second)) if first > 0 and second > 0 else np.inf
        agrees = second <= EXACT or (second <= LIMIT and second <= FALLS * first)
        holds = holds and agrees
        worst = max(worst, second)
        seen = "they agree at once" if second <= 1e-12 else f"observed order {order:.1f}"
        words.append(f"{name} by {first:.1e} and {second:.1e} of its size ({seen})")
        counted = float(np.clip(order, 0.5, 2.0))
        error[name] = scale * max(1.25 * second / (2**counted - 1), 4e-16)
    message = f"from grid to grid the numbers change by: {'; '.join(words)}"
    if not holds:
        message += f"; the change must fall by {FALLS:g} at least when the steps are halved, to {LIMIT:g} or less"
    return Verdict("refinement", holds, message, worst), error
