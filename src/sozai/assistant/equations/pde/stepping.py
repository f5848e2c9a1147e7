"""From a problem's weak form to numbers: one steady solution, or steps through time.

Schemes: ``sdirk2`` (Alexander 1977: singly diagonal, L-stable, stiffly accurate, second order; algebraic
equations are allowed) and ``midpoint`` (implicit midpoint rule, second order; for linear waves it is Newmark's
average acceleration and keeps the energy to round-off).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from sozai.assistant.equations.pde.discrete import Discrete, Diverged, Newton, compiled
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.space import Space

ORDERS = {"sdirk2": 2, "midpoint": 2, "steady": 0}
"""Order in time of each scheme."""
GAMMA = 1.0 - 1.0 / math.sqrt(2.0)


@dataclass
class Run:
    """Numbers of one resolution.

    Attributes:
        discrete: equations on the mesh.
        times: of the frames; one zero for a steady problem.
        states: one row a frame.
        seconds: CPU time it took.
        scheme: in time.
        multipliers: of the conditions on means: what keeps sources and boundary fluxes from balancing.
        steps: in time.
    """

    discrete: Discrete
    times: np.ndarray
    states: np.ndarray
    seconds: float
    scheme: str
    multipliers: np.ndarray
    steps: int

    def field(self, j: int) -> np.ndarray:
        """A field over frames and lattice."""
        a, b = self.discrete.offsets[j], self.discrete.offsets[j + 1]
        return self.discrete.space.lattice(self.states[:, a:b], self.discrete.degrees[j])

    def axes(self, j: int) -> list[np.ndarray]:
        """Coordinates of the lattice of a field."""
        return self.discrete.space.axes(self.discrete.degrees[j])


def scheme_of(form: Form) -> str:
    """The scheme that suits: none, one that keeps energy, or one that damps what is stiff."""
    if form.span is None:
        return "steady"
    return "midpoint" if form.second_order or form.complex else "sdirk2"


def degrees_of(form: Form, degree: int) -> list[int]:
    """Degrees of all fields: the pressure is one lower (Taylor and Hood 1973)."""
    return [degree - 1 if j in form.lower else degree for j in range(len(form.names))]


def compute(
    form: Form,
    cells: Sequence[int],
    steps: int,
    *,
    frames: int = 1,
    degree: int = 2,
    scheme: str | None = None,
    grading: float = 1.0,
    deadline: float | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Run:
    """Solve on one mesh with one number of equal time steps.

    Args:
        form: the weak form.
        cells: elements along each axis.
        steps: time steps (a multiple of ``frames``); without meaning when steady.
        frames: states to keep after the first one.
        degree: of the elements.
        scheme: one of ``ORDERS``; by default what suits.
        grading: time steps end at ``(step / steps) ** grading`` of the span: above 1, the first ones are the shortest.
        deadline: ``time.monotonic()`` after which to give up.
        on_step: told (step, steps).

    Raises:
        Diverged: the numbers blow up, or no solution is found.
        TimeoutError: the deadline has passed.
    """
    began = time.process_time()
    degrees = degrees_of(form, degree)
    discrete = Discrete(form, Space(form.box, cells, form.periodic, degrees), degrees)
    scheme = scheme or scheme_of(form)
    with np.errstate(all="ignore"):
        if scheme == "steady":
            guess = discrete.hold(0.0, np.zeros(discrete.size, discrete.dtype))
            newton = Newton(discrete)
            states = [_damped(newton, guess)]
            times = np.zeros(1)
        else:
            states, times, newton = _march(discrete, scheme, steps, frames, grading, deadline, on_step)
    return Run(discrete, times, np.array(states), time.process_time() - began, scheme, newton.multipliers, steps)


def _damped(newton: Newton, guess: np.ndarray) -> np.ndarray:
    """A steady solution; where Newton's method alone fails, small steps of a false time lead to it."""
    zero = np.zeros_like(guess)
    try:
        return newton.solve(0.0, guess, guess, 0.0)
    except Diverged:
        if newton.discrete.form.linear:
            raise
    state = guess
    for share in np.linspace(0.1, 1.0, 10):  # boundary values raised from zero
        held = newton.discrete.hold(0.0, zero.copy())
        state[newton.discrete.held] = share * held[newton.discrete.held]
        state = newton.solve(0.0, state, state, 0.0)
    return state


