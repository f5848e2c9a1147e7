"""A Taylor series integrator with any number of digits, for the cases where double precision does not decide.

The coefficients follow from recurrences for sums, products, powers and elementary functions (Jorba and Zou,
doi:10.1080/10586458.2005.10128904), so that the method shares nothing with those of scipy.
"""

from __future__ import annotations

import time
from typing import Any

import mpmath
import numpy as np
import sympy

from sozai.assistant.equations.system import FirstOrder


class _NoSeries(Exception):
    """An expression has a part for which there is no recurrence."""


class _Tape:
    """Right-hand sides as a list of elementary steps, each with its series."""

    def __init__(self, symbols: list[sympy.Symbol], time_symbol: sympy.Symbol, rhs: list[sympy.Expr]):
        self.steps: list[tuple[str, tuple[int, ...], Any]] = []
        self.known: dict[sympy.Expr, int] = {}
        for symbol in symbols:
            self.known[symbol] = self._add("state", (), None)
        self.known[time_symbol] = self._add("time", (), None)
        self.outputs = [self._place(sympy.sympify(e)) for e in rhs]

    def _add(self, kind: str, arguments: tuple[int, ...], data: Any) -> int:
        self.steps.append((kind, arguments, data))
        return len(self.steps) - 1

    def _place(self, e: sympy.Expr) -> int:
        if e not in self.known:
            self.known[e] = self._made(e)
        return self.known[e]

    def _made(self, e: sympy.Expr) -> int:
        if e.is_number:
            return self._add("constant", (), e)
        if e.is_Add or e.is_Mul:
            kind = "add" if e.is_Add else "multiply"
            place = self._place(e.args[0])
            for part in e.args[1:]:
                place = self._add(kind, (place, self._place(part)), None)
            return place
        if e.is_Pow and e.exp.is_Integer and 1 < e.exp <= 4:
            base = self._place(e.base)
            place = base
            for _ in range(int(e.exp) - 1):
                place = self._add("multiply", (place, base), None)
            return place
        if e.is_Pow and e.exp.is_number:
            return self._add("power", (self._place(e.base),), e.exp)
        if isinstance(e, sympy.exp):
            return self._add("exp", (self._place(e.args[0]),), None)
        if isinstance(e, sympy.log):
            return self._add("log", (self._place(e.args[0]),), None)
        if isinstance(e, sympy.sin | sympy.cos):
            inner = self._place(e.args[0])
            sine, cosine = len(self.steps), len(self.steps) + 1
            self._add("sin", (inner, cosine), None)
            self._add("cos", (inner, sine), None)
            self.known[sympy.sin(e.args[0])], self.known[sympy.cos(e.args[0])] = sine, cosine
            return self.known[e]
        if isinstance(e, sympy.tan | sympy.cot | sympy.sec | sympy.csc):
            return self._place(e.rewrite(sympy.cos) if isinstance(e, sympy.sec) else _quotient(e))
        if isinstance(e, sympy.sinh | sympy.cosh | sympy.tanh | sympy.sech):
            return self._place(e.rewrite(sympy.exp))
        if e.is_Pow:
            return self._place(sympy.exp(e.exp * sympy.log(e.base)))
        raise _NoSeries(str(e))


def _quotient(e: sympy.Expr) -> sympy.Expr:
    sine, cosine = sympy.sin(e.args[0]), sympy.cos(e.args[0])
    return {sympy.tan: sine / cosine, sympy.cot: cosine / sine, sympy.csc: 1 / sine}[e.func]


def _coefficient(kind: str, arguments: tuple[int, ...], data: Any, series: list[list[Any]], k: int) -> Any:
    """Coefficient k of a step, from lower ones of itself and those up to k of its arguments."""
    a = series[arguments[0]]
    if kind == "add":
        return a[k] + series[arguments[1]][k]
    if kind == "multiply":
        b = series[arguments[1]]
        return sum((a[j] * b[k - j] for j in range(k + 1)), mpmath.mpf(0))
    return None


