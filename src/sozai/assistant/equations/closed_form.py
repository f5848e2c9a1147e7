"""A closed form by sympy, in a process of its own with a time limit, believed only once put into the equation."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from sozai.assistant.equations.classify import is_linear, numeric, numeric_equations
from sozai.assistant.equations.problem import Problem

_LONGEST = 1500
"""Operations of a closed form that is still of use to a person."""


def closed_form(problem: Problem, seconds: float) -> dict[str, sympy.Expr]:
    """A closed form by unknown, or nothing where sympy finds none in the time.

    It fulfils nothing by itself: see ``check_closed_form``.
    """
    if problem.kind != "ode" or seconds <= 1:
        return {}
    if len(problem.unknowns) > 1 and not is_linear(numeric_equations(problem)):
        return {}  # of such systems sympy solves next to none, after a long search
    variable = problem.time if problem.time is not None else problem.space[0]
    start = problem.domain[str(variable)]
    conditions: dict[sympy.Expr, sympy.Expr] = {}
    for condition in problem.conditions:
        function = sympy.Function(condition.unknown)
        if condition.kind not in ("initial", "dirichlet", "neumann"):
            return {}
        at = start[1] if condition.where.endswith("+") else start[0]
        order = condition.derivative or (1 if condition.kind == "neumann" else 0)
        place = (
            sympy.nsimplify(repr(at), rational=True)
            if not np.isclose(at / np.pi, round(4 * at / np.pi) / 4) or at == 0
            else sympy.pi * sympy.Rational(round(4 * at / np.pi), 4)
        )
        left = function(variable).diff(variable, order).subs(variable, place) if order else function(place)
        sign = -1 if condition.where.endswith("-") and order % 2 else 1
        conditions[left] = sign * sympy.nsimplify(numeric(condition.value, problem), rational=True)
    job = {
        "equations": numeric_equations(problem),
        "unknowns": problem.unknowns,
        "variable": variable,
        "conditions": conditions,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=pickle.dumps(job), capture_output=True, timeout=seconds, check=False
        )
        answer: Any = pickle.loads(done.stdout) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, pickle.UnpicklingError, EOFError, OSError):
        return {}
    return {k: v for k, v in answer.items() if sympy.count_ops(v) <= _LONGEST}


def evaluate(forms: Mapping[str, sympy.Expr], variable: sympy.Symbol, ts: np.ndarray) -> dict[str, np.ndarray] | None:
    """The closed forms at times, with 30 digits inside; nothing where one has no real value."""
    values = {}
    for name, form in forms.items():
        function = sympy.lambdify(variable, form, "mpmath")
        import mpmath

        column = []
        with mpmath.workdps(30):
            for t in ts:
                try:
                    value = mpmath.mpmathify(function(mpmath.mpf(float(t))))
                except (ArithmeticError, ValueError, TypeError):
                    return None
                if abs(mpmath.im(value)) > 1e-12 * max(1, abs(value)):
                    return None
                column.append(float(mpmath.re(value)))
        values[name] = np.array(column)
    return values


def check_closed_form(problem: Problem, forms: Mapping[str, sympy.Expr]) -> float:
    """Largest part of the terms that is left when the forms are put into the equations, at 25 places with 30 digits.

    Infinite where they do not fulfil the conditions, or have no value.
    """
    import mpmath

    variable = problem.time if problem.time is not None else problem.space[0]
    low, high = problem.domain[str(variable)]
    puts = {sympy.Function(name)(variable): form for name, form in forms.items()}
    worst = 0.0
    try:
        for expression in numeric_equations(problem):
            parts = [
                sympy.lambdify(variable, part.subs(puts).doit(), "mpmath")
                for part in sympy.Add.make_args(sympy.expand(expression))
            ]
            with mpmath.workdps(30):
                for share in np.linspace(0.013, 0.987, 25):
                    values = [mpmath.mpmathify(part(mpmath.mpf(low + share * (high - low)))) for part in parts]
                    size = sum(abs(v) for v in values)
                    if size > 1e-25:
                        worst = max(worst, float(abs(sum(values)) / size))
        for condition in problem.conditions:
            at = high if condition.where.endswith("+") else low
            order = condition.derivative or (1 if condition.kind == "neumann" else 0)
            sign = -1 if condition.where.endswith("-") and order % 2 else 1
            form = forms[condition.unknown]
            form = form.diff(variable, order) if order else form
            value = complex(sympy.N(form.subs(variable, sympy.Rational(repr(at))), 20)) * sign
            wanted = float(sympy.N(numeric(condition.value, problem)))
            worst = max(worst, abs(value - wanted) / max(1.0, abs(wanted)))
    except (ArithmeticError, ValueError, TypeError, NotImplementedError, KeyError):
        return float("inf")
    return worst


def _solve(job: Mapping[str, Any]) -> dict[str, sympy.Expr]:
    """In the process of its own: sympy's ``dsolve`` with the conditions; the first solution that meets them."""
    variable = job["variable"]
    job, letters = _lettered(job)
    functions = [sympy.Function(name)(variable) for name in job["unknowns"]]
    equations = [sympy.Eq(e, 0) for e in job["equations"]]
    found = sympy.dsolve(
        equations if len(equations) > 1 else equations[0],
        functions if len(functions) > 1 else functions[0],
        ics=job["conditions"],
    )
    listed = found if isinstance(found, list) else [found]
    groups = [listed] if len(functions) > 1 else [[one] for one in listed]
    for group in groups:
        if isinstance(group[0], list):
            group = group[0]
        forms = {one.lhs.func.__name__: one.rhs for one in group if isinstance(one.lhs, AppliedUndef)}
        if len(forms) != len(functions) or any(
            f.atoms(sympy.Integral, AppliedUndef) or f.free_symbols - {variable, *letters} for f in forms.values()
        ):
            continue
        simple = {name: min((form, sympy.simplify(form)), key=sympy.count_ops) for name, form in forms.items()}
        return {name: form.xreplace(letters) for name, form in simple.items()}
    return {}


def _lettered(job: Mapping[str, Any]) -> tuple[dict[str, Any], dict[sympy.Symbol, sympy.Expr]]:
    """The job with positive letters for fractions of many digits, with which sympy would take minutes."""
    long = sorted(
        {
            abs(r)
            for e in [*job["equations"], *job["conditions"].values()]
            for r in e.atoms(sympy.Rational)
            if r.q > 50 or abs(r.p) > 5000
        },
        key=float,
    )
    puts = {value: sympy.Symbol(f"c_{place}", positive=True) for place, value in enumerate(long)}

    def put(e: sympy.Expr) -> sympy.Expr:
        return sympy.sympify(e).xreplace(puts | {-value: -letter for value, letter in puts.items()})

    made = {
        **job,
        "equations": [put(e) for e in job["equations"]],
        "conditions": {k: put(v) for k, v in job["conditions"].items()},
    }
    return made, {letter: value for value, letter in puts.items()}


if __name__ == "__main__":
    try:
        answer_ = _solve(pickle.load(sys.stdin.buffer))
    except Exception:  # whatever sympy meets, it has found no closed form
        answer_ = {}
    sys.stdout.buffer.write(pickle.dumps(answer_))
