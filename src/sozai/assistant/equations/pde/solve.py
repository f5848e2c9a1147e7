"""A partial differential equation, solved and proven."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import sympy

from sozai.assistant.equations.pde.conserved import conservation
from sozai.assistant.equations.pde.discrete import Diverged
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.forms import weak_form
from sozai.assistant.equations.pde.known import closed_form_verdicts
from sozai.assistant.equations.pde.noise import without_noise
from sozai.assistant.equations.pde.orders import Orders, verify
from sozai.assistant.equations.pde.refine import FRAMES, Study, study
from sozai.assistant.equations.pde.script import script_of
from sozai.assistant.equations.pde.second import residual_verdict, second_method
from sozai.assistant.equations.pde.stepping import scheme_of
from sozai.assistant.equations.problem import Problem, Solution
from sozai.errors import UserError
from sozai.knowledge.verdict import Verdict

OnProgress = Callable[[int, int, str], None]
SCHEMES = {
    "steady": "",
    "sdirk2": "; in time the L-stable two-stage SDIRK scheme of second order (Alexander 1977)",
    "midpoint": "; in time the implicit midpoint rule of second order (for waves, Newmark's average acceleration)",
}


def solve_pde(
    problem: Problem,
    *,
    tolerance: float = 1e-3,
    minutes: float = 5,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Solution:
    """Solve a partial differential equation on a box and prove the numbers.

    The equations become a weak form, which scikit-fem's quadratic elements and an implicit scheme of second order
    solve on finer and finer meshes until the error bar is small enough. The proof: the order of the same code on a
    manufactured solution of the same operator, the order on the problem itself, conservation, the residual of the
    equations as written, a closed form and a second method where there are such.

    Args:
        problem: what is to be solved: ``m u_tt + c u_t = div(D grad u) - v . grad u + f(u, x, t)`` and systems of
            it, the biharmonic (Cahn-Hilliard), elasticity, Stokes; steady ones too.
        tolerance: wanted error bar, relative to the range of each unknown.
        minutes: wall-clock time; where it does not suffice, the error bar says so.
        seed: of the manufactured solution's phases.
        on_progress: told (done, total, what).

    Raises:
        UserError: the problem cannot be solved (the term is named) or its solution blows up.
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise UserError(f"the tolerance is {tolerance:g}", mend="give a number above zero, for instance 1e-3")
    if not minutes > 0:
        raise UserError(f"the time is {minutes:g} minutes", mend="give a number above zero")
    began = time.monotonic()
    deadline = began + 60.0 * minutes
    tell = on_progress or (lambda done, total, note: None)
    problem = without_noise(problem, seed)
    form = weak_form(problem)
    scheme = scheme_of(form)
    degree = 1 if not any(any(flux) for flux in form.flux) else 2  # pure transport: quadratic elements lose an order
    tell(0, 5, "measuring the order on a manufactured solution")
    orders, verdicts = _orders(problem, form, degree, scheme, seed, began + 0.4 * (deadline - began))
    tell(1, 5, "solving on finer and finer meshes")
    found = _study(form, degree, scheme, tolerance, began + 0.75 * (deadline - began), tell)
    verdicts += [*_convergence(found, tolerance), *conservation(found)]
    tell(3, 5, "putting the numbers into the equations")
    verdicts.append(residual_verdict(problem, found))
    closed, known = closed_form_verdicts(problem, found)
    verdicts += known
    tell(4, 5, "solving by a second method")
    verdicts.append(second_method(problem, found, max(2.0, 0.9 * (deadline - time.monotonic()))))
    solution = _solution(problem, found, verdicts, orders, closed, seed)
    tell(5, 5, "done")
    return solution


def _orders(problem: Problem, form: Form, degree: int, scheme: str, seed: int, deadline: float):
    """Orders on the manufactured solution and their verdicts."""
    try:
        orders = verify(problem, form, degree=degree, scheme=scheme, seed=seed, deadline=deadline)
    except (Diverged, TimeoutError) as error:
        why = str(error) or "the time was up"
        # No solution without its order: what could not be measured was not shown.
        return [], [
            Verdict("order_in_space", False, f"the order could not be measured on a manufactured solution: {why}")
        ]
    return orders, [each.verdict(_words(form, degree, scheme, each.kind)) for each in orders]


