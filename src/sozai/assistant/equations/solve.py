"""From a problem to a proven solution: the method is chosen, and what it gives is checked by others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy

from sozai.assistant.equations import prove
from sozai.assistant.equations.classify import classify
from sozai.assistant.equations.closed_form import check_closed_form, closed_form, evaluate
from sozai.assistant.equations.ode import (
    NOT_STIFF,
    SECOND,
    STIFF,
    Ends,
    Run,
    check_start,
    describe_end,
    integrate,
    is_stiff,
    state_scale,
)
from sozai.assistant.equations.problem import ORDINARY, PARTIAL, Problem, Solution
from sozai.assistant.equations.script import ode_script
from sozai.assistant.equations.system import Clock, FirstOrder, first_order
from sozai.assistant.equations.taylor import taylor
from sozai.assistant.equations.wellposed import refuse_ill_posed
from sozai.knowledge.verdict import Verdict

OnProgress = Callable[[int, int, str], None]
POINTS = 401
CLOSED_FORM_SECONDS = 12.0


def solve(
    problem: Problem,
    *,
    tolerance: float | None = None,
    minutes: float = 5.0,
    seed: int = 0,
    points: int = POINTS,
    on_progress: OnProgress | None = None,
) -> Solution:
    """Solve a problem and prove the solution.

    Args:
        problem: from ``parse.read_problem``.
        tolerance: error that is allowed, relative to the largest value of each unknown, by default ``ORDINARY`` or
            ``PARTIAL`` (of partial differential
            equations, where it cannot be had in the time, the error that was reached is told).
        minutes: at most.
        seed: of random initial data.
        points: of the table of an ordinary equation.
        on_progress: called with (done, total, note).

    Raises:
        UserError: the problem is ill-posed (all reasons are named), its solution ends within the range, or there is no
            method for it.
    """
    soft = refuse_ill_posed(problem)
    if tolerance is None:
        tolerance = PARTIAL if problem.kind == "pde" else ORDINARY
    report = on_progress or (lambda done, total, note: None)
    if problem.kind == "pde":
        from sozai.assistant.equations.pde import solve_pde

        return solve_pde(problem, tolerance=tolerance, minutes=minutes, seed=seed, on_progress=on_progress)
    clock = Clock(minutes)
    if problem.time is None:
        from sozai.assistant.equations.bvp import solve_boundary

        return solve_boundary(problem, tolerance=tolerance, clock=clock, points=points, on_progress=report)
    system = first_order(problem, clock)
    if system is None:
        from sozai.assistant.equations.dae import reduced

        system = reduced(problem, clock)
    return _initial_value(system, tolerance, points, report, soft)


def _initial_value(
    system: FirstOrder, tolerance: float, points: int, report: OnProgress, soft: list[Verdict]
) -> Solution:
    report(0, 6, "reading the equation")
    notes = [*system.problem.notes, *(v.message for v in soft if v.passed is False)]
    check_start(system)
    system, main, stiff = _integrated(system, tolerance, notes)
    ts = np.linspace(*system.span, points)
    values = main.dense(ts)
    scales = {name: float(np.abs(row).max()) for name, row in prove.unknowns_only(system, values).items()}
    report(1, 6, "integrating by a second method")
    errors, verdicts, extra = _second(system, main, ts, values, scales, tolerance, stiff)
    report(2, 6, "looking for a closed form")
    forms, closed = _closed(system, ts, values, scales, tolerance, errors)
    verdicts += closed
    report(3, 6, "putting the solution into the equation")
    verdicts.append(prove.residual(system, main.dense, main.t, 1e-5 if stiff else 1e-6))
    report(4, 6, "observing the order")
    begin, end = system.span
    until = (
        end if extra["sensitivity"] < 1e4 else begin + 0.1 * (end - begin)
    )  # of chaos only a short part has an order
    verdicts.append(prove.order(system, main.method, main.dense, min([until, *system.breaks])))
    report(5, 6, "looking for conserved quantities")
    verdicts += prove.conservation(system, values, ts, max(1e-9, 10 * tolerance), _state_errors(system, errors, main))
    report(6, 6, "")
    kind = classify(system.problem) | {"stiff": stiff, "index": system.index}
    return Solution(
        problem=system.problem,
        method=f"scipy solve_ivp, {main.method} of order {prove.ORDER[main.method]}, relative tolerance "
        f"{main.rtol:.0e}, {main.steps} steps"
        + (f"; differential-algebraic of index {system.index}, differentiated" if system.index else ""),
        axes={str(system.time): ts},
        values=prove.unknowns_only(system, values),
        error=errors,
        verdicts=verdicts,
        shown=shown(verdicts, errors, scales, system.problem),
        script=ode_script(system, main.method, main.rtol, main.atol, points, forms),
        closed_form={name: str(form) for name, form in forms.items()},
        notes=tuple(notes),
        extra={"classified": kind, **extra},
    )


def _state_errors(system: FirstOrder, errors: Mapping[str, float], main: Run) -> np.ndarray:
    """Error bars of all states: those of the unknowns, and at least the absolute tolerance of the integration."""
    return np.array(
        [
            max(errors[name] if order == 0 else 0.0, float(a))
            for (name, order), a in zip(system.states, main.atol, strict=True)
        ]
    )


def _integrated(system: FirstOrder, tolerance: float, notes: list[str]) -> tuple[FirstOrder, Run, bool]:
    """The main run; where no end was given and the solution ends before the one taken, up to shortly before."""
    from dataclasses import replace

    rtol = min(1e-12, tolerance * 1e-4)
    for attempt in range(2):
        stiff = is_stiff(system)
        try:
            run = integrate(system, STIFF if stiff else NOT_STIFF, max(1e-11 if stiff else 3e-14, rtol))
            return system, run, stiff
        except Ends as end:
            error = describe_end(system, end)
            if attempt or not any(note.startswith("No end was given") for note in system.problem.notes):
                raise error from None
            begin = system.span[0]
            until = float(f"{begin + 0.9 * (end.t - begin):.3g}")
            if not begin < until < end.t:
                raise error from None
            notes[:] = [note for note in notes if not note.startswith("No end was given")]
            notes.append(
                f"{error.what.removeprefix('ill-posed: ').split(', before')[0]}: {system.time} runs to {until:g} only."
            )
            domain = {**system.problem.domain, str(system.time): (begin, until)}
            system = replace(system, span=(begin, until), problem=replace(system.problem, domain=domain))
    raise AssertionError("not reached")


def _second(
    system: FirstOrder,
    main: Run,
    ts: np.ndarray,
    values: np.ndarray,
    scales: Mapping[str, float],
    tolerance: float,
    stiff: bool,
) -> tuple[dict[str, float], list[Verdict], dict[str, Any]]:
    """A method of another family; where they disagree, a Taylor series with 40 digits."""
    verdicts: list[Verdict] = []
    scale = state_scale(system, np.abs(values).max(axis=1))
    try:
        other = integrate(system, SECOND, max(1e-12, 0.1 * main.rtol)).dense(ts)
    except Ends as end:
        other = np.full_like(values, np.nan)
        verdicts.append(Verdict("second_method", None, f"{SECOND} stopped at {system.time} = {end.t:g}: {end}"))
    del scale
    own = prove.unknowns_only(system, values)
    rows = prove.unknowns_only(system, other)
    errors = {name: float(np.abs(own[name] - rows[name]).max()) for name in own}
    worst = max((errors[n] / max(scales[n], 1e-300) for n in own), default=math.nan)
    grows = prove.sensitivity(system, main.method, main.dense, ts[:: max(1, len(ts) // 50)])
    extra: dict[str, Any] = {"sensitivity": grows, "horizon": _horizon(ts, own, rows, scales, tolerance)}
    if np.isfinite(worst):
        verdicts.append(
            Verdict(
                "second_method",
                worst <= tolerance,
                f"{SECOND} (multistep, other step control) agrees to {worst:.1e} of the largest value (limit "
                f"{tolerance:.0e})",
                worst,
            )
        )
    if not (worst <= 1e-9) and not stiff:
        exact = taylor(system, ts, digits=40, seconds=min(60.0, system.clock.left() / 3))
        if exact is not None:
            rows = prove.unknowns_only(system, exact)
            gaps = {name: np.abs(own[name] - rows[name]) for name in own}
            errors = {name: float(gap.max()) for name, gap in gaps.items()}
            part = max(errors[n] / max(scales[n], 1e-300) for n in own)
            made = Verdict(
                "taylor_series",
                part <= tolerance,
                f"a Taylor series with 40 digits agrees to {part:.1e} of the largest value (limit {tolerance:.0e})",
                part,
            )
            if part <= tolerance:  # the second method was the less accurate one
                verdicts = [v for v in verdicts if v.rule != "second_method"]
                verdicts.append(
                    Verdict(
                        "second_method",
                        None,
                        f"{SECOND} agrees to {worst:.1e} only; a Taylor series with 40 digits, below, decides",
                        worst,
                    )
                )
            verdicts.append(made)
            extra["horizon"] = _horizon(ts, own, rows, scales, tolerance)
    if grows > 1e6:
        held = extra["horizon"]
        verdicts.append(
            Verdict(
                "horizon",
                None,
                f"a small change of the start grows {grows:.1e} times: the solution is known to {tolerance:.0e} "
                f"up to {system.time} = {held:.4g}",
                severity="soft",
            )
        )
    floor = {name: 4e-16 * scales[name] * max(1.0, min(grows, 1e6)) for name in own}  # agreement by luck is no accuracy
    return {name: max(errors[name], floor[name]) for name in own}, verdicts, extra


def _horizon(
    ts: np.ndarray,
    one: Mapping[str, np.ndarray],
    two: Mapping[str, np.ndarray],
    scales: Mapping[str, float],
    tolerance: float,
) -> float:
    """The last time up to which two solutions agree to the tolerance."""
    gaps = [np.abs(one[name] - two[name]) / max(scales[name], 1e-300) for name in one]
    apart = np.flatnonzero(~(np.max(gaps, axis=0) <= tolerance))
    return float(ts[max(apart[0] - 1, 0)] if apart.size else ts[-1])


def _closed(
    system: FirstOrder,
    ts: np.ndarray,
    values: np.ndarray,
    scales: Mapping[str, float],
    tolerance: float,
    errors: dict[str, float],
) -> tuple[dict[str, sympy.Expr], list[Verdict]]:
    """A closed form that holds; errors become those against it."""
    forms = closed_form(system.problem, min(CLOSED_FORM_SECONDS, system.clock.left() / 3))
    if not forms:
        return {}, []
    left = check_closed_form(system.problem, forms)
    if left > 1e-9:
        return {}, []  # sympy has taken a wrong branch
    exact = evaluate(forms, system.time, ts)
    if exact is None or not all(np.isfinite(column).all() for column in exact.values()):
        return {}, []
    own = prove.unknowns_only(system, values)
    gaps = {name: float(np.abs(own[name] - exact[name]).max()) for name in own}
    worst = max(gaps[n] / max(scales[n], 1e-300) for n in own)
    if worst > 1e-4:
        return {}, []  # it fulfils the equation, but is another solution than the one that begins here
    for name, gap in gaps.items():
        errors[name] = max(gap, 4e-16 * scales[name])
    return forms, [
        Verdict(
            "closed_form",
            worst <= tolerance,
            f"the closed form of sympy fulfils the equation (to {left:.0e}) and the numbers agree with it to "
            f"{worst:.1e} of the largest value",
            worst,
        )
    ]


def shown(verdicts: list[Verdict], errors: Mapping[str, float], scales: Mapping[str, float], problem: Problem) -> str:
    """One sentence or two on what was shown and what was not."""
    words = {
        "residual": "the equation is fulfilled",
        "convergence_order": "the error falls at the theoretical order",
        "second_method": "a method of another family agrees",
        "closed_form": "the closed form agrees",
        "taylor_series": "a Taylor series with 40 digits agrees",
        "conservation": "what is conserved is conserved",
        "constraint": "the algebraic conditions hold",
        "initial_guess": "other first guesses lead to the same solution",
    }
    by = {rule: [v.passed for v in verdicts if v.rule == rule] for rule in words}
    held = [words[rule] for rule, states in by.items() if states and all(states)]
    broken = [words[rule] for rule, states in by.items() if any(s is False for s in states)]
    open_ = [
        words[rule] for rule, states in by.items() if states and not all(states) and not any(s is False for s in states)
    ]
    bars = ", ".join(f"{name} to {error:.1e}" for name, error in errors.items())
    text = f"Shown: {', '.join(held) or 'nothing'}; estimated largest error: {bars}."
    if broken:
        text = f"NOT PROVEN: it does not hold that {', nor that '.join(broken)}. " + text
    if open_:
        text += f" Not decided: whether {', '.join(open_)}."
    return text + (
        " Not shown: that this is the solution at any place or parameter other than these, or that the equation "
        "describes your system; "
        "the error bar is an estimate from independent computations, not an interval that was proven."
    )
