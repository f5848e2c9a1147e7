"""Manufactured solutions: a smooth function put into the person's own equations, so that the error is known exactly.

The function is put in by sympy, and what is left over becomes a source; boundary and initial values follow from it
(Roache 2002, doi:10.1115/1.1436090). The source comes from the equations as they were written, not from the weak form,
so a wrong coefficient or sign in the weak form shows as an order near zero. What is measured on it: ``orders``.

In space, the function is linear in time, which both time schemes follow exactly; in time, it is a parabola in
space, which the elements represent exactly: each order is measured alone, on few cells or few steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sympy

from sozai.assistant.equations.pde.discrete import compiled
from sozai.assistant.equations.pde.form import Form, stress_sign
from sozai.assistant.equations.pde.forms import weak_form
from sozai.assistant.equations.pde.reduction import ends_of
from sozai.assistant.equations.problem import Condition, Problem


def manufacture(problem: Problem, form: Form, kind: str, seed: int = 0) -> tuple[Form, list[sympy.Expr]]:
    """The problem whose solution is known.

    Args:
        problem: the person's.
        form: its weak form.
        kind: ``"space"``: linear in time; ``"time"``: a parabola in space where the conditions allow.
        seed: of the phases of the function.

    Returns:
        Its weak form, and the solution by unknown.
    """
    if form.span is not None:  # may be a part of the person's time
        form = replace(form, span=ends_of(problem, str(problem.time)))
    exact = _functions(form, _ranges(form), kind, np.random.default_rng(seed))
    numbers = {
        symbol: sympy.Rational(str(problem.parameters[symbol.name]))
        for equation in problem.equations
        for symbol in equation.free_symbols
        if symbol.name in problem.parameters
    }

    def on_exact(expression: sympy.Expr) -> sympy.Expr:
        """An expression of the problem with the function in place of the unknowns."""
        made = sympy.sympify(expression).subs(
            {
                s: sympy.Rational(str(problem.parameters[s.name]))
                for s in sympy.sympify(expression).free_symbols
                if s.name in problem.parameters
            }
        )
        for call in sorted(made.atoms(sympy.core.function.AppliedUndef), key=str):
            name = call.func.__name__
            if name in problem.unknowns:
                made = made.subs(call, exact[problem.unknowns.index(name)])
        return made.doit()

    sources = [on_exact((equation.lhs - equation.rhs).xreplace(numbers)) for equation in problem.equations]
    conditions = [_condition(c, problem, form, exact, on_exact) for c in _by_face(problem)]
    return weak_form(replace(problem, conditions=tuple(conditions)), sources), exact


def _by_face(problem: Problem) -> list[Condition]:
    """Conditions with those on the whole boundary written face by face."""
    made = []
    for condition in problem.conditions:
        if condition.where == "boundary" and condition.kind != "initial":
            made += [replace(condition, where=f"{axis}{side}") for axis in problem.space for side in "-+"]
        else:
            made.append(condition)
    return made


def _condition(condition: Condition, problem: Problem, form: Form, exact, on_exact) -> Condition:
    if condition.kind == "periodic":
        return condition
    number = problem.unknowns.index(condition.unknown)
    function = exact[number]
    if condition.kind == "initial":
        return replace(
            condition,
            value=sympy.diff(function, problem.time, condition.derivative) if condition.derivative else function,
        )
    axis = [str(s) for s in form.space].index(condition.where[:-1])
    side = 1 if condition.where[-1] == "+" else -1
    end = {form.space[axis]: sympy.Rational(str(form.box[axis][side > 0]))}
    if condition.derivative >= 2:  # of an equation of fourth order
        bent = sympy.diff(function, form.space[axis], condition.derivative) * side**condition.derivative
        return replace(condition, value=bent.subs(end))
    if condition.kind == "dirichlet":
        return replace(condition, value=function.subs(end))
    if form.traction and number < len(form.space):
        row = form.names.index(f"{condition.unknown}_velocity") if form.second_order else number
        swaps: dict = dict(zip(form.values, exact, strict=False))
        for j, each in enumerate(exact):
            swaps.update({form.slopes[j][k]: sympy.diff(each, s) for k, s in enumerate(form.space)})
        slope = stress_sign(form, row, number, axis) * side * form.flux[row][axis].xreplace(swaps)
    else:
        slope = side * sympy.diff(function, form.space[axis])
    if condition.kind == "robin":
        share = condition.coefficient if condition.coefficient is not None else sympy.S.One
        slope = slope + on_exact(share) * function
    return replace(condition, value=slope.subs(end))


def _ranges(form: Form) -> list[tuple[float, float]]:
    """Middle and half-width of each unknown, from what is prescribed: so that coefficients keep their meaning."""
    found = []
    begin = (form.span or (0.0, 0.0))[0]
    grids = np.meshgrid(*[np.linspace(low, high, 9) for low, high in form.box], indexing="ij")
    for j in range(form.shown):
        seen: list[float] = []
        for value in [form.start[j], *form.fixed[j].values()]:
            if value is not None:
                numbers = np.asarray(compiled([value], [*form.space, form.time])(*grids, begin)[0])
                seen += [float(part) for part in np.ravel(numbers.real) if np.isfinite(part)]
        low, high = (min(seen), max(seen)) if seen else (0.0, 0.0)
        middle = (low + high) / 2
        half = (high - low) / 2 or (abs(middle) / 2 if middle else 1.0)
        found.append((middle, half))
    return found


def _functions(
    form: Form, ranges: list[tuple[float, float]], kind: str, random: np.random.Generator
) -> list[sympy.Expr]:
    made = []
    fourth = form.fourth_order
    for j, (middle, half) in enumerate(ranges):
        shape = sympy.S.One
        for axis, (low, high) in enumerate(form.box):
            along = (form.space[axis] - sympy.Rational(str(low))) / sympy.Rational(str(high - low))
            phase = sympy.Rational(int(random.integers(2, 9)), 10)
            pace = sympy.Rational(int(random.integers(12, 24)), 10)
            if form.periodic[axis]:
                shape *= 1 + sympy.sin(2 * sympy.pi * along + phase) / 2
            elif fourth:
                shape *= 1 + sympy.cos(sympy.pi * along) / 2  # its normal derivatives vanish, as the natural conditions
            elif kind == "time":
                shape *= 1 + pace * along / 4 - (0 if j in form.lower else along**2 * phase)
            else:
                shape *= sympy.sin(pace * along + phase)
        factor = sympy.Rational(str(round(0.4 * half, 12) or 0.4 * half))
        if form.span is not None:
            gone = (form.time - sympy.Rational(str(form.span[0]))) / sympy.Rational(str(form.span[1] - form.span[0]))
            shape *= 1 + gone / 2 if kind == "space" else sympy.cos(2 * gone) / 2 + sympy.exp(-gone) / 2
        if form.complex:
            shape *= 1 + sympy.I / 3
        made.append(sympy.Rational(str(middle)) + factor * shape)
    return made
