"""What kind of equation it is: order, linear or not, autonomous, elliptic, parabolic or hyperbolic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from sozai.assistant.equations.problem import Problem


def exact(value: float) -> sympy.Expr:
    """A number as the decimal fraction a person sees: 0.1 is 1/10."""
    return sympy.Rational(repr(float(value)))


def numeric_equations(problem: Problem) -> list[sympy.Expr]:
    """Left minus right of each equation, the numbers put in."""
    puts = {sympy.Symbol(name): exact(value) for name, value in problem.parameters.items()}
    return [(e.lhs - e.rhs).doit().xreplace(puts) for e in problem.equations]


def numeric(expression: sympy.Expr | None, problem: Problem) -> sympy.Expr:
    """A condition's expression, the numbers put in; nothing is 0."""
    puts = {sympy.Symbol(name): exact(value) for name, value in problem.parameters.items()}
    return sympy.sympify(0 if expression is None else expression).xreplace(puts)


def orders(problem: Problem) -> dict[str, dict[str, int]]:
    """By unknown and coordinate: the highest order of differentiation."""
    found: dict[str, dict[str, int]] = {name: {} for name in problem.unknowns}
    for equation in problem.equations:
        for part in (equation.lhs.doit(), equation.rhs.doit()):
            for atom in part.atoms(sympy.Derivative):
                own = found.setdefault(atom.expr.func.__name__, {})
                for variable, count in atom.variable_count:
                    own[str(variable)] = max(own.get(str(variable), 0), int(count))
    return found


def atoms(expression: sympy.Expr) -> list[sympy.Expr]:
    """Unknowns and their derivatives in an expression, derivatives first."""
    derivatives = sorted(expression.atoms(sympy.Derivative), key=str)
    return [*derivatives, *sorted(expression.atoms(AppliedUndef), key=str)]


def as_symbols(expression: sympy.Expr) -> tuple[sympy.Expr, dict[sympy.Expr, sympy.Dummy]]:
    """The expression with a symbol for each unknown and each derivative, and which is which."""
    table = {atom: sympy.Dummy(f"v{place}") for place, atom in enumerate(atoms(expression))}
    derivatives = {k: v for k, v in table.items() if isinstance(k, sympy.Derivative)}
    rest = {k: v for k, v in table.items() if not isinstance(k, sympy.Derivative)}
    return expression.xreplace(derivatives).xreplace(rest), table


def is_linear(expressions: list[sympy.Expr]) -> bool:
    """Linear in the unknowns and their derivatives, together."""
    for expression in expressions:
        plain, table = as_symbols(expression)
        symbols = set(table.values())
        for symbol in symbols:
            if sympy.simplify(sympy.diff(plain, symbol)).free_symbols & symbols:
                return False
    return True


def coefficient(expression: sympy.Expr, atom: sympy.Expr) -> sympy.Expr:
    """The derivative of an expression by an unknown or a derivative of one."""
    plain, table = as_symbols(expression)
    if atom not in table:
        return sympy.Integer(0)
    back = {symbol: one for one, symbol in table.items()}
    return sympy.diff(plain, table[atom]).xreplace(back)


def classify(problem: Problem) -> dict[str, Any]:
    """The kind of problem in plain words and numbers, for a person and for the choice of method."""
    found = orders(problem)
    expressions = numeric_equations(problem)
    linear = is_linear(expressions)
    coordinates = [*problem.space, *([problem.time] if problem.time is not None else [])]
    free = {s for e in expressions for s in as_symbols(e)[0].free_symbols}
    return {
        "kind": problem.kind,
        "order": max((order for by in found.values() for order in by.values()), default=0),
        "unknowns": len(problem.unknowns),
        "linear": linear,
        "autonomous": not any(symbol in free for symbol in coordinates),
        "task": "boundary values"
        if problem.time is None
        else "initial and boundary values"
        if problem.space
        else "initial values",
        "type": partial_type(problem, found, expressions) if problem.kind == "pde" else "ordinary",
    }


def partial_type(problem: Problem, found: Mapping[str, Mapping[str, int]], expressions: list[sympy.Expr]) -> str:
    """Elliptic, parabolic, hyperbolic or mixed, by the order in time and the signs of the second derivatives."""
    in_time = max((by.get("t", 0) for by in found.values()), default=0)
    in_space = max((by.get(str(axis), 0) for by in found.values() for axis in problem.space), default=0)
    if problem.time is not None:
        if in_time == 1:
            return "parabolic" if in_space >= 2 else "hyperbolic"
        return "hyperbolic" if in_time == 2 else f"of order {in_time} in time"
    if len(problem.unknowns) == 1 and in_space == 2:
        signs = {sign for axis in problem.space if (sign := second_sign(problem, expressions[0], axis)) is not None}
        return "elliptic" if len(signs) == 1 else "hyperbolic" if signs else "mixed"
    return "elliptic"


def second_sign(problem: Problem, expression: sympy.Expr, axis: sympy.Symbol) -> int | None:
    """Sign of the factor of the second derivative along an axis; ``None`` where it is no constant number."""
    name = problem.unknowns[0]
    atom = next(
        (
            a
            for a in expression.atoms(sympy.Derivative)
            if a.expr.func.__name__ == name and a.variable_count == ((axis, 2),)
        ),
        None,
    )
    if atom is None:
        return None
    factor = coefficient(expression, atom)
    return int(sympy.sign(factor)) if factor.is_number and factor.is_real and factor != 0 else None
