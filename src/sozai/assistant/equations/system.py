"""Ordinary equations as a first-order system: symbols, right-hand side, Jacobian, initial values."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from sozai.assistant.equations.classify import as_symbols, numeric, numeric_equations, orders
from sozai.assistant.equations.problem import Problem
from sozai.errors import UserError

_MATH: dict[str, Any] = {
    "sign": lambda v: (v > 0) - (v < 0),
    "Heaviside": lambda v, half=0.5: half if v == 0 else float(v > 0),
    "cot": lambda v: 1 / math.tan(v),
    "sec": lambda v: 1 / math.cos(v),
    "csc": lambda v: 1 / math.sin(v),
    "sech": lambda v: 1 / math.cosh(v),
}


class Clock:
    """Stops a work that takes too long.

    Args:
        minutes: allowed from now on.
    """

    def __init__(self, minutes: float):
        self.minutes, self.end = minutes, time.monotonic() + 60 * minutes

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def check(self) -> None:
        """Raise ``UserError`` when the time is over."""
        if self.left() < 0:
            raise UserError(
                f"the solution took longer than {self.minutes:g} minutes",
                mend="allow more with --minutes, or shorten the range",
            )


def compiled(arguments: Sequence[Any], expressions: Any) -> Callable[..., Any]:
    """A quick function of plain numbers; where an expression has no value it is nan."""
    raw = sympy.lambdify(arguments, expressions, modules=[_MATH, "math"], cse=True)

    def function(*values: Any) -> Any:
        try:
            return raw(*values)
        except (ArithmeticError, ValueError, TypeError):
            return None

    return function


@dataclass
class FirstOrder:
    """``y' = f(t, y)`` with ``y(start)``.

    Attributes:
        problem: it comes from.
        time: the independent variable.
        symbols: of the states.
        states: by state: unknown and order of its derivative.
        rhs: expressions of ``time`` and ``symbols``.
        initial: values at the start, exact; empty of a boundary value problem.
        span: start and end.
        constraints: expressions of ``time`` and ``symbols`` that are zero all along (of differential-algebraic ones).
        index: 0 of ordinary equations, else the differentiation index.
    """

    problem: Problem
    time: sympy.Symbol
    symbols: list[sympy.Symbol]
    states: list[tuple[str, int]]
    rhs: list[sympy.Expr]
    initial: list[sympy.Expr]
    span: tuple[float, float]
    constraints: list[sympy.Expr] = field(default_factory=list)
    index: int = 0
    clock: Clock = field(default_factory=lambda: Clock(5.0))

    @cached_property
    def _f(self) -> Callable[..., Any]:
        return compiled([self.time, self.symbols], self.rhs)

    @cached_property
    def _jacobian(self) -> Callable[..., Any]:
        return compiled([self.time, self.symbols], sympy.Matrix(self.rhs).jacobian(self.symbols).tolist())

    def f(self, t: float, y: Any) -> np.ndarray:
        """Right-hand side; nan where it has no value."""
        self._count = getattr(self, "_count", 0) + 1
        if self._count % 512 == 0:
            self.clock.check()
        made = self._f(t, [float(v) for v in y])
        return np.full(len(self.rhs), np.nan) if made is None else np.array(made, float)

    def jacobian(self, t: float, y: Any) -> np.ndarray:
        """Its derivatives by the states; nan where they have no value."""
        made = self._jacobian(t, [float(v) for v in y])
        return np.full((len(self.rhs),) * 2, np.nan) if made is None else np.array(made, float)

    @cached_property
    def start(self) -> np.ndarray:
        """Initial values as numbers."""
        return np.array([float(sympy.N(value, 20)) for value in self.initial])

    @cached_property
    def breaks(self) -> list[float]:
        """Times within the span at which the right-hand side jumps or has a kink by its own form."""
        edges: set[sympy.Expr] = set()
        for expression in self.rhs:
            edges |= {a.args[0] for a in expression.atoms(sympy.Heaviside, sympy.sign, sympy.Abs)}
            edges |= {a.args[0] - b for a in expression.atoms(sympy.Min, sympy.Max) for b in a.args[1:]}
            edges |= {r.lhs - r.rhs for r in expression.atoms(sympy.core.relational.Relational)}
        found = set()
        for edge in edges:
            if edge.free_symbols != {self.time}:
                continue
            try:
                roots = sympy.Poly(edge, self.time).nroots()
            except (sympy.PolynomialError, ValueError):
                continue
            found |= {float(r) for r in roots if r.is_real and self.span[0] < float(r) < self.span[1]}
        return sorted(found)

    def place(self, unknown: str, order: int = 0) -> int:
        """Where an unknown stands among the states."""
        return self.states.index((unknown, order))


def initial_values(problem: Problem) -> dict[tuple[str, int], sympy.Expr]:
    """By unknown and order of derivative, exact."""
    values = {}
    for condition in problem.conditions:
        if condition.kind == "initial":
            value = sympy.nsimplify(numeric(condition.value, problem))
            if not value.is_number or not sympy.N(value).is_real:
                raise UserError(
                    f"the initial value of {condition.unknown} is no real number ({value})", mend="give a number"
                )
            values[(condition.unknown, condition.derivative)] = value
    return values


def states_of(problem: Problem) -> tuple[sympy.Symbol, list[tuple[str, int]], dict[tuple[str, int], sympy.Symbol]]:
    """The independent variable, the states below the highest derivatives, and a symbol for each (also the highest)."""
    variable = problem.time if problem.time is not None else problem.space[0]
    found = orders(problem)
    states = [(name, k) for name in problem.unknowns for k in range(found[name].get(str(variable), 0))]
    every = {
        (name, k): sympy.Symbol(f"s_{name}_{k}")
        for name in problem.unknowns
        for k in range(found[name].get(str(variable), 0) + 1)
    }
    return variable, states, every


def with_symbols(expressions: Sequence[sympy.Expr], every: dict[tuple[str, int], sympy.Symbol]) -> list[sympy.Expr]:
    """The expressions with a symbol for each unknown and derivative."""
    made = []
    for expression in expressions:
        plain, table = as_symbols(expression)
        puts = {}
        for atom, symbol in table.items():
            order = sum(count for _, count in atom.variable_count) if isinstance(atom, sympy.Derivative) else 0
            function = atom.expr if isinstance(atom, sympy.Derivative) else atom
            if not isinstance(function, AppliedUndef):
                raise UserError(f"the derivative of {function} was not resolved", mend="write it out")
            puts[symbol] = every[(function.func.__name__, int(order))]
        made.append(plain.xreplace(puts))
    return made


def first_order(problem: Problem, clock: Clock) -> FirstOrder | None:
    """The system, solved for the highest derivatives; ``None`` where these do not follow (differential-algebraic).

    Raises:
        UserError: the highest derivatives have several values, or cannot be solved for.
    """
    variable, states, every = states_of(problem)
    found = orders(problem)
    tops = [every[(name, found[name].get(str(variable), 0))] for name in problem.unknowns]
    if any(found[name].get(str(variable), 0) == 0 for name in problem.unknowns):
        return None
    expressions = with_symbols(numeric_equations(problem), every)
    matrix = sympy.Matrix(expressions).jacobian(tops)
    if matrix.free_symbols & set(tops):
        solved = _nonlinear(expressions, tops, problem)
    else:
        if sympy.simplify(matrix.det()) == 0:
            return None
        rest = sympy.Matrix(expressions).xreplace(dict.fromkeys(tops, sympy.Integer(0)))
        solution = matrix.LUsolve(-rest)
        solved = dict(zip(tops, solution, strict=True))
    rhs = []
    for name, order in states:
        follower = every[(name, order + 1)]
        rhs.append(solved.get(follower, follower))
    values = initial_values(problem) if problem.time is not None else {}
    initial = [values[state] for state in states] if problem.time is not None else []
    return FirstOrder(
        problem, variable, [every[s] for s in states], states, rhs, initial, problem.domain[str(variable)], clock=clock
    )


def _nonlinear(
    expressions: list[sympy.Expr], tops: list[sympy.Symbol], problem: Problem
) -> dict[sympy.Symbol, sympy.Expr]:
    try:
        found = sympy.solve(expressions, tops, dict=True)
    except NotImplementedError as error:
        raise UserError(
            "the equation cannot be solved for its highest derivative", mend="write it solved for that"
        ) from error
    if len(found) != 1:
        listed = "; ".join(", ".join(str(v) for v in one.values()) for one in found[:4])
        raise UserError(
            f"ill-posed: the highest derivative has {len(found)} values ({listed})"
            if found
            else "the highest derivative has no value",
            mend="write the branch that is meant, solved for the highest derivative",
        )
    return found[0]