def _words(form: Form, degree: int, scheme: str, kind: str) -> str:
    if kind == "time":
        return {"sdirk2": "SDIRK2", "midpoint": "implicit midpoint rule"}[scheme]
    shape = ("lines", "quadrilaterals", "hexahedra")[len(form.space) - 1]
    name = "Taylor-Hood elements" if form.lower else f"{'linear' if degree == 1 else 'quadratic'} elements"
    return f"{name} on {shape}"


def _study(form: Form, degree: int, scheme: str, tolerance: float, deadline: float, tell: OnProgress) -> Study:
    try:
        found = study(
            form,
            degree=degree,
            scheme=scheme,
            tolerance=tolerance,
            deadline=deadline,
            on_progress=lambda done, total, note: tell(2, 5, note),
        )
    except TimeoutError as error:
        raise UserError(str(error), mend="give more minutes") from error
    except Diverged as error:
        raise UserError(
            f"no solution was found: {error}",
            mend="check signs and numbers; a shorter time or smoother data may have a solution",
        ) from error
    spare = np.abs(found.best.multipliers)
    for number, j in enumerate(form.mean_free):
        size = _driving(found, j)
        if spare.size > number and spare[number] > max(1e-3 * size, 1e-9):
            raise UserError(
                f"there is no steady {form.names[j]}: what the sources give and what flows through the boundary differ "
                f"by {spare[number]:.3g}",
                mend="let them balance, or prescribe a value on a face",
            )
    return found


def _driving(found: Study, j: int) -> float:
    """How large the forces on a field are that only matters up to a constant."""
    best = found.best
    state = best.discrete.hold(float(best.times[-1]), 0.0 * best.states[-1])
    left = np.abs(best.discrete.residual(float(best.times[-1]), state, 0.0 * state))
    return float(sum(part.sum() for part in best.discrete.parts(left)))


def _convergence(found: Study, tolerance: float) -> list[Verdict]:
    """Orders and error bars on the person's own problem."""
    made = []
    for kind, parts in (("space", found.in_space), ("time", found.in_time)):
        if not parts:
            continue
        names = found.form.names
        converges = all(c.order >= 0.5 or c.mean_order >= 0.5 for c in parts)
        theory = all(c.holds for c in parts)
        words = ", ".join(
            f"{names[j]} {'exact' if math.isinf(c.order) else f'{c.order:.2f} (mean square {c.mean_order:.2f})'}"
            for j, c in enumerate(parts)
        )
        says = (
            f"as theory says ({'/'.join(sorted({str(c.theory) for c in parts}))})"
            if theory
            else f"with less than the theoretical order {parts[0].theory}, as where data are not smooth; the error bar "
            "uses the seen order and a factor of safety of 3"
            if converges
            else "not yet"
        )
        what = f"{found.cells} cells" if kind == "space" else f"{found.steps} steps"
        made.append(
            Verdict(
                f"convergence_in_{kind}",
                converges,
                f"on this problem the numbers converge {says}: order of {words}, up to {what}",
                max((c.theory - c.order for c in parts if not math.isinf(c.order)), default=0.0),
            )
        )
    worst = max(found.error(j) / found.scales[j] for j in range(found.form.shown))
    reached = f"the error bar is {worst:.1e} of the range, the wish was {tolerance:.0e}"
    # A wider bar than was wished for is no failure of the proof: the bar itself says it.
    made.append(
        Verdict(
            "tolerance",
            found.reached or None,
            reached if found.reached else f"{reached}; {found.why}",
            0.0 if found.reached else worst,
            severity="soft",
        )
    )
    return made


