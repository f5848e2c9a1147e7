"""Boundary value problems of ordinary equations: collocation (scipy ``solve_bvp``), checked by shooting.

Kierzenka and Shampine, doi:10.1145/502800.502801.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from sozai.assistant.equations import prove
from sozai.assistant.equations.classify import classify, is_linear, numeric, numeric_equations
from sozai.assistant.equations.closed_form import check_closed_form, closed_form, evaluate
from sozai.assistant.equations.problem import Condition, Problem, Solution
from sozai.assistant.equations.script import bvp_script
from sozai.assistant.equations.system import Clock, FirstOrder, first_order
from sozai.errors import UserError
from sozai.knowledge.verdict import Verdict

Boundary = Callable[[np.ndarray, np.ndarray], np.ndarray]


def solve_boundary(
    problem: Problem, *, tolerance: float, clock: Clock, points: int, on_progress: Callable[[int, int, str], None]
) -> Solution:
    """Solve and prove; see ``solve.solve``.

    Raises:
        UserError: no solution was found, or the highest derivatives do not follow from the equations.
    """
    from sozai.assistant.equations.solve import CLOSED_FORM_SECONDS, shown

    system = first_order(problem, clock)
    if system is None:
        raise UserError(
            "boundary values of differential-algebraic equations are not solved",
            mend="eliminate the algebraic unknowns",
        )
    rows = conditions(system)
    boundary = boundary_function(rows)
    x = np.linspace(*system.span, points)
    on_progress(0, 5, "collocation from several first guesses")
    found = _collocated(system, boundary, rows)
    if not found:
        raise UserError(
            "no solution was found by collocation from five first guesses",
            mend="there may be none: check signs and numbers",
        )
    notes, verdicts = [*problem.notes], []
    linear = is_linear(numeric_equations(problem))
    main = found[0]
    values = main.sol(x)
    scale = np.maximum(np.abs(values).max(axis=1), 1e-300)
    others = [one for one in found[1:] if np.max(np.abs(one.sol(x) - values) / scale[:, None].max()) > 1e-4]
    if others:
        notes.append(
            f"There is more than one solution: at least {1 + len(_distinct(others, x))} were found from "
            f"different first guesses; this is the one of smallest size."
        )
        verdicts.append(Verdict("initial_guess", None, "other first guesses lead to other solutions", severity="soft"))
    elif not linear:
        verdicts.append(
            Verdict("initial_guess", True, f"{len(found)} of 5 first guesses converge, all to the same solution")
        )
    on_progress(1, 5, "shooting")
    errors = {name: float("nan") for name in problem.unknowns}
    shot = _shot(system, boundary, main, x)
    own = prove.unknowns_only(system, values)
    scales = {name: float(np.abs(own[name]).max()) for name in own}
    if shot is None:
        verdicts.append(
            Verdict(
                "second_method", None, "shooting does not reach the far end: the initial value problem is too unstable"
            )
        )
    else:
        rows_ = prove.unknowns_only(system, shot)
        errors = {name: float(np.abs(own[name] - rows_[name]).max()) for name in own}
        worst = max(errors[n] / max(scales[n], 1e-300) for n in own)
        verdicts.append(
            Verdict(
                "second_method",
                worst <= tolerance,
                f"shooting with DOP853 agrees to {worst:.1e} of the largest value (limit {tolerance:.0e})",
                worst,
            )
        )
    on_progress(2, 5, "looking for a closed form")
    forms = closed_form(problem, min(CLOSED_FORM_SECONDS, clock.left() / 3))
    left = check_closed_form(problem, forms) if forms else float("inf")
    exact = evaluate(forms, system.time, x) if left <= 1e-9 else None
    gap = (
        max((float(np.abs(own[n] - exact[n]).max()) / max(scales[n], 1e-300) for n in own), default=0.0)
        if exact
        else float("inf")
    )
    if exact and gap <= 1e-4:
        errors = {name: max(float(np.abs(own[name] - exact[name]).max()), 4e-16 * scales[name]) for name in own}
        verdicts.append(
            Verdict(
                "closed_form",
                gap <= tolerance,
                f"the closed form of sympy fulfils equation and conditions (to {left:.0e}) and the numbers "
                f"agree with it to {gap:.1e}",
                gap,
            )
        )
    else:
        forms = {}
    on_progress(3, 5, "putting the solution into the equation")
    verdicts.append(prove.residual(system, main.sol, main.x, 1e-5))
    miss = float(np.abs(boundary(main.sol(system.span[0]), main.sol(system.span[1]))).max())
    verdicts.append(
        Verdict(
            "boundary", miss <= 1e-9 * max(1.0, float(scale.max())), f"the boundary conditions hold to {miss:.1e}", miss
        )
    )
    on_progress(4, 5, "observing the order")
    verdicts.append(_order(system, boundary, main))
    for name, error in errors.items():
        if not np.isfinite(error):
            errors[name] = float(main.rms_residuals.max()) * scales[name]
    return Solution(
        problem=problem,
        method=f"scipy solve_bvp, collocation of order 4, {len(main.x)} nodes, residual below "
               f"{main.rms_residuals.max():.0e}",
        axes={str(system.time): x},
        values=own,
        error=errors,
        verdicts=verdicts,
        shown=shown(verdicts, errors, scales, problem),
        script=bvp_script(system, rows, main.sol, points, forms),
        closed_form={name: str(form) for name, form in forms.items()},
        notes=tuple(notes),
        extra={"classified": classify(problem) | {"linear": linear}},
    )  # fmt: skip


def conditions(system: FirstOrder) -> list[tuple[int, dict[int, float], float]]:
    """Each condition as (end: 0, 1 or 2 for both, factors by state, value)."""
    rows: list[tuple[int, dict[int, float], float]] = []
    done = set()
    for condition in system.problem.conditions:
        if condition.kind == "periodic":
            if condition.unknown not in done:
                done.add(condition.unknown)
                rows += [
                    (2, {place: 1.0}, 0.0) for place, (name, _) in enumerate(system.states) if name == condition.unknown
                ]
            continue
        rows.append(_row(system, condition))
    return rows


def _row(system: FirstOrder, condition: Condition) -> tuple[int, dict[int, float], float]:
    end = int(condition.where.endswith("+"))
    outward = 1.0 if end else -1.0
    value = float(sympy.N(numeric(condition.value, system.problem)))
    order = condition.derivative or (1 if condition.kind in ("neumann", "robin") else 0)
    if (condition.unknown, order) not in system.states:
        raise UserError(
            f"ill-posed: a condition on the derivative of order {order} of {condition.unknown}, which the "
            f"equation itself decides",
            mend="give the value or a lower derivative",
        )
    factors = {system.place(condition.unknown, order): outward**order}
    if condition.kind == "robin":
        factors[system.place(condition.unknown)] = float(sympy.N(numeric(condition.coefficient, system.problem)))
    return end, factors, value


def boundary_function(rows: list[tuple[int, dict[int, float], float]]) -> Boundary:
    """What must be zero, of the states at both ends."""

    def function(ya: np.ndarray, yb: np.ndarray) -> np.ndarray:
        states = (ya, yb, yb - ya)
        return np.array(
            [sum(f * states[end][place] for place, f in factors.items()) - value for end, factors, value in rows]
        )

    return function


def _collocated(system: FirstOrder, boundary: Boundary, rows: list[tuple[int, dict[int, float], float]]) -> list[Any]:
    """Solutions from five first guesses, the smallest first."""
    from scipy.integrate import solve_bvp

    x = np.linspace(*system.span, 41)
    part = (x - x[0]) / (x[-1] - x[0])
    base = np.zeros((len(system.states), len(x)))
    for place, (name, order) in enumerate(system.states):
        ends = {end: value / factors[place] for end, factors, value in rows if set(factors) == {place} and end < 2}
        if order == 0 and ends:
            low, high = ends.get(0, ends.get(1, 0.0)), ends.get(1, ends.get(0, 0.0))
            base[place] = low + (high - low) * part
        del name
    size = max(1.0, float(np.abs(base).max()))
    found = []
    for bump in (0.0, 1.0, -1.0, 4.0, -4.0):
        system.clock.check()
        guess = base.copy()
        for place, (_, order) in enumerate(system.states):
            if order == 0:
                guess[place] += bump * size * np.sin(np.pi * part)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                made = solve_bvp(
                    lambda t, y: _columns(system, t, y), boundary, x, guess, tol=1e-10, max_nodes=20_000, bc_tol=1e-12
                )
            except (ValueError, np.linalg.LinAlgError):
                continue
        if made.status == 0 or (made.status == 1 and made.rms_residuals.max() < 1e-7):
            found.append(made)
        if bump == 0.0 and found and is_linear(numeric_equations(system.problem)):
            break  # a linear problem has one solution or none
    return sorted(found, key=lambda one: float(np.abs(one.y[0]).max()))


def _columns(system: FirstOrder, t: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([system.f(float(a), b) for a, b in zip(t, y.T, strict=True)]).T


def _distinct(found: list[Any], x: np.ndarray) -> list[Any]:
    kept: list[Any] = []
    for one in found:
        if all(
            np.abs(one.sol(x)[0] - other.sol(x)[0]).max() > 1e-4 * max(1.0, np.abs(one.sol(x)[0]).max())
            for other in kept
        ):
            kept.append(one)
    return kept


def _shot(system: FirstOrder, boundary: Boundary, main: Any, x: np.ndarray) -> np.ndarray | None:
    """Newton's method on the initial values of an initial value problem, from those of the collocation."""
    from scipy.integrate import solve_ivp
    from scipy.optimize import root

    def run(start: np.ndarray) -> Any:
        return solve_ivp(system.f, system.span, start, "DOP853", rtol=1e-12, atol=1e-13, dense_output=True)

    def miss(start: np.ndarray) -> np.ndarray:
        made = run(start)
        return boundary(start, made.y[:, -1]) if made.status == 0 else np.full(len(start), 1e6)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        made = root(miss, main.y[:, 0], tol=1e-13)
        if np.abs(miss(made.x)).max() > 1e-8:
            return None
        last = run(made.x)
    return last.sol(x) if last.status == 0 else None