def _march(
    discrete: Discrete,
    scheme: str,
    steps: int,
    frames: int,
    grading: float,
    deadline: float | None,
    on_step: Callable[[int, int], None] | None,
) -> tuple[list[np.ndarray], np.ndarray, Newton]:
    form = discrete.form
    assert form.span is not None
    begin, end = form.span
    clock = begin + (end - begin) * (np.arange(steps + 1) / steps) ** grading
    state = initial_state(discrete)
    newton = Newton(discrete)
    kept, times = [state], [begin]
    for step in range(steps):
        t = float(clock[step])
        h = (end - begin) / steps if grading == 1.0 else float(clock[step + 1]) - t
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError
        state = one_step(newton, scheme, t, h, state)
        if not np.isfinite(state).all() or np.abs(state).max() > 1e30:
            raise Diverged(f"the numbers blow up at t = {t + h:.4g}")
        if (step + 1) % (steps // frames) == 0:
            kept.append(state)
            times.append(float(clock[step + 1]))
        if on_step is not None:
            on_step(step + 1, steps)
    return kept, np.array(times), newton


def one_step(newton: Newton, scheme: str, t: float, h: float, state: np.ndarray) -> np.ndarray:
    """One time step."""
    hold = newton.discrete.hold
    try:
        if scheme == "midpoint":
            ends = hold(t + h, state.copy())
            guess = state.copy()
            guess[newton.discrete.held] = (ends[newton.discrete.held] + state[newton.discrete.held]) / 2
            return 2.0 * newton.solve(t + h / 2, guess, state, 2.0 / h) - state
        if scheme == "sdirk2":
            first = newton.solve(t + GAMMA * h, hold(t + GAMMA * h, state.copy()), state, 1.0 / (GAMMA * h))
            rate = (first - state) / (GAMMA * h)
            base = state + h * (1.0 - GAMMA) * rate
            return newton.solve(t + h, hold(t + h, first.copy()), base, 1.0 / (GAMMA * h))
    except Diverged as error:
        raise Diverged(f"{error} at t = {t:.4g}") from error
    raise ValueError(scheme)


def initial_state(discrete: Discrete) -> np.ndarray:
    """Initial values at the nodes; fields without a rate are solved for."""
    form, begin = discrete.form, (discrete.form.span or (0.0, 0.0))[0]
    state = np.zeros(discrete.size, discrete.dtype)
    for j, (a, value) in enumerate(zip(discrete.offsets, form.start, strict=False)):
        if value is not None:
            call: Callable[..., list[np.ndarray]] = compiled([sympy.sympify(value)], form.space)
            state[a : discrete.offsets[j + 1]] = call(*discrete.space.nodes(discrete.degrees[j]))[0]
    if np.isinf(state).any():  # also where a boundary value would hide it
        raise Diverged("the initial value is infinite somewhere")
    state = discrete.hold(begin, state)
    if not np.isfinite(state).all():
        raise Diverged("the initial or boundary values are not finite somewhere")
    free = set(discrete.free.tolist())
    missing = [
        n
        for j, value in enumerate(form.start)
        if value is None
        for n in range(discrete.offsets[j], discrete.offsets[j + 1])
        if n in free
    ]
    if missing and follows(form):
        state = Newton(discrete, np.array(missing)).solve(begin, state, state, 0.0)
    return state


def follows(form: Form) -> bool:
    """Whether fields without a rate follow from the others at the start (a pressure does not)."""
    rows = [j for j, value in enumerate(form.start) if value is None]
    return bool(rows) and not any(
        form.rest[j].free_symbols & set(form.rates) or not (any(form.flux[j]) or form.rest[j].has(form.values[j]))
        for j in rows
    )
