"""Differential-algebraic equations: the algebraic ones are differentiated until all derivatives follow.

How often is the differentiation index (Gear, doi:10.1137/0909004). The equations that were differentiated stay as
constraints: initial values must fulfil them, and the solution is checked against them.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from sozai.assistant.equations.classify import numeric_equations, orders
from sozai.assistant.equations.problem import Problem
from sozai.assistant.equations.system import Clock, FirstOrder, initial_values, states_of, with_symbols
from sozai.errors import UserError

_HIGHEST_INDEX = 4


def reduced(problem: Problem, clock: Clock) -> FirstOrder:
    """The equations as a first-order system in all unknowns, with constraints and consistent initial values.

    Raises:
        UserError: the index is above 4, equations depend on each other or contradict each other, or initial values are
            missing or contradict a constraint.
    """
    variable, _, every = states_of(problem)
    found = orders(problem)
    top = {name: max(1, found[name].get(str(variable), 0)) for name in problem.unknowns}
    for name in problem.unknowns:
        for order in range(top[name] + 1):
            every.setdefault((name, order), sympy.Symbol(f"s_{name}_{order}"))
    states = [(name, order) for name in problem.unknowns for order in range(top[name])]
    tops = [every[(name, top[name])] for name in problem.unknowns]
    follower = {every[state]: every[(state[0], state[1] + 1)] for state in states}
    equations = with_symbols(numeric_equations(problem), every)
    constraints: list[sympy.Expr] = []
    for index in range(_HIGHEST_INDEX + 1):
        clock.check()
        matrix = sympy.Matrix(equations).jacobian(tops)
        if matrix.free_symbols & set(tops):
            raise UserError(
                "this implicit system is not linear in its highest derivatives", mend="write it solved for them"
            )
        rest = sympy.Matrix(equations).xreplace(dict.fromkeys(tops, sympy.Integer(0)))
        if sympy.simplify(matrix.det()) != 0:
            solved = matrix.LUsolve(-rest)
            by_top = dict(zip(tops, solved, strict=True))
            rhs = [sympy.simplify(by_top.get(follower[every[s]], follower[every[s]])) for s in states]
            initial = _consistent(problem, variable, states, every, constraints)
            return FirstOrder(
                problem,
                variable,
                [every[s] for s in states],
                states,
                rhs,
                initial,
                problem.domain[str(variable)],
                constraints,
                index,
                clock,
            )
        for vector in matrix.T.nullspace():
            constraint = sympy.numer(sympy.together(sympy.simplify((vector.T * rest)[0])))
            if constraint == 0:
                raise UserError(
                    "ill-posed: one equation follows from the others, so that the unknowns are not determined",
                    mend="add an independent equation",
                )
            if not constraint.free_symbols & set(follower):
                raise UserError(
                    "ill-posed: the equations contradict each other",
                    f"{constraint} = 0 would have to hold",
                    "leave one out",
                )
            constraints.append(constraint)
            place = max(i for i in range(len(equations)) if vector[i] != 0 and equations[i] is not None)
            equations[place] = sympy.diff(constraint, variable) + sympy.Add(
                *(sympy.diff(constraint, s) * f for s, f in follower.items())
            )
    raise UserError(
        f"the differentiation index is above {_HIGHEST_INDEX}",
        mend="differentiate the algebraic conditions yourself, or use other unknowns",
    )


def _consistent(
    problem: Problem,
    variable: sympy.Symbol,
    states: list[tuple[str, int]],
    every: Mapping[tuple[str, int], sympy.Symbol],
    constraints: list[sympy.Expr],
) -> list[sympy.Expr]:
    """Initial values of all states: those given, and those that the constraints then fix."""
    begin = problem.domain[str(variable)][0]
    given = initial_values(problem)
    puts = {every[state]: given[state] for state in states if state in given} | {
        variable: sympy.nsimplify(repr(begin), rational=True)
    }
    missing = [state for state in states if state not in given]
    left = [sympy.simplify(c.xreplace(puts)) for c in constraints]
    for constraint, value in zip(constraints, left, strict=True):
        if value.is_number and abs(sympy.N(value)) > 1e-9:
            names = {every[s]: sympy.Symbol(s[0] + "'" * s[1]) for s in states}
            raise UserError(
                f"ill-posed: the initial values contradict the algebraic condition {constraint.xreplace(names)} "
                f"= 0 (it gives {float(value):.3g})",
                mend="mend one of them, or leave out what follows from the others",
            )
    open_ = [value for value in left if not value.is_number]
    symbols = [every[state] for state in missing]
    label = {every[s]: f"{s[0]}{chr(39) * s[1]}({begin:g})" for s in states}
    if not missing:
        return [given[state] for state in states]
    solutions = sympy.solve(open_, symbols, dict=True) if open_ else [{}]
    solutions = [s for s in solutions if all(sympy.N(v).is_real is not False for v in s.values())]
    if not solutions:
        raise UserError(
            "ill-posed: no initial values fulfil the algebraic conditions",
            mend=f"mend those given; {', '.join(label[s] for s in symbols)} would have to follow",
        )
    free = [s for s in symbols if s not in solutions[0] or solutions[0][s].free_symbols]
    if free:
        count = len(symbols) - len(open_)
        raise UserError(
            f"ill-posed: initial values are missing, and the algebraic conditions fix only {len(open_)} of "
            f"{', '.join(label[s] for s in symbols)}",
            mend=f"add {count} of them",
        )
    if len(solutions) > 1:
        told = " or ".join(", ".join(f"{label[s]} = {sympy.N(v, 6)}" for s, v in one.items()) for one in solutions[:3])
        raise UserError(
            f"ill-posed: the algebraic conditions allow several initial values ({told})",
            mend="give the one that is meant",
        )
    return [given.get(state, solutions[0].get(every[state])) for state in states]