def _order(system: FirstOrder, boundary: Boundary, main: Any) -> Verdict:
    """Order of collocation on uniform nodes, the error at the nodes against the main solution."""
    from scipy.integrate import solve_bvp

    errors = []
    for count in (9, 17, 33, 65, 129):
        x = np.linspace(*system.span, count)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            made = solve_bvp(
                lambda t, y: _columns(system, t, y), boundary, x, main.sol(x), tol=1e10, max_nodes=count, bc_tol=1e-13
            )
        errors.append(
            (count - 1, float(np.max(np.abs(made.sol(x) - main.sol(x)) / np.maximum(np.abs(main.y).max(), 1e-300))))
        )
    floor = max(1e-11, 5 * min(e for _, e in errors))
    window = [e for _, e in errors if e > floor]
    slopes = [float(np.log2(a / b)) for a, b in itertools.pairwise(window)]
    table = ", ".join(f"{n}: {e:.1e}" for n, e in errors)
    if not slopes:
        return Verdict(
            "convergence_order", None, f"the error is too small to observe an order (errors by intervals: {table})"
        )
    return Verdict(
        "convergence_order",
        slopes[-1] > 3.4,
        f"halving the intervals divides the error by 2^{slopes[-1]:.2f}; theory says 2^4 (errors by intervals: "
        f"{table})",
        max(0.0, 4 - slopes[-1]),
    )
