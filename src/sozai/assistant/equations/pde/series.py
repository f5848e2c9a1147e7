"""Solutions as series or by characteristics, for one unknown on an interval: heat, waves, Burgers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy

from sozai.assistant.equations.pde.discrete import compiled
from sozai.assistant.equations.pde.terms import Terms
from sozai.assistant.equations.problem import Problem

MODES = 400
"""Terms of a series."""
POINTS = 20_000
"""Points of the midpoint rule for its coefficients."""
Exact = Callable[..., np.ndarray]


def series_of(problem: Problem, terms: Terms) -> tuple[str, Exact] | None:
    """Words and a function of (t, x) that gives the solution, where one of these is known.

    Heat with zero values or zero flux at both ends: the eigenfunction series. The wave equation from rest: the
    formula of d'Alembert. Burgers with zero values: the transformation of Cole (1951) and Hopf (1950).
    """
    if problem.time is None or terms.dimension != 1:
        return None
    ends = _ends(problem)
    u, u_t, u_x, u_xx = terms.value(0), terms.rate(0), terms.slope(0, 0), terms.slope(0, 0, 0)
    residual = terms.residuals[0]
    start = [c.value for c in problem.conditions if c.kind == "initial" and c.derivative == 0]
    if ends is None or not start:
        return None
    x = terms.space[0]
    raw = compiled([terms.expression(start[0] if start[0] is not None else sympy.S.Zero, "start")], [x])

    def first(at: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(raw(at)[0], float), at.shape)

    low, high = (float(e) for e in problem.domain[str(x)])
    begin = float(problem.domain[str(problem.time)][0])
    bend = -sympy.diff(residual, u_xx)
    if bend == 0 or bend.free_symbols:
        return None
    rate = sympy.diff(residual, u_t)
    second = sympy.diff(residual, terms.rate(0, 2))
    if rate.is_number and rate != 0 and sympy.expand(residual - rate * u_t + bend * u_xx) == 0:
        return "the eigenfunction series", _heat(float(bend / rate), first, low, high, begin, ends)
    if second.is_number and second != 0 and sympy.expand(residual - second * terms.rate(0, 2) + bend * u_xx) == 0:
        speeds = [c.value for c in problem.conditions if c.kind == "initial" and c.derivative == 1]
        if speeds and speeds[0] == 0 and bend / second > 0:
            pace = float(sympy.sqrt(bend / second))
            return "the formula of d'Alembert", _waves(pace, first, low, high, begin, ends)
    carried = sympy.expand(residual - rate * u_t + bend * u_xx)
    if rate == 1 and carried == sympy.expand(u * u_x) and ends == "values":
        return "the solution by Cole and Hopf", _burgers(float(bend), first, low, high, begin)
    return None


def _ends(problem: Problem) -> str | None:
    """``values`` or ``slopes``: which of them is zero at both ends."""
    kinds = {c.kind for c in problem.conditions if c.kind != "initial"}
    zero = all(c.value is None or c.value == 0 for c in problem.conditions if c.kind != "initial")
    if not zero or len(kinds) != 1:
        return None
    return {"dirichlet": "values", "neumann": "slopes"}.get(kinds.pop())


def _coefficients(values: np.ndarray, cosines: bool) -> np.ndarray:
    """Coefficients of the sine or cosine series of values at the midpoints of equal intervals."""
    from scipy.fft import dct, dst

    made = (dct if cosines else dst)(values, type=2) / len(values)
    if cosines:
        made[0] /= 2
        return made[:MODES]
    return made[: MODES - 1]


def _midpoints(low: float, high: float) -> np.ndarray:
    return low + (high - low) * (np.arange(POINTS) + 0.5) / POINTS


def _heat(diffusivity: float, first: Exact, low: float, high: float, begin: float, ends: str) -> Exact:
    cosines = ends == "slopes"
    weights = _coefficients(first(_midpoints(low, high)), cosines)
    waves = np.pi / (high - low) * (np.arange(len(weights)) + (0 if cosines else 1))

    def exact(t: float, x: np.ndarray) -> np.ndarray:
        shapes = (np.cos if cosines else np.sin)(np.multiply.outer(x - low, waves))
        return shapes @ (weights * np.exp(-diffusivity * waves**2 * (t - begin)))

    return exact


def _waves(pace: float, first: Exact, low: float, high: float, begin: float, ends: str) -> Exact:
    length = high - low

    def extended(at: np.ndarray) -> np.ndarray:
        """The start continued beyond the ends: odd about them for values, even for slopes."""
        turn = np.mod(at - low, 2 * length)
        mirrored = turn > length
        values = first(low + np.where(mirrored, 2 * length - turn, turn))
        return np.where(mirrored & (ends == "values"), -values, values)

    return lambda t, x: (extended(x - pace * (t - begin)) + extended(x + pace * (t - begin))) / 2


def _burgers(viscosity: float, first: Exact, low: float, high: float, begin: float) -> Exact:
    spots = _midpoints(low, high)
    step = (high - low) / POINTS
    velocity = first(spots)
    grown = np.cumsum(velocity) * step - velocity * step / 2  # the integral up to the midpoints
    weights = _coefficients(np.exp(-(grown - grown.min()) / (2 * viscosity)), True)
    waves = np.pi / (high - low) * np.arange(len(weights))

    def exact(t: float, x: np.ndarray) -> np.ndarray:
        decayed = weights * np.exp(-viscosity * waves**2 * (t - begin))
        angles = np.multiply.outer(x - low, waves)
        return 2 * viscosity * (np.sin(angles) @ (decayed * waves)) / (np.cos(angles) @ decayed)

    return exact
