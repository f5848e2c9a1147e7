"""What the names of a formula mean: functions, constants, unknowns, and unknowns at a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sympy

NOISE = sympy.Function("noise")
"""``noise(a)`` in initial data: a random number between -a and a at each point."""


def _log10(value: sympy.Expr) -> sympy.Expr:
    return sympy.log(value) / sympy.log(10)


FUNCTIONS: dict[str, Callable[..., sympy.Expr]] = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "asin": sympy.asin, "acos": sympy.acos, "atan": sympy.atan, "arcsin": sympy.asin, "arccos": sympy.acos,
    "arctan": sympy.atan, "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "sech": sympy.sech,
    "asinh": sympy.asinh, "acosh": sympy.acosh, "atanh": sympy.atanh, "exp": sympy.exp, "log": sympy.log,
    "ln": sympy.log, "log10": _log10, "sqrt": sympy.sqrt, "cbrt": sympy.cbrt, "abs": sympy.Abs, "Abs": sympy.Abs,
    "sign": sympy.sign, "heaviside": sympy.Heaviside, "Heaviside": sympy.Heaviside, "step": sympy.Heaviside,
    "erf": sympy.erf, "erfc": sympy.erfc, "atan2": sympy.atan2, "min": sympy.Min, "max": sympy.Max, "noise": NOISE,
}  # fmt: skip
CONSTANTS = {"pi": sympy.pi, "e": sympy.E}
OPERATORS = {"laplacian", "Laplacian", "laplace", "lap", "grad", "gradient", "div", "divergence"}
DERIVATIVES = {"diff", "Derivative"}
PIECES = {"if", "piecewise", "where"}


@dataclass(frozen=True)
class Point:
    """An unknown, or a derivative of it, at a place: ``u_x(1, t)`` is ``Point("u", ("x",), {"x": 1})``."""

    unknown: str
    orders: tuple[str, ...]
    place: Mapping[str, sympy.Expr]


@dataclass
class Scope:
    """What the names of a formula mean.

    Attributes:
        unknowns: coordinates by unknown, in order (space, then time).
        prime: coordinate of ``u'``.
        space: coordinates of grad, div and the Laplacian.
        parameters: names that are numbers for sure.
        points: filled while reading: what stands for an unknown at a place.
    """

    unknowns: Mapping[str, tuple[str, ...]]
    prime: str = "t"
    space: tuple[str, ...] = ()
    parameters: frozenset[str] = frozenset()
    points: dict[sympy.Symbol, Point] = field(default_factory=dict)

    def function(self, name: str) -> sympy.Expr:
        """The unknown at its coordinates."""
        return sympy.Function(name)(*(sympy.Symbol(c) for c in self.unknowns[name]))

    def point(self, name: str, orders: tuple[str, ...], place: Mapping[str, sympy.Expr]) -> sympy.Symbol:
        """A symbol for the unknown at a place."""
        made = Point(name, tuple(sorted(orders)), dict(place))
        for symbol, known in self.points.items():
            if known == made:
                return symbol
        symbol = sympy.Dummy(f"{name}_at")
        self.points[symbol] = made
        return symbol
