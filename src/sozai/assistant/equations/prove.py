"""Checks of a numerical solution that do not trust the solver: residual, order, second method, conserved quantities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from sozai.assistant.equations.classify import numeric_equations
from sozai.assistant.equations.ode import ORDER, Ends, integrate, state_scale
from sozai.assistant.equations.system import FirstOrder, compiled, states_of, with_symbols
from sozai.knowledge.verdict import Verdict

_NODES = 8


def residual(system: FirstOrder, dense: Callable[[float], np.ndarray], steps: np.ndarray, limit: float) -> Verdict:
    """The equations as they were given, with the solution and its own derivatives put in.

    Within each of up to 200 steps the highest derivatives are taken of the polynomial through eight points of the
    solution, not of the right-hand side that the solver used. Relative to the sum of the sizes of the terms.
    """
    problem = system.problem
    variable, _, every = states_of(problem)
    expressions = with_symbols(numeric_equations(problem), every)
    keys = list(every)
    function = compiled([variable, [every[k] for k in keys]], expressions)
    parts = compiled(
        [variable, [every[k] for k in keys]], [list(sympy.Add.make_args(sympy.expand(e))) for e in expressions]
    )
    points = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)[::-1]
    derive = _differentiation(points)
    chosen = np.unique(np.linspace(0, len(steps) - 2, min(200, len(steps) - 1)).astype(int))
    worst, where = 0.0, float(steps[0])
    largest = np.full(len(expressions), 1e-300)
    found = []
    for place in chosen:
        low, high = steps[place], steps[place + 1]
        ts = (low + high) / 2 + points * (high - low) / 2
        y = np.array([dense(t) for t in ts]).T
        slopes = y @ derive.T * 2 / (high - low)
        for column in range(2, _NODES - 2):
            values = []
            for name, order in keys:
                if (name, order) in system.states:
                    values.append(y[system.place(name, order), column])
                else:
                    values.append(slopes[system.place(name, order - 1), column])
            left, terms = function(ts[column], values), parts(ts[column], values)
            if left is None or terms is None:
                continue
            size = np.array([np.abs(row).sum() for row in terms])
            largest = np.maximum(largest, size)
            found.append((ts[column], np.abs(left), size))
    for t, left, size in found:
        relative = float(np.max(left / np.maximum(size, 1e-3 * largest)))
        if relative > worst:
            worst, where = relative, float(t)
    if not found:
        return Verdict("residual", None, "the equation could not be evaluated along the solution")
    return Verdict(
        "residual",
        worst <= limit,
        f"put into the equation, the solution leaves at most {worst:.1e} of its terms (at {system.time} = "
        f"{where:.4g}; limit {limit:.0e})",
        worst,
    )


def _differentiation(points: np.ndarray) -> np.ndarray:
    """Matrix that differentiates a polynomial given at the points (doi:10.1137/S0036144502417715)."""
    gaps = points[:, None] - points[None, :]
    np.fill_diagonal(gaps, 1.0)
    weights = 1 / gaps.prod(axis=1)
    matrix = weights[None, :] / weights[:, None] / gaps
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def order(system: FirstOrder, method: str, exact: Callable[[float], np.ndarray], until: float) -> Verdict:
    """Observed order of the method against the theoretical one.

    Explicit methods: fixed steps are halved, and errors compared at eight places. Implicit ones, whose inner iteration
    is tied to the tolerance: error against the number of steps under falling tolerances. Pairs count whose errors lie
    between a thousandth and well above rounding.

    Args:
        system: that was solved.
        method: of the main run.
        exact: the main run's solution.
        until: end of the part of the span in which the observation is made.
    """
    theory = ORDER[method]
    places = np.linspace(system.span[0], until, 9)[1:]
    truth = np.array([exact(t) for t in places])
    scale = np.maximum(np.abs(truth).max(axis=0), 1e-3 * max(1e-30, float(np.abs(truth).max())))
    errors: list[tuple[int, float]] = []
    if method == "Radau":
        runs: list[dict[str, Any]] = [{"rtol": 10.0**-k} for k in range(3, 9)]
    else:
        runs = [{"rtol": 1e-3, "step": (until - system.span[0]) / 2**k * (1 + 1e-13)} for k in range(3, 14)]
    for options in runs:
        try:
            made = integrate(system, method, options["rtol"], step=options.get("step"), end=until)
        except Ends:
            continue
        error = float(np.max(np.abs(np.array([made.dense(t) for t in places]) - truth) / scale))
        errors.append((made.steps, error))
        if error < 1e-12 or (len(errors) > 2 and error > errors[-2][1] * 0.5 and error < 1e-8):
            break
    table = ", ".join(f"{n}: {e:.1e}" for n, e in errors if np.isfinite(e))
    floor = 4 * max(1e-13, min((e for _, e in errors), default=0.0))
    window = [(n, e) for n, e in errors if floor < e < 1e-2]
    slopes = [float(np.log(a / b) / np.log(m / n)) for (n, a), (m, b) in itertools.pairwise(window) if m > n]
    if not slopes:
        return Verdict(
            "convergence_order", None, f"the order could not be observed (errors by number of steps: {table})"
        )
    part = "" if until == system.span[1] else f" up to {system.time} = {until:.4g}"
    if method == "Radau":
        slope = float(np.median(slopes))
        return Verdict(
            "convergence_order",
            slope > 2.5,
            f"the error of {method}{part} falls as steps^-{slope:.2f}; theory says 5, and down to 3 where "
            f"equations are stiff (errors by steps: {table})",
            max(0.0, 5 - slope),
        )
    slope = max(slopes[-1], float(np.mean(slopes[-2:])))
    message = (
        f"halving the step of {method}{part} divides the error by 2^{slope:.2f}; theory says 2^{theory} "
        f"(errors by steps: {table})"
    )
    if slope <= theory - 0.9 and not is_smooth(system):
        return Verdict(
            "convergence_order",
            None,
            f"{message}; the equation has kinks, where no method keeps its order",
            theory - slope,
        )
    return Verdict("convergence_order", slope > theory - 0.9, message, max(0.0, theory - slope))


def is_smooth(system: FirstOrder) -> bool:
    """Whether the right-hand side has no kinks or jumps by its own form."""
    return not any(
        e.has(sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Piecewise, sympy.Min, sympy.Max) for e in system.rhs
    )


def conserved(system: FirstOrder, most: int = 4) -> list[sympy.Expr]:
    """Quantities of the states that the equations keep constant: of monomials to degree two (four of two states), and
    of the functions that occur, found by linear algebra over the terms of their time derivatives."""
    symbols = system.symbols
    if len(symbols) > 8 or any(system.time in e.free_symbols for e in system.rhs):
        return []
    degree = 4 if len(symbols) == 2 else 2
    candidates = sorted(
        sympy.itermonomials(symbols, degree), key=lambda m: (sympy.total_degree(m) if m != 1 else 0, str(m))
    )
    candidates = [m for m in candidates if m != 1]
    for atom in sorted(set().union(*(e.atoms(sympy.sin, sympy.cos, sympy.exp) for e in system.rhs)), key=str):
        candidates += [{sympy.sin: sympy.cos, sympy.cos: sympy.sin}.get(atom.func, atom.func)(atom.args[0])]
    candidates += [sympy.log(s) for s in symbols]
    rows: list[dict[sympy.Expr, sympy.Expr]] = []
    for candidate in candidates:
        rate = sympy.expand(
            sympy.Add(*(sympy.diff(candidate, s) * f for s, f in zip(symbols, system.rhs, strict=True)))
        )
        row: dict[sympy.Expr, sympy.Expr] = {}
        for term in sympy.Add.make_args(rate):
            factor, rest = term.as_coeff_Mul()
            row[rest] = row.get(rest, sympy.Integer(0)) + factor
        rows.append({k: v for k, v in row.items() if v != 0})
    terms = sorted({term for row in rows for term in row}, key=str)
    matrix = sympy.Matrix([[row.get(term, 0) for row in rows] for term in terms])
    if matrix.rows > 400 or matrix.cols > 80:
        return []
    found = [sympy.Add(*(c * m for c, m in zip(vector, candidates, strict=True))) for vector in matrix.nullspace()]
    found = sorted(found, key=lambda q: (sympy.count_ops(q), str(q)))
    scaled = [_positive(q) for q in found]
    products = {_positive(sympy.expand(a * b)) for a in scaled for b in scaled}
    return [q for q in scaled if q not in products][:most]


def _positive(quantity: sympy.Expr) -> sympy.Expr:
    """Scaled so that its first term has the factor 1."""
    return sympy.expand(quantity / sympy.Add.make_args(quantity)[0].as_coeff_Mul()[0])


def conservation(
    system: FirstOrder, values: np.ndarray, ts: np.ndarray, limit: float, errors: np.ndarray | None = None
) -> list[Verdict]:
    """How far each conserved quantity drifts along the solution (states by row), relative to its terms.

    Where the drift is above the limit and the ``errors`` of the states allow it (the logarithm of a state that has
    nearly vanished), nothing is decided.
    """
    verdicts = []
    names = {s: sympy.Symbol(n + "'" * k) for s, (n, k) in zip(system.symbols, system.states, strict=True)}
    for quantity in conserved(system):
        parts = [compiled([system.symbols], part) for part in sympy.Add.make_args(quantity)]
        numbers = [[part(list(column)) for part in parts] for column in values.T]
        if any(v is None or not np.isfinite(v) for row in numbers for v in row):
            continue  # such as the logarithm of a state that turns negative
        table = np.array(numbers, float)
        total = table.sum(axis=1)
        drift = float(np.abs(total - total[0]).max() / max(np.abs(table).max(), 1e-300))
        passed: bool | None = drift <= limit
        message = (
            f"{quantity.xreplace(names)} is conserved by the equations and drifts by {drift:.1e} of its largest term"
        )
        if not passed and errors is not None:
            slopes = compiled([system.symbols], [sympy.diff(quantity, s) for s in system.symbols])
            rows = [slopes(list(column)) for column in values.T]
            if all(row is not None for row in rows):
                allowed = float((np.abs(np.array(rows, float)) @ errors).max()) / max(
                    float(np.abs(table).max()), 1e-300
                )
                if drift <= 10 * allowed:
                    passed = None
                    message += ", which the error bars of states near zero allow"
        verdicts.append(Verdict("conservation", passed, message, drift))
    for place, constraint in enumerate(system.constraints):
        function = compiled([system.time, system.symbols], constraint)
        terms = compiled([system.time, system.symbols], list(sympy.Add.make_args(sympy.expand(constraint))))
        pairs = [(function(t, list(c)), terms(t, list(c))) for t, c in zip(ts, values.T, strict=True)]
        if any(a is None or b is None for a, b in pairs):
            continue
        drift = max(abs(a) for a, _ in pairs) / max(max(float(np.abs(b).sum()) for _, b in pairs), 1e-300)
        verdicts.append(
            Verdict(
                "constraint",
                drift <= limit,
                f"algebraic condition {place + 1} of {len(system.constraints)}, {constraint.xreplace(names)} = "
                f"0, holds to {drift:.1e} of its largest term",
                drift,
            )
        )
    return verdicts


def sensitivity(system: FirstOrder, method: str, base: Callable[[float], np.ndarray], ts: np.ndarray) -> float:
    """By how much a small change of the initial values grows at most along the span."""
    change = 1e-7 * state_scale(system, system.start)
    try:
        made = integrate(system, method, 1e-10, start=system.start + change)
    except Ends:
        return float("inf")
    gaps = [np.linalg.norm(made.dense(t) - base(t)) for t in ts]
    return float(max(gaps) / np.linalg.norm(change)) if np.linalg.norm(change) else 0.0


def agreement(name: str, one: np.ndarray, two: np.ndarray, scale: float, limit: float, what: str) -> Verdict:
    """Largest difference of two solutions at the same times, relative to the size of the solution."""
    gap = float(np.nanmax(np.abs(one - two))) / max(scale, 1e-300)
    passed = bool(np.isfinite(gap)) and gap <= limit
    return Verdict(name, passed, f"{what} agrees to {gap:.1e} of the largest value (limit {limit:.0e})", gap)


def unknowns_only(system: FirstOrder, values: Any) -> dict[str, np.ndarray]:
    """Rows of the unknowns themselves."""
    return {name: np.asarray(values[system.place(name)]) for name in system.problem.unknowns}
