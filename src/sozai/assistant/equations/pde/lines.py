"""Solutions of the difference equations: Newton's method when steady, the method of lines with scipy in time."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import sympy
from scipy.sparse.linalg import splu

from sozai.assistant.equations.pde.differences import Differences, NotApplicable, System
from sozai.assistant.equations.pde.discrete import compiled
from sozai.assistant.equations.pde.terms import Terms
from sozai.assistant.equations.problem import Problem


def solve_steady(
    problem: Problem, cells: list[int], traction: bool, mean_free: list[int], is_complex: bool
) -> tuple[Differences, list]:
    """Newton's method on the equations at the nodes.

    Raises:
        NotApplicable: no solution was found.
    """
    lattice = Differences(problem, cells, traction)
    system = System(lattice)
    count, n = len(lattice.terms.names), lattice.count
    dtype = complex if is_complex else float
    state = np.concatenate([lattice.prescribe(j, 0.0, np.zeros(n, dtype)) for j in range(count)])
    held = np.zeros(count * n, bool)
    for j, known in enumerate(lattice.known):
        held[j * n + known] = True
    free = np.flatnonzero(~held)
    means = (
        sp.csr_matrix(
            np.array(
                [
                    np.repeat(np.arange(count) == j, n)[free] * np.tile(_trapezoid(lattice), count)[free]
                    for j in mean_free
                ]
            )
        )
        if mean_free
        else None
    )
    for _ in range(30):
        fields = list(state.reshape(count, n))
        left = np.concatenate(system.residual(0.0, fields, {}))[free]
        matrix = system.derivative(0.0, fields, {}, {})[free][:, free]
        if means is not None:
            ones = sp.csr_matrix(np.array([np.repeat(np.arange(count) == j, n)[free].astype(float) for j in mean_free]))
            matrix = sp.bmat([[matrix, ones.T], [means, None]])
            left = np.concatenate([left, means @ state[free]])
        try:
            change = splu(sp.csc_matrix(matrix).astype(dtype)).solve(left.astype(dtype))[: len(free)]
        except RuntimeError as error:
            raise NotApplicable("the difference equations are singular") from error
        state[free] -= change
        if not np.isfinite(state).all():
            break
        if np.abs(change).max() <= 1e-10 * max(np.abs(state).max(), 1e-12):
            return lattice, [field.reshape(1, *lattice.shape) for field in state.reshape(count, n)]
    raise NotApplicable("Newton's method on the differences found no solution")


def _trapezoid(lattice: Differences) -> np.ndarray:
    made = np.ones(1)
    for count, wrap in zip(lattice.shape, lattice.wraps, strict=True):
        weight = np.ones(count)
        if not wrap:
            weight[[0, -1]] = 0.5
        made = np.multiply.outer(made, weight).ravel()
    return made / made.sum()


def solve_in_time(
    problem: Problem,
    cells: list[int],
    times: np.ndarray,
    traction: bool,
    seconds: float,
    is_complex: bool,
    accuracy: float = 1e-6,
) -> tuple[Differences, list]:
    """Method of lines with scipy's BDF.

    Args:
        problem: the person's.
        cells: intervals along each axis.
        times: at which the numbers are wanted.
        traction: whether stated derivatives are tractions.
        seconds: time after which to give up.
        is_complex: whether the numbers are complex.
        accuracy: relative tolerance of the integrator.

    Raises:
        NotApplicable: an unknown has no rate, or scipy found no way in time.
    """
    import time as clock

    from scipy.integrate import solve_ivp

    lattice = Differences(problem, cells, traction)
    system, terms = System(lattice), lattice.terms
    count, n = len(terms.names), lattice.count
    orders = [max((k for (j, k, _) in terms.symbols if j == i), default=0) for i in range(count)]
    top = [
        sympy.Matrix(
            [
                [sympy.diff(r, terms.rate(j, orders[j])) if orders[j] else 0 for j in range(count)]
                for r in terms.residuals
            ]
        )
    ][0]
    if 0 in orders or len(set(orders)) > 1 or top.free_symbols or top.det() == 0:
        raise NotApplicable("not every unknown has a time derivative with a constant factor")
    order = orders[0]
    inverse = np.array(top.inv().tolist(), complex)
    inverse = inverse.real if not inverse.imag.any() else inverse
    dtype = complex if is_complex else float
    free = [np.setdiff1d(np.arange(n), known) for known in lattice.known]
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in free])])
    total = int(offsets[-1])
    limit = clock.monotonic() + seconds

    def unpack(t: float, y: np.ndarray) -> list[np.ndarray]:
        fields = []
        for j, places in enumerate(free):
            field = np.zeros(n, dtype)
            field[places] = y[offsets[j] : offsets[j + 1]]
            fields.append(lattice.prescribe(j, t, field))
        return fields

    def rates_of(fields: list[np.ndarray], first: np.ndarray | None) -> dict[tuple[int, int], np.ndarray]:
        made = {(j, order): np.zeros(n, dtype) for j in range(count)}
        if order == 2 and first is not None:
            for j, places in enumerate(free):
                made[j, 1] = np.zeros(n, dtype)
                made[j, 1][places] = first[offsets[j] : offsets[j + 1]]
        return made

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        if clock.monotonic() > limit:
            raise NotApplicable("finite differences took too long")
        fields = unpack(t, y[:total])
        left = system.residual(t, fields, rates_of(fields, y[total:] if order == 2 else None))
        rate = [-sum(inverse[i, k] * left[k] for k in range(count))[free[i]] for i in range(count)]
        return np.concatenate([y[total:], *rate] if order == 2 else rate)

    chosen = np.concatenate([j * n + places for j, places in enumerate(free)])
    mixing = sp.kron(sp.csr_matrix(inverse), sp.identity(n))

    def jacobian(t: float, y: np.ndarray) -> sp.csc_matrix:
        fields = unpack(t, y[:total])
        rates = rates_of(fields, y[total:] if order == 2 else None)
        body = sp.csr_matrix(-mixing @ system.derivative(t, fields, rates, {}))[chosen][:, chosen]
        if order == 1:
            return sp.csc_matrix(body)
        damping = sp.csr_matrix(
            -mixing @ (system.derivative(t, fields, rates, {1: 1.0}) - system.derivative(t, fields, rates, {}))
        )
        return sp.csc_matrix(sp.bmat([[None, sp.identity(total)], [body, damping[chosen][:, chosen]]]))

    starts = [_start(problem, terms, lattice, k) for k in range(order)]
    y0 = np.concatenate([start[chosen] for start in starts]).astype(dtype)
    wave = order == 2 or dtype is complex
    method = {"method": "DOP853"} if wave else {"method": "BDF", "jac": jacobian}
    scale = max(float(np.abs(y0).max()), 1e-12)
    answer = solve_ivp(slope, (times[0], times[-1]), y0, t_eval=times, rtol=accuracy, atol=accuracy * scale, **method)
    if not answer.success or not np.isfinite(answer.y).all():
        raise NotApplicable("scipy's integrator found no way")
    frames = [unpack(t, y[:total]) for t, y in zip(answer.t, answer.y.T, strict=True)]
    return lattice, [np.array([frame[j].reshape(lattice.shape) for frame in frames]) for j in range(count)]


def _start(problem: Problem, terms: Terms, lattice: Differences, order: int) -> np.ndarray:
    made = []
    for name in terms.names:
        value = next(
            c.value for c in problem.conditions if c.kind == "initial" and c.unknown == name and c.derivative == order
        )
        expression = terms.expression(value if value is not None else sympy.S.Zero, "initial value")
        expression = expression.subs(terms.time, problem.domain[str(problem.time)][0])
        values = np.asarray(compiled([expression], list(terms.space))(*lattice.grid)[0])
        made.append(np.broadcast_to(values, (lattice.count,)))
    return np.concatenate(made)
