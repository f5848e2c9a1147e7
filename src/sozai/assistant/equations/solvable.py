"""Whether a linear steady problem has one solution: up to a constant, sources that balance, eigenvalues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import sympy

from sozai.assistant.equations.classify import (
    as_symbols,
    coefficient,
    is_linear,
    numeric,
    numeric_equations,
)
from sozai.assistant.equations.faults import bad
from sozai.assistant.equations.problem import Condition, Problem
from sozai.knowledge.verdict import Verdict


def linear_operator(problem: Problem) -> tuple[list[sympy.Expr], sympy.Expr, sympy.Expr] | None:
    """Of a steady linear equation of second order with constant factors: those of the second derivatives, of the
    unknown itself, and the source (what is left)."""
    if problem.time is not None or len(problem.unknowns) != 1:
        return None
    expression = sympy.expand(numeric_equations(problem)[0])
    if not is_linear([expression]):
        return None
    function = sympy.Function(problem.unknowns[0])(*problem.space)
    seconds = [coefficient(expression, function.diff(axis, 2)) for axis in problem.space]
    zeroth = coefficient(expression, function)
    allowed = {function, *(function.diff(axis, 2) for axis in problem.space)}
    plain, table = as_symbols(expression)
    used = {atom for atom, symbol in table.items() if symbol in plain.free_symbols}
    if not used <= allowed or not all(f.is_number and f.is_real for f in [*seconds, zeroth]) or 0 in seconds:
        return None
    return seconds, zeroth, plain.xreplace({symbol: sympy.Integer(0) for symbol in table.values()})


def kinds_of(problem: Problem) -> dict[str, Condition]:
    """The condition on each face."""
    return {c.where: c for c in problem.conditions if c.kind != "initial"}


def check_constant(problem: Problem) -> Iterable[Verdict]:
    """Slopes alone leave a constant open, and have a solution only where sources and fluxes balance."""
    kinds = kinds_of(problem)
    if problem.time is not None or len(problem.unknowns) != 1 or not kinds:
        if (
            problem.time is None
            and {c.unknown for c in problem.conditions}
            and problem.name == "linear-elasticity"
            and not any(c.kind in ("dirichlet", "robin") for c in problem.conditions)
        ):
            yield bad("constant", "no displacement is fixed anywhere, so that the body can move freely", "fix a face")
        return
    if any(c.kind in ("dirichlet", "robin") for c in kinds.values()):
        return
    found = linear_operator(problem)
    if found is None or found[1] != 0:
        return
    seconds, _, source = found
    total = _integral(source, problem, list(map(str, problem.space)))
    size = abs(total)
    for where, condition in kinds.items():
        if condition.kind == "neumann":
            others = [str(a) for a in problem.space if str(a) != where[:-1]]
            factor = float(seconds[[str(a) for a in problem.space].index(where[:-1])])
            flux = factor * _integral(numeric(condition.value, problem), problem, others)
            total, size = total + flux, size + abs(flux)
    if abs(total) > 1e-9 * max(size, 1e-30) and size > 0:
        yield bad(
            "balance",
            f"only slopes are given and they do not balance the source (what is left over is {total:g}): there "
            f"is no solution",
            "mend the slopes or the source, or give a value on one face",
        )
    else:
        yield bad(
            "constant",
            f"only slopes are given, so that {problem.unknowns[0]} is determined up to a constant",
            "give its value on one face",
        )


def _integral(expression: sympy.Expr, problem: Problem, axes: Sequence[str]) -> float:
    """Over the box, by Gauss points."""
    if not axes:
        return float(expression)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    grids, factor = [], np.ones(())
    for axis in axes:
        low, high = problem.domain[axis]
        grids.append((low + high) / 2 + nodes * (high - low) / 2)
        factor = np.multiply.outer(factor, weights * (high - low) / 2)
    function = sympy.lambdify([sympy.Symbol(a) for a in axes], expression, "numpy")
    values = np.broadcast_to(function(*np.meshgrid(*grids, indexing="ij")), factor.shape)
    return float((values * factor).sum())


def check_eigenvalue(problem: Problem) -> Iterable[Verdict]:
    """u'' + k^2 u = f with k^2 an eigenvalue has no solution, or many."""
    found = linear_operator(problem)
    kinds = kinds_of(problem)
    faces = [f"{axis}{side}" for axis in problem.space for side in "-+"]
    if (
        found is None
        or found[1] == 0
        or any(f not in kinds or kinds[f].kind == "robin" or kinds[f].derivative > 1 for f in faces)
    ):
        return
    seconds, zeroth, _ = found
    per_axis = []
    for axis, factor in zip(problem.space, seconds, strict=True):
        low, high = problem.domain[str(axis)]
        ends = {
            (
                "d"
                if kinds[f"{axis}{s}"].kind == "dirichlet" and kinds[f"{axis}{s}"].derivative == 0
                else "p"
                if kinds[f"{axis}{s}"].kind == "periodic"
                else "n"
            )
            for s in "-+"
        }
        length = high - low
        numbers = np.arange(0, 60)
        roots = {
            frozenset("d"): np.pi * (numbers + 1),
            frozenset("n"): np.pi * numbers,
            frozenset("p"): 2 * np.pi * numbers,
        }.get(frozenset(ends), np.pi * (numbers + 0.5))
        per_axis.append(float(factor) * (roots / length) ** 2)
    sums = per_axis[0]
    for other in per_axis[1:]:
        sums = np.add.outer(sums, other).ravel()
    near = sums[np.argmin(abs(sums - float(zeroth)))]
    if abs(near - float(zeroth)) <= 1e-6 * abs(float(zeroth)):
        yield bad(
            "eigenvalue",
            f"the factor of {problem.unknowns[0]} ({float(zeroth):.8g}) is an eigenvalue of the domain: a "
            f"standing wave can be added at will, so that there is no solution or more than one",
            "change the wave number or the size of the domain, or add damping",
        )
