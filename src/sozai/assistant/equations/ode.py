"""Initial value problems of ordinary equations: stiff or not, integrated by two families of methods.

Explicit Runge-Kutta of order 8 (Dormand and Prince; scipy's DOP853) where the equations are not stiff, Radau IIA of
order 5 where they are (Hairer and Wanner, Solving Ordinary Differential Equations I, II); the second method is
multistep (LSODA), so that both share neither formula nor step control.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from sozai.assistant.equations.system import FirstOrder
from sozai.errors import UserError

NOT_STIFF, STIFF, SECOND = "DOP853", "Radau", "LSODA"
ORDER = {"DOP853": 8, "Radau": 5, "RK45": 5}
_STIFF_FROM = 2e4
"""Fastest decay times the length of the range from which a method for stiff equations is quicker."""


@dataclass
class Run:
    """One integration.

    Attributes:
        method: of scipy's ``solve_ivp``.
        rtol, atol: relative tolerance, and absolute one by state.
        t: steps.
        dense: the solution as a function of t, states by row.
        steps: taken.
    """

    method: str
    rtol: float
    atol: np.ndarray
    t: np.ndarray
    dense: Any
    steps: int


def integrate(
    system: FirstOrder,
    method: str,
    rtol: float,
    *,
    step: float | None = None,
    start: np.ndarray | None = None,
    end: float | None = None,
    scale: np.ndarray | None = None,
) -> Run:
    """Integrate over the span.

    Args:
        system: to solve.
        method: name in scipy.
        rtol: relative tolerance; the absolute one is a hundredth of it times the size of each state.
        step: fixed step instead (tolerances are then without effect).
        start: initial values instead of the system's.
        end: of the span instead of the system's.
        scale: size of each state; by default that of the initial values and of the first slope.

    Raises:
        UserError: the solution ends within the span; its place is named.
    """
    from scipy.integrate import solve_ivp

    begin, until = system.span[0], system.span[1] if end is None else end
    first = system.start if start is None else start
    size = state_scale(system, first) if scale is None else scale
    atol = np.full(len(first), 1e300) if step else 1e-2 * rtol * size
    more: dict[str, Any] = {"first_step": step, "max_step": step} if step else {}
    if method in ("Radau", "BDF", "LSODA"):
        more["jac"] = system.jacobian
    breaks = [] if step else [b for b in system.breaks if begin < b < until]
    if breaks:
        return _in_parts(system, method, rtol, atol, [begin, *breaks, until], first, more)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            made = solve_ivp(
                _moving(system, begin, until),
                (begin, until),
                first,
                method,
                rtol=1e-3 if step else rtol,
                atol=atol,
                dense_output=True,
                **more,
            )
        except _Stuck as stuck:
            raise Ends(stuck.t, stuck.y, "the steps became too small") from stuck
        except (ValueError, np.linalg.LinAlgError) as error:  # scipy's words for states that are not finite
            raise Ends(begin, first, str(error)) from error
    if made.status != 0 or not np.isfinite(made.y).all():
        good = np.isfinite(made.y).all(axis=0)
        place = int(np.flatnonzero(good)[-1]) if good.any() else 0
        raise Ends(float(made.t[place]), made.y[:, place], str(made.message))
    return Run(method, rtol, np.asarray(atol), made.t, made.sol, len(made.t) - 1)


class _Stuck(Exception):
    def __init__(self, t: float, y: np.ndarray):
        super().__init__()
        self.t, self.y = t, y


def _moving(system: FirstOrder, begin: float, until: float) -> Any:
    """The right-hand side, given up when thousands of evaluations bring the time no further: at a singular point some
    methods shrink their step for ever."""
    calls, last = 0, begin

    def function(t: float, y: np.ndarray) -> np.ndarray:
        nonlocal calls, last
        calls += 1
        if calls % 3000 == 0:
            if abs(t - last) < 1e-8 * (until - begin) and calls > 3000:
                raise _Stuck(float(t), np.array(y, float))
            last = t
        return system.f(t, y)

    return function


def _in_parts(
    system: FirstOrder,
    method: str,
    rtol: float,
    atol: np.ndarray,
    knots: list[float],
    first: np.ndarray,
    more: dict[str, Any],
) -> Run:
    """From one jump of the right-hand side to the next: no step crosses a jump, so that no method loses its order."""
    from scipy.integrate import solve_ivp

    y, parts, steps = first, [], [np.array([knots[0]])]
    for low, high in itertools.pairwise(knots):
        inside = 1e-12 * (high - low)

        def within(t: float, low: float = low + inside, high: float = high - inside) -> float:
            return min(max(t, low), high)

        options = dict(more)
        if "jac" in options:
            options["jac"] = lambda t, y, within=within: system.jacobian(within(t), y)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            made = solve_ivp(
                lambda t, y, within=within: system.f(within(t), y),
                (low, high),
                y,
                method,
                rtol=rtol,
                atol=atol,
                dense_output=True,
                **options,
            )
        if made.status != 0 or not np.isfinite(made.y).all():
            raise Ends(float(made.t[-1]), made.y[:, -1], str(made.message))
        y = made.y[:, -1]
        parts.append(made.sol)
        steps.append(made.t[1:])
    t = np.concatenate(steps)
    return Run(method, rtol, np.asarray(atol), t, Pieces(knots, parts), len(t) - 1)


class Pieces:
    """A solution in parts, as a function of time."""

    def __init__(self, knots: list[float], parts: list[Any]):
        self.knots, self.parts = np.asarray(knots), parts

    def __call__(self, t: Any) -> np.ndarray:
        """States at a time, or at times by column."""
        places = np.clip(np.searchsorted(self.knots, t, side="right") - 1, 0, len(self.parts) - 1)
        if np.ndim(t) == 0:
            return self.parts[int(places)](t)
        return np.column_stack([self.parts[int(p)](one) for p, one in zip(places, t, strict=True)])


class Ends(Exception):
    """The solution cannot be continued: where it was last, and its states there."""

    def __init__(self, t: float, y: np.ndarray, message: str):
        super().__init__(message)
        self.t, self.y = t, y


def state_scale(system: FirstOrder, y: np.ndarray) -> np.ndarray:
    """Size of each state: of its initial value, or of what its slope brings within a hundredth of the span."""
    slope = np.abs(system.f(system.span[0], y))
    slope = np.where(np.isfinite(slope), slope, 0.0)
    size = np.maximum(np.abs(y), slope * (system.span[1] - system.span[0]) * 1e-2)
    return np.where(
        size > 0, np.maximum(size, 1e-6 * size.max(initial=0.0)), 1e-3 * max(1.0, float(size.max(initial=0.0)))
    )


def check_start(system: FirstOrder) -> None:
    """Whether the equation has a value, and one solution, at the start.

    Raises:
        UserError: it has none there (a division by zero, a root of a negative number), or it is not Lipschitz.
    """
    begin = system.span[0]
    with np.errstate(all="ignore"):
        slope = system.f(begin, system.start)
        at = f"at {system.time} = {begin:g}"
        if not np.isfinite(slope).all():
            raise UserError(
                f"ill-posed: the equation has no value {at} with these initial values (a division by zero, or a "
                f"root or logarithm out of its range)",
                mend="begin at another place, or mend the initial values",
            )
        slopes = system.jacobian(begin, system.start)
        if np.isfinite(slopes).all():
            return
        near = [
            system.jacobian(begin, system.start + sign * 1e-9 * np.maximum(1.0, abs(system.start))) for sign in (1, -1)
        ]
        large = [m for m in near if np.isfinite(m).all()]
        if large and max(abs(m).max() for m in large) < 1e4:
            return  # a removable gap such as sin(x)/x
        raise UserError(
            f"ill-posed: the equation is not Lipschitz {at} (its derivative by the unknown is infinite), so "
            f"that more than one solution may begin there",
            mend="begin at another value, or say which solution is meant by one that starts a little later",
        )


def stiffness(system: FirstOrder) -> float:
    """Fastest decay along a rough solution, times the length of the span."""
    try:
        rough = integrate(system, "LSODA", 1e-5)
    except Ends:
        return 0.0
    worst = 0.0
    for t in np.linspace(*system.span, 25):
        matrix = system.jacobian(t, rough.dense(t))
        if np.isfinite(matrix).all():
            worst = max(worst, float(-np.linalg.eigvals(matrix).real.min()))
    return worst * (system.span[1] - system.span[0])


def is_stiff(system: FirstOrder) -> bool:
    """Whether a method for stiff equations is the better one."""
    return stiffness(system) > _STIFF_FROM


def describe_end(system: FirstOrder, end: Ends) -> UserError:
    """The sentence for a solution that ends within its span."""
    name = system.states[int(np.argmax(np.abs(end.y)))][0]
    size = float(np.abs(end.y).max())
    t = f"{end.t:.6g}"
    begin = system.span[0]
    if size > 1e3 * max(1.0, float(np.abs(system.start).max())):
        what = (
            f"ill-posed: {name} grows without bound and ceases to exist at {system.time} = {t}, before the "
            f"end at {system.span[1]:g}"
        )
    else:
        what = (
            f"ill-posed: the solution ends at {system.time} = {t}, where the equation has no value or an "
            f"infinite slope, before {system.span[1]:g}"
        )
    return UserError(
        what, mend=f"give an end before that, such as {system.time} = {begin:g}..{begin + 0.9 * (end.t - begin):.3g}"
    )
