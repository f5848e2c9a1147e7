"""A script that makes the same numbers with numpy and scipy alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import sympy
from sympy.printing.numpy import NumPyPrinter

from sozai.assistant.equations.system import FirstOrder

_HEAD = '''"""{title}

Written by sozai; needs numpy and scipy only. Run it: it writes solution.csv beside itself.
"""

import numpy as np
from scipy.integrate import solve_ivp


def f(t, y):
    """Right-hand side of the first-order system; states: {states}."""
{unpack}
    return np.array([
{rows}
    ])


{jacobian}start = np.array([{start}])
t = np.linspace({begin!r}, {end!r}, {count})
{run}'''
_RUN = """atol = {atol}
made = solve_ivp(f, ({begin!r}, {end!r}), start, {method!r}, rtol={rtol!r}, atol=atol, dense_output=True{more})
assert made.status == 0, made.message
values = made.sol(t)
"""
_PARTS = """atol = {atol}
knots = {knots}  # the right-hand side jumps here: no step crosses one
values, y = np.empty((len(start), len(t))), start
for low, high in zip(knots, knots[1:]):
    def within(s, low=low + 1e-12 * (high - low), high=high - 1e-12 * (high - low)):
        return min(max(s, low), high)
    made = solve_ivp(lambda s, y: f(within(s), y), (low, high), y, {method!r}, rtol={rtol!r}, atol=atol,
                     dense_output=True{more})
    assert made.status == 0, made.message
    here = (t >= low) & (t <= high)
    values[:, here], y = made.sol(t[here]), made.y[:, -1]
"""
_TAIL = """columns = {{{columns}}}
np.savetxt("solution.csv", np.column_stack([t, *columns.values()]), delimiter=",", comments="",
           header=",".join([{variable!r}, *columns]), fmt="%.17g")
for name, column in columns.items():
    print(f"{{name}}({{t[-1]:g}}) = {{column[-1]:.15g}}")
"""


class _Printer(NumPyPrinter):
    """Plain numpy names; fractions as decimal numbers."""

    def _print_Rational(self, expr: sympy.Rational) -> str:
        return repr(float(expr)) if expr.q != 1 else str(expr.p)

    def _print_Integer(self, expr: sympy.Integer) -> str:
        return str(expr.p)

    def _print_Pow(self, expr: sympy.Pow, rational: bool = False) -> str:
        if expr.exp.is_Integer and expr.exp < 0:
            return f"({self._print(expr.base)})**({float(expr.exp)!r})"
        return super()._print_Pow(expr, rational=True)

    def _print_Heaviside(self, expr: sympy.Heaviside) -> str:
        return f"np.heaviside({self._print(expr.args[0])}, 0.5)"

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        cases = [(self._print(value), test) for value, test in expr.args]
        parts = "".join(f"({value}) if ({self._print(test)}) else " for value, test in cases if test is not sympy.true)
        last = next((value for value, test in cases if test is sympy.true), "np.nan")
        return f"({parts}({last}))"

    def _print_Relational(self, expr: sympy.core.relational.Relational) -> str:
        return f"({self._print(expr.lhs)}) {expr.rel_op} ({self._print(expr.rhs)})"

    def _print_erf(self, expr: sympy.erf) -> str:
        return f"erf({self._print(expr.args[0])})"

    def _print_erfc(self, expr: sympy.erfc) -> str:
        return f"(1 - erf({self._print(expr.args[0])}))"

    def _print_reciprocal(self, expr: sympy.Expr) -> str:
        names = {"cot": "tan", "sec": "cos", "csc": "sin", "sech": "cosh"}
        return f"(1/np.{names[expr.func.__name__]}({self._print(expr.args[0])}))"

    _print_cot = _print_sec = _print_csc = _print_sech = _print_reciprocal


def source(expression: sympy.Expr) -> str:
    """An expression as numpy text."""
    text = _Printer({"fully_qualified_modules": False, "allow_unknown_functions": True}).doprint(expression)
    for name in sorted(
        {
            "sin",
            "cos",
            "tan",
            "exp",
            "log",
            "sqrt",
            "sinh",
            "cosh",
            "tanh",
            "arcsin",
            "arccos",
            "arctan",
            "arctan2",
            "arcsinh",
            "arccosh",
            "arctanh",
            "abs",
            "sign",
            "pi",
            "amax",
            "amin",
            "maximum",
            "minimum",
            "select",
            "expm1",
            "log1p",
        }
    ):
        text = re.sub(rf"(?<![\w.]){name}(?=\(|\b)", f"np.{name}", text)
    return text


def ode_script(
    system: FirstOrder, method: str, rtol: float, atol: np.ndarray, count: int, closed: Mapping[str, sympy.Expr]
) -> str:
    """The script of an initial value problem."""
    safe = {symbol: sympy.Symbol(f"y{place}") for place, symbol in enumerate(system.symbols)} | {
        system.time: sympy.Symbol("t")
    }
    rows = [source(e.xreplace(safe)) for e in system.rhs]
    names = [f"y{place}" for place in range(len(rows))]
    states = ", ".join(name + "'" * order for name, order in system.states)
    jacobian, more = "", ""
    if method in ("Radau", "BDF"):
        matrix = sympy.Matrix(system.rhs).jacobian(system.symbols)
        lines = ",\n".join(
            "        [" + ", ".join(source(e.xreplace(safe)) for e in matrix.row(i)) + "]" for i in range(matrix.rows)
        )
        jacobian = (
            f'def jacobian(t, y):\n    """Derivatives of f by the states."""\n    {", ".join(names)}, = '
            f"y\n    return np.array([\n{lines}\n    ])\n\n\n"
        )
        more = ", jac=jacobian"
    begin, end = system.span
    text = _HEAD.format(
        title=_title(system),
        states=states,
        unpack=f"    {', '.join(names)}, = y",
        rows=",\n".join(f"        {row}" for row in rows),
        jacobian=jacobian,
        start=", ".join(repr(float(v)) for v in system.start),
        begin=float(begin),
        end=float(end),
        count=count,
        run=(_PARTS if system.breaks else _RUN).format(
            begin=float(begin),
            end=float(end),
            method=method,
            rtol=float(rtol),
            knots=[float(begin), *system.breaks, float(end)],
            atol="np.array([" + ", ".join(repr(float(a)) for a in atol) + "])",
            more=more.replace("jac=jacobian", "jac=lambda s, y: jacobian(within(s), y)") if system.breaks else more,
        ),
    )
    return _ended(text, system, closed)


_BOUNDARY = '''"""{title}