def _solution(
    problem: Problem, found: Study, verdicts: list[Verdict], orders: list[Orders], closed: dict[str, str], seed: int
) -> Solution:
    form, run = found.form, found.best
    axes = {"t": run.times} if form.span is not None else {}
    thin = found.thinning()
    names = [str(symbol) for symbol in form.space]
    values: dict[str, np.ndarray] = {}
    error: dict[str, float] = {}
    for j, name in enumerate(form.names[: form.shown]):
        stride = tuple(slice(None, None, max(1, step * run.discrete.degrees[j] // found.degree)) for step in thin)
        field = run.field(j)[(slice(None), *stride)]
        field = field if form.span is not None else field[0]
        if run.discrete.degrees[j] == found.degree:
            axes.update({n: spots[cut] for n, spots, cut in zip(names, run.axes(j), stride, strict=True)})
        if np.iscomplexobj(field):
            values |= {f"Re({name})": field.real, f"Im({name})": field.imag}
            error |= {f"Re({name})": found.error(j), f"Im({name})": found.error(j)}
        else:
            values[name], error[name] = field, found.error(j)
    per_axis = " x ".join(str(count) for count in run.discrete.space.cells)
    method = (
        f"scikit-fem, {_words(form, found.degree, found.scheme, 'space')}, {per_axis} cells"
        + (f"{SCHEMES[found.scheme]}, {found.steps} steps" if form.span is not None else "")
        + (", the first ones the shortest" if found.grading != 1.0 else "")
    )
    notes = [*form.notes]
    if any(flux.has(sympy.Piecewise, sympy.Heaviside, sympy.sign) for fluxes in form.flux for flux in fluxes):
        notes.append(
            "a coefficient jumps inside the domain: value and flux are taken as continuous there; the checks that put "
            "a smooth function or differences into the equations cannot hold across a jump, so this is not proven"
        )
    if not found.reached:
        notes.append(f"the wanted accuracy was not reached: {found.why}")
    return Solution(
        problem,
        method,
        axes,
        values,
        error,
        verdicts,
        _sentence(verdicts, found),
        script_of(form, found, problem.text),
        closed,
        notes,
        {
            "orders": [
                {
                    "kind": o.kind,
                    "sizes": o.sizes,
                    "errors": o.errors,
                    "theory": o.theory,
                    "measured": {name: o.measured(name) for name in o.errors},
                }
                for o in orders
            ],
            "own": {
                kind: {
                    form.names[j]: {"sizes": c.sizes, "gaps": c.gaps, "order": c.order, "theory": c.theory}
                    for j, c in enumerate(parts)
                }
                for kind, parts in (("space", found.in_space), ("time", found.in_time))
                if parts
            },
            "cells": list(run.discrete.space.cells),
            "steps": found.steps,
            "scheme": found.scheme,
            "degree": found.degree,
            "grading": found.grading,
            "seed": seed,
            "frames": FRAMES,
        },
    )


def _sentence(verdicts: list[Verdict], found: Study) -> str:
    """What was shown, and what was not."""
    labels = {
        "order_in_space": "the order in space of this code on a manufactured solution of the same operator",
        "order_in_time": "its order in time",
        "convergence_in_space": "convergence on this problem in space",
        "convergence_in_time": "and in time",
        "mass": "conservation of mass",
        "energy": "the law of energy",
        "flux_balance": "the balance of fluxes",
        "maximum_principle": "the range of values",
        "residual": "the residual of the equations as written",
        "closed_form": "agreement with a closed form",
        "second_method": "agreement with a second method",
    }

    def listed(state: bool | None) -> str:
        names = dict.fromkeys(labels[v.rule] for v in verdicts if v.passed is state and v.rule in labels)
        return ", ".join(names)

    parts = [f"Shown: {listed(True) or 'nothing'}."]
    if listed(False):
        parts.append(f"FAILED: {listed(False)}; do not use these numbers before this is understood.")
    if listed(None):
        parts.append(f"Not decided: {listed(None)}.")
    parts.append(
        "The error bar is an estimate from three meshes"
        + (" and three numbers of steps" if found.in_time else "")
        + ", not a bound."
    )
    return " ".join(parts)
