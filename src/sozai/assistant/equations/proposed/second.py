"""Numbers of a stranger's script against another method: our own, where it gives any."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sozai.assistant.equations.classify import orders
from sozai.assistant.equations.problem import Problem, Solution
from sozai.assistant.equations.proposed.grid import Axes
from sozai.knowledge.verdict import Verdict

_RULE = "second_method"
_CLOSE = 0.05
"""Error bar of the differences, relative to the range, above which they can say nothing."""
_CELLS = {1: 32, 2: 16, 3: 8}


def second_method(
    problem: Problem,
    axes: Axes,
    numbers: Mapping[str, np.ndarray],
    error: Mapping[str, float],
    own: Solution | None,
    seconds: float,
) -> Verdict:
    """Agreement with our own numbers, which were not proven, or with differences of second order where these apply.

    Where our own numbers disagree nothing is decided, because they were not proven; where differences with an error bar
    disagree, the script's numbers are refuted.
    """
    if own is not None and set(own.values) == set(numbers):
        gap = _gap_to(own, axes, numbers)
        bars = max((error[n] + own.error[n]) / _size(numbers[n]) for n in numbers)
        if bars <= _CLOSE and gap <= max(bars, 1e-9):
            return Verdict(_RULE, True, f"sozai's own numbers, not proven by themselves, agree to {gap:.1e}", gap)
        return Verdict(_RULE, None, f"sozai's own numbers, which were not proven, differ by {gap:.1e}", gap)
    if problem.kind != "pde":
        return Verdict(_RULE, None, "no second method of our own solves this problem")
    found = orders(problem)
    highest = {by.get(str(s), 0) for by in found.values() for s in problem.space}
    if problem.name in ("linear-elasticity", "stokes") or highest & {3} or max(highest) > 4:
        return Verdict(_RULE, None, "no second method of our own solves this problem")
    return _differences(problem, axes, numbers, error, seconds)


def _size(values: np.ndarray) -> float:
    return max(float(np.abs(values).max()), 1e-300)


def _gap_to(own: Solution, axes: Axes, numbers: Mapping[str, np.ndarray]) -> float:
    from scipy.interpolate import RegularGridInterpolator

    places = np.stack(np.meshgrid(*(own.axes[name] for name in axes), indexing="ij"), axis=-1)
    order = [list(own.axes).index(name) for name in axes]
    worst = 0.0
    for name, values in numbers.items():
        method = "cubic" if min(values.shape) > 4 else "linear"
        there = RegularGridInterpolator(
            tuple(axes.values()), values, method=method, bounds_error=False, fill_value=None
        )
        ours = np.transpose(np.asarray(own.values[name]), order)
        worst = max(worst, float(np.abs(there(places) - ours).max()) / _size(values))
    return worst


def _differences(
    problem: Problem, axes: Axes, numbers: Mapping[str, np.ndarray], error: Mapping[str, float], seconds: float
) -> Verdict:
    from sozai.assistant.equations.pde.lines import solve_in_time, solve_steady

    cells = _CELLS[len(problem.space)]
    kept = []
    times = axes[str(problem.time)][:: max(1, (len(axes[str(problem.time)]) - 1) // 8)] if problem.time else np.zeros(1)
    try:
        for count in (cells, 2 * cells):
            shape = [count] * len(problem.space)
            if problem.time is None:
                lattice, fields = solve_steady(problem, shape, False, [], False)
            else:
                lattice, fields = solve_in_time(problem, shape, times, False, seconds / 2, False)
            stride = count // cells
            kept.append(
                [
                    _whole(field, lattice.wraps)[(slice(None), *[slice(None, None, stride)] * len(shape))]
                    for field in fields
                ]
            )
    except Exception as why:
        return Verdict(_RULE, None, f"no second method of our own solves this problem ({type(why).__name__}: {why})")
    worst, vague, words = 0.0, False, []
    for place, (name, values) in enumerate(numbers.items()):
        coarse, fine = kept[0][place], kept[1][place]
        ours = fine + (fine - coarse) / 3
        steps = [(n - 1) // cells for n in values.shape[1 if problem.time else 0 :]]
        cuts = [slice(None, None, (values.shape[0] - 1) // (len(times) - 1))] if problem.time else []
        theirs = values[(*cuts, *(slice(None, None, step) for step in steps))]
        theirs = theirs if problem.time else theirs[None]
        if theirs.shape != ours.shape:
            return Verdict(_RULE, None, "no second method: the lattices do not meet")
        gap, bar = float(np.abs(theirs - ours).max()), float(np.abs(fine - coarse).max()) / 3
        vague = vague or bar + error[name] > _CLOSE * _size(values)
        worst = max(worst, gap / (bar + error[name] + 1e-6 * _size(values)))
        words.append(f"{name} differs by {gap:.1e} (bars {error[name]:.1e} and {bar:.1e})")
    passed = None if vague else worst <= 1.0
    said = (
        "cannot tell, the error bars are too wide"
        if vague
        else "agree within both error bars"
        if passed
        else "do not agree"
    )
    return Verdict(_RULE, passed, f"sozai's own differences of second order {said}: {'; '.join(words)}", worst)


def _whole(field: np.ndarray, wraps: list[bool]) -> np.ndarray:
    """With both ends of periodic axes."""
    for axis, wrap in enumerate(wraps):
        if wrap:
            field = np.concatenate([field, np.take(field, [0], axis=axis + 1)], axis=axis + 1)
    return field