Written by sozai; needs numpy and scipy only. Run it: it writes solution.csv beside itself.
"""

import numpy as np
from scipy.integrate import solve_bvp


def f(t, y):
    """Right-hand side of the first-order system; states: {states}."""
{unpack}
    return np.array([
{rows}
    ])


def boundary(a, b):
    """What is zero of the states at both ends."""
    both = (a, b, b - a)
    return np.array([
{conditions}
    ])


nodes = np.linspace({begin!r}, {end!r}, {size})
guess = np.array([
{guess}
])
made = solve_bvp(f, boundary, nodes, guess, tol=1e-10, bc_tol=1e-12, max_nodes=20000)
assert made.status == 0 or made.rms_residuals.max() < 1e-7, made.message
t = np.linspace({begin!r}, {end!r}, {count})
values = made.sol(t)
'''


def bvp_script(
    system: FirstOrder,
    rows: Sequence[tuple[int, Mapping[int, float], float]],
    solution: Callable[[np.ndarray], np.ndarray],
    count: int,
    closed: Mapping[str, sympy.Expr],
) -> str:
    """The script of a boundary value problem; its first guess is the solution at 21 places with four digits."""
    safe = {symbol: sympy.Symbol(f"y{place}") for place, symbol in enumerate(system.symbols)} | {
        system.time: sympy.Symbol("t")
    }
    names = [f"y{place}" for place in range(len(system.rhs))]
    begin, end = map(float, system.span)
    nodes = np.linspace(begin, end, 21)
    text = _BOUNDARY.format(
        title=_title(system),
        states=", ".join(name + "'" * order for name, order in system.states),
        unpack=f"    {', '.join(names)}, = y",
        rows=",\n".join(f"        {source(e.xreplace(safe))} + 0*t" for e in system.rhs),
        conditions=",\n".join(
            "        " + " + ".join(f"{f!r}*both[{side}][{place}]" for place, f in factors.items()) + f" - {value!r}"
            for side, factors, value in rows
        ),
        begin=begin,
        end=end,
        size=21,
        count=count,
        guess=",\n".join("    [" + ", ".join(f"{v:.4g}" for v in row) + "]" for row in solution(nodes)),
    )
    return _ended(text, system, closed)


def _title(system: FirstOrder) -> str:
    return " ".join(system.problem.text.split()).replace("\\", "/").replace('"', "'")[:300]


def _ended(text: str, system: FirstOrder, closed: Mapping[str, sympy.Expr]) -> str:
    if "erf(" in text:
        text = text.replace("import numpy as np\n", "import numpy as np\nfrom scipy.special import erf\n")
    for name, form in closed.items():
        text += f"# closed form: {name}({system.time}) = {form}\n"
    columns = ", ".join(f"{name!r}: values[{system.place(name)}]" for name in system.problem.unknowns)
    return text + _TAIL.format(columns=columns, variable=str(system.time))
