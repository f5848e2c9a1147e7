"""What the equations as written say of the numbers: their residual by differences, and a second method's answer."""

from __future__ import annotations

import time

import numpy as np
import sympy

from sozai.assistant.equations.pde.differences import Differences, NotApplicable, System
from sozai.assistant.equations.pde.discrete import Diverged, Newton, compiled
from sozai.assistant.equations.pde.lines import solve_in_time, solve_steady
from sozai.assistant.equations.pde.orders import cells_of
from sozai.assistant.equations.pde.refine import COARSEST, Study
from sozai.assistant.equations.pde.stepping import Run, one_step
from sozai.assistant.equations.problem import Problem
from sozai.knowledge.verdict import Verdict

RESIDUAL = 0.05
"""Largest residual, relative to the terms of the equation, that counts as solved: differences have errors too."""
CLOSE = 0.05
"""Error bar of the second method, relative to the range, above which it can say nothing."""


def residual_verdict(problem: Problem, study: Study) -> Verdict:
    """The equations as written, with differences of the numbers put in, on the two finest meshes."""
    cells = [study.cells // 2, study.cells]
    try:
        found = [_residual(problem, study.runs[n, study.steps], cells_of(study.form, n)) for n in cells]
    except (NotApplicable, Diverged) as error:
        return Verdict("residual", None, f"the residual of the equations was not taken: {error}")
    coarse, fine = found
    falls = fine <= 0.75 * coarse  # of a misread equation it stays; where it falls but is large, the mesh is coarse
    holds = fine <= 1e-6 or (fine <= RESIDUAL and falls)
    smooth = all(c.holds for c in study.in_space)
    return Verdict(
        "residual",
        holds if holds or (smooth and fine > RESIDUAL and not falls) else None,
        f"differences of the numbers put into the equations as written leave {fine:.1e} of the size of their terms on "
        f"{cells[1]} cells, {coarse:.1e} on {cells[0]}",
        fine,
    )


def _residual(problem: Problem, run: Run, cells: list[int]) -> float:
    """Residual relative to the sum of the sizes of the terms, in the mean square over inner nodes.

    The tenth of the nodes where it is largest is left out: at corners the solution may not be smooth.
    """
    form = run.discrete.form
    lattice = Differences(problem, cells, False) if not form.traction else Differences(_held(problem), cells, False)
    system = System(lattice)
    t, states = 0.0, [run.states[-1]] * 3
    h = 1.0
    if form.span is not None:
        middle = len(run.times) // 2
        # Waves hold fast modes that no mesh resolves: their own step averages over them.
        t = float(run.times[middle])
        h = (form.span[1] - form.span[0]) / (run.steps if run.scheme == "midpoint" else 4000)
        newton, scheme = Newton(run.discrete), run.scheme
        first = one_step(newton, scheme, t, h, run.states[middle])
        states = [run.states[middle], first, one_step(newton, scheme, t + h, h, first)]
        t += h

    def nodes(state: np.ndarray, j: int) -> np.ndarray:
        degree = run.discrete.degrees[j]
        whole = run.discrete.space.lattice(run.discrete.parts(state)[j], degree)
        whole = whole[tuple(slice(None, None, degree) for _ in cells)]
        return whole[tuple(slice(None, -1 if wrap else None) for wrap in lattice.wraps)].ravel()

    fields = [nodes(states[1], j) for j in range(form.shown)]
    rates = {}
    for j in range(form.shown):
        before, now, after = (nodes(state, j) for state in states)
        rates[j, 1], rates[j, 2] = (after - before) / (2 * h), (after - 2 * now + before) / h**2
        if form.second_order and f"{form.names[j]}_velocity" in form.names:
            v = form.names.index(f"{form.names[j]}_velocity")
            rates[j, 1], rates[j, 2] = nodes(states[1], v), (nodes(states[2], v) - nodes(states[0], v)) / (2 * h)
    inner = np.ones(lattice.shape, bool)
    layers = 2 if any(sum(key[2]) == 4 for key in lattice.terms.symbols) else 1
    for axis, wrap in enumerate(lattice.wraps):
        if not wrap:
            for layer in range(layers):
                for place in (layer, -1 - layer):
                    inner[tuple(place if k == axis else slice(None) for k in range(len(cells)))] = False
    keep = inner.ravel()
    worst = 0.0
    arguments = system.at(t, fields, rates)
    for residual in lattice.terms.residuals:
        parts = [
            np.broadcast_to(np.asarray(p), keep.shape)[keep]
            for p in compiled(list(sympy.Add.make_args(residual)), system.arguments)(*arguments)
        ]
        size = np.sqrt((sum(np.abs(p) for p in parts) ** 2).mean())
        if size > 0:
            left = np.sort(np.abs(sum(parts)))[: max(1, int(0.9 * keep.sum()))]
            worst = max(worst, float(np.sqrt((left**2).mean()) / size))
    return worst


def _held(problem: Problem) -> Problem:
    """The problem with values prescribed on every face: the residual at inner nodes asks for no boundary."""
    from dataclasses import replace

    from sozai.assistant.equations.problem import Condition

    kept = [c for c in problem.conditions if c.kind in ("initial", "periodic")]
    kept += [Condition("dirichlet", name, "boundary", sympy.S.Zero) for name in problem.unknowns]
    return replace(problem, conditions=tuple(kept))


def second_method(problem: Problem, study: Study, seconds: float) -> Verdict:
    """Finite differences on two lattices, extrapolated: both error bars must overlap everywhere."""
    form = study.form
    if form.lower:
        return Verdict("second_method", None, "no second method: a pressure is not found by plain differences")
    began = time.monotonic()
    base = cells_of(form, COARSEST[len(form.space)])
    most = {1: 256, 2: 64, 3: 16}[len(form.space)]
    kept: list[tuple[int, list[np.ndarray]]] = []
    try:
        for factor in (2, 4, 8, 16, 32):
            if COARSEST[len(form.space)] * factor > most:
                break
            cells = [count * factor for count in base]
            started = time.monotonic()
            left = seconds - (started - began)
            if form.span is None:
                lattice, fields = solve_steady(problem, cells, form.traction, form.mean_free, form.complex)
            else:
                lattice, fields = solve_in_time(problem, cells, study.best.times, form.traction, left, form.complex)
            if form.span is not None:
                fields = [field[1:] for field in fields]  # the start is data
            kept.append((factor, [_common(field, lattice.wraps, factor) for field in fields]))
            spent = time.monotonic() - started
            if len(kept) > 1 and _bar(kept, study) < 0.2 * max(1e-3, study_bar(study)):
                break
            if time.monotonic() - began + spent * 2 ** (1.3 * len(form.space)) * 1.5 > seconds:
                break
    except NotApplicable as error:
        if len(kept) < 2:
            return Verdict("second_method", None, f"no second method: {error}")
    if len(kept) < 2:
        return Verdict("second_method", None, "no second method: the time did not suffice for two lattices")
    return _agree(kept, study)


def study_bar(study: Study) -> float:
    """Largest error bar relative to the range."""
    return max(study.error(j) / study.scales[j] for j in range(study.form.shown))


def _common(field: np.ndarray, wraps: list[bool], factor: int) -> np.ndarray:
    """Values at the nodes that all lattices share, both ends of periodic axes included."""
    for axis, wrap in enumerate(wraps):
        if wrap:
            field = np.concatenate([field, np.take(field, [0], axis=axis + 1)], axis=axis + 1)
    return field[(slice(None), *(slice(None, None, factor) for _ in wraps))]


def _bar(kept: list[tuple[int, list[np.ndarray]]], study: Study) -> float:
    (_, coarse), (_, fine) = kept[-2:]
    return max(float(np.abs(a - b).max()) / 3 / s for a, b, s in zip(coarse, fine, study.scales, strict=True))


def _agree(kept: list[tuple[int, list[np.ndarray]]], study: Study) -> Verdict:
    form, run = study.form, study.best
    (_, coarse), (factor, fine) = kept[-2:]
    parts, worst, vague = [], 0.0, False
    for j, name in enumerate(form.names[: form.shown]):
        stride = run.discrete.degrees[j] * study.cells // COARSEST[len(form.space)]
        ours = run.field(j)[(slice(None), *(slice(None, None, stride) for _ in form.space))]
        if form.span is not None:
            ours = ours[-len(fine[j]) :]
        theirs = fine[j] + (fine[j] - coarse[j]) / 3
        if j in form.mean_free and form.span is None:
            ours, theirs = ours - ours.mean(), theirs - theirs.mean()
        gap = float(np.abs(ours - theirs).max())
        bar = float(np.abs(fine[j] - coarse[j]).max()) / 3 + 1e-6 * study.scales[j]
        vague = vague or bar > CLOSE * study.scales[j]
        worst = max(worst, gap / (bar + study.error(j)))
        parts.append(f"{name} differs by {gap:.1e} (bars {study.error(j):.1e} and {bar:.1e})")
    words = "; ".join(parts)
    method = "finite differences" + (" with scipy's own time steps" if form.span is not None else "")
    if vague:
        return Verdict(
            "second_method",
            None,
            f"{method} on {factor * COARSEST[len(form.space)]} intervals are too coarse to tell: {words}",
        )
    return Verdict(
        "second_method",
        worst <= 1.0,
        f"{method} {'agree' if worst <= 1 else 'do not agree'} within both error bars: {words}",
        worst,
    )