def _elementary(
    kind: str, arguments: tuple[int, ...], data: Any, series: list[list[Any]], k: int, own: list[Any]
) -> Any:
    a = series[arguments[0]]
    if kind == "power":
        if k == 0:
            return a[0] ** data
        return sum(((j * data - (k - j)) * a[j] * own[k - j] for j in range(1, k + 1)), mpmath.mpf(0)) / (k * a[0])
    if kind == "exp":
        return mpmath.exp(a[0]) if k == 0 else sum((j * a[j] * own[k - j] for j in range(1, k + 1)), mpmath.mpf(0)) / k
    if kind == "log":
        if k == 0:
            return mpmath.log(a[0])
        return (a[k] - sum((j * own[j] * a[k - j] for j in range(1, k)), mpmath.mpf(0)) / k) / a[0]
    other = series[arguments[1]]
    if k == 0:
        return mpmath.sin(a[0]) if kind == "sin" else mpmath.cos(a[0])
    total = sum((j * a[j] * other[k - j] for j in range(1, k + 1)), mpmath.mpf(0)) / k
    return total if kind == "sin" else -total


def taylor(system: FirstOrder, ts: np.ndarray, *, digits: int = 40, seconds: float = 60.0) -> np.ndarray | None:
    """The states at times, by row, with so many digits inside; nothing where it takes too long or there is no series.

    Args:
        system: with exact initial values.
        ts: ascending, from the start on.
        digits: decimal, of the arithmetic; the error of a step is below 10^(8 - digits) of the states.
        seconds: allowed.
    """
    try:
        tape = _Tape(system.symbols, system.time, system.rhs)
    except _NoSeries:
        return None
    count, order = len(system.symbols), int(digits * 1.15) + 6
    begun = time.monotonic()
    rows = []
    with mpmath.workdps(digits):
        exponent = {
            place: mpmath.mpmathify(sympy.N(data, digits + 5))
            for place, (kind, _, data) in enumerate(tape.steps)
            if kind in ("constant", "power")
        }
        state = [mpmath.mpmathify(sympy.N(v, digits + 5)) for v in system.initial]
        t, tolerance = mpmath.mpf(float(ts[0])), mpmath.mpf(10) ** (8 - digits)
        place = 0
        try:
            while place < len(ts):
                if time.monotonic() - begun > seconds:
                    return None
                series = _series(tape, exponent, state, t, order)
                size = max(max(abs(s) for s in state), mpmath.mpf("1e-30"))
                radius = min(
                    min(
                        (
                            (tolerance * size / abs(c)) ** (mpmath.mpf(1) / k)
                            for k, c in ((order, s[order]), (order - 1, s[order - 1]))
                            if c != 0
                        ),
                        default=mpmath.inf,
                    )
                    for s in series[:count]
                )
                step = radius * mpmath.mpf("0.9")
                while place < len(ts) and mpmath.mpf(float(ts[place])) <= t + step:
                    rows.append(
                        [float(mpmath.polyval(s[::-1], mpmath.mpf(float(ts[place])) - t)) for s in series[:count]]
                    )
                    place += 1
                state = [mpmath.polyval(s[::-1], step) for s in series[:count]]
                t += step
                if step < mpmath.mpf("1e-14"):
                    return None
        except (ArithmeticError, ValueError, TypeError):
            return None
    made = np.array(rows, float).T
    return made if np.isfinite(made).all() else None


def _series(tape: _Tape, numbers: dict[int, Any], state: list[Any], t: Any, order: int) -> list[list[Any]]:
    """Series of all steps about t, coefficient after coefficient."""
    zero = mpmath.mpf(0)
    series: list[list[Any]] = [[] for _ in tape.steps]
    for k in range(order + 1):
        for place, (kind, arguments, _) in enumerate(tape.steps):
            if kind == "state":
                value = state[place] if k == 0 else series[tape.outputs[place]][k - 1] / k
            elif kind == "time":
                value = t if k == 0 else mpmath.mpf(1) if k == 1 else zero
            elif kind == "constant":
                value = numbers[place] if k == 0 else zero
            elif kind in ("add", "multiply"):
                value = _coefficient(kind, arguments, None, series, k)
            elif kind in ("sin", "cos"):
                value = _elementary(kind, arguments, None, series, k, series[place])
            else:
                value = _elementary(kind, arguments, numbers.get(place), series, k, series[place])
            series[place].append(value)
    return series
