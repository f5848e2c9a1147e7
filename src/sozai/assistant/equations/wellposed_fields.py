"""Well-posedness of partial equations: the faces, the directions of diffusion and waves, the corners."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import sympy

from sozai.assistant.equations.classify import (
    coefficient,
    numeric,
    numeric_equations,
    orders,
)
from sozai.assistant.equations.faults import bad
from sozai.assistant.equations.problem import Condition, Problem
from sozai.assistant.equations.scope import NOISE
from sozai.knowledge.verdict import Verdict


def check_faces(problem: Problem) -> Iterable[Verdict]:
    """As many conditions on each face as the order takes."""
    if problem.kind != "pde":
        return
    found = orders(problem)
    for name in problem.unknowns:
        second = all(found.get(name, {}).get(str(axis), 0) >= 2 for axis in problem.space)
        if (
            second
            and len(problem.space) > 1
            and not any(c.unknown == name and c.kind != "initial" for c in problem.conditions)
        ):
            yield bad(
                "faces",
                f"no condition is given for {name} on the boundary",
                f"say no flux, or periodic, or {name} = … on the boundary, or give one for each face",
            )
            continue
        for axis in map(str, problem.space):
            order = found.get(name, {}).get(axis, 0)
            by_face = {
                side: [c for c in problem.conditions if c.unknown == name and c.where == f"{axis}{side}"]
                for side in "-+"
            }
            periodic = [side for side in "-+" if any(c.kind == "periodic" for c in by_face[side])]
            if len(periodic) == 1:
                yield bad(
                    "faces", f"{name} is periodic on one face of {axis} only", f"make both faces of {axis} periodic"
                )
                continue
            if periodic:
                if any(c.kind != "periodic" for side in "-+" for c in by_face[side]):
                    yield bad("faces", f"{name} is periodic in {axis} and has another condition there too", "leave one")
                continue
            if order == 1 and (len(problem.unknowns) > 1 or problem.time is None):
                continue  # such as the pressure of a flow
            if order == 1:
                yield from _inflow(problem, name, axis, by_face)
                continue
            for side in "-+":
                distinct = {(c.kind, c.derivative) for c in by_face[side]}
                needed = order // 2
                low, high = problem.domain[axis]
                place = f"{axis} = {low if side == '-' else high:g}"
                if len(distinct) < needed:
                    more = "a condition" if needed == 1 else f"{needed - len(distinct)} of {needed} conditions"
                    yield bad(
                        "faces",
                        f"{more} for {name} at {place} is missing",
                        f"add {name} = … or d{name}/dn = … at {place}, or say insulated, or periodic",
                    )
                elif len(distinct) > needed:
                    told = " and ".join(
                        sorted("value" if k == "dirichlet" else "slope" if k == "neumann" else k for k, _ in distinct)
                    )
                    yield bad(
                        "faces",
                        f"{name} has {len(distinct)} conditions at {place} ({told}) where an equation of order "
                        f"{order} takes {needed}",
                        "leave one out: both together have no solution, or an unstable one",
                    )


def _inflow(problem: Problem, name: str, axis: str, by_face: dict[str, list[Condition]]) -> Iterable[Verdict]:
    """An equation of first order takes its value where the flow comes in, and nowhere else."""
    expression = numeric_equations(problem)[0]
    function = sympy.Function(name)(*problem.space, problem.time)
    along = coefficient(expression, function.diff(sympy.Symbol(axis)))
    ratio = sympy.simplify(along / coefficient(expression, function.diff(problem.time)))
    if ratio.is_number and ratio.is_real:
        inside, outside = ("-", "+") if ratio > 0 else ("+", "-")
        low, high = problem.domain[axis]
        where = {"-": low, "+": high}
        if not by_face[inside]:
            yield bad(
                "faces",
                f"a value of {name} is missing where the flow comes in, at {axis} = {where[inside]:g}",
                f"add {name} = … at {axis} = {where[inside]:g}",
            )
        if by_face[outside]:
            yield bad(
                "faces",
                f"{name} has a condition where the flow goes out, at {axis} = {where[outside]:g}",
                "leave it out: the equation decides it",
            )
    elif not any(by_face.values()):
        yield bad(
            "faces",
            f"no condition is given for {name} in {axis}",
            f"add {name} = … where the flow comes in, or say periodic",
        )


def _samples(problem: Problem) -> list[dict[sympy.Expr, float]]:
    """Values of the unknowns and coordinates that the start allows, to try signs at."""
    points = []
    axes = [str(axis) for axis in problem.space]
    for where in product((0.13, 0.37, 0.61, 0.89), repeat=len(axes)):
        at = {sympy.Symbol(a): exact_place(problem, a, w) for a, w in zip(axes, where, strict=True)}
        point: dict[sympy.Expr, float] = dict(at)
        if problem.time is not None:
            point[problem.time] = problem.domain[str(problem.time)][0]
        for name in problem.unknowns:
            initial = next(
                (c for c in problem.conditions if c.unknown == name and c.kind == "initial" and c.derivative == 0), None
            )
            value = (
                numeric(initial.value if initial else sympy.Integer(1), problem)
                .replace(NOISE, lambda a: a / 2)
                .subs(point)
            )
            function = sympy.Function(name)(*problem.space, *([problem.time] if problem.time is not None else []))
            point[function] = float(value) if value.is_number and value.is_real else 1.0
        points.append(point)
    return points


def _numbers_of(factor: sympy.Expr, problem: Problem) -> list[complex]:
    """A factor at the samples; none where it has no value there, as one that depends on derivatives has not."""
    if factor.has(sympy.Derivative):
        return []
    found = [sympy.N(factor.subs(point)) for point in _samples(problem)]
    return [complex(value) for value in found if value.is_number and value.is_finite]


def exact_place(problem: Problem, axis: str, part: float) -> float:
    """The coordinate a part of the way along an axis."""
    low, high = problem.domain[axis]
    return low + part * (high - low)


def check_directions(problem: Problem) -> Iterable[Verdict]:
    """Backward diffusion, waves of the wrong sign, boundary values around a hyperbolic equation."""
    if problem.kind != "pde":
        return
    expressions = numeric_equations(problem)
    arguments = (*problem.space, *([problem.time] if problem.time is not None else []))
    found = orders(problem)
    if problem.time is None:
        yield from _steady_type(problem, expressions)
        return
    for name in problem.unknowns:
        function = sympy.Function(name)(*arguments)
        in_time = found[name].get(str(problem.time), 0)
        expression = next((e for e in expressions if in_time and e.has(function.diff(problem.time, in_time))), None)
        if expression is None or in_time > 2:
            continue
        lead = coefficient(expression, function.diff(problem.time, in_time))
        for axis in problem.space:
            order = found[name].get(str(axis), 0)
            if order % 2 or not order:
                continue
            ratio = -coefficient(expression, function.diff(axis, order)) / lead
            values = _numbers_of(ratio, problem)
            wrong = [v.real for v in values if abs(v.imag) < 1e-12 and v.real * (-1) ** (order // 2 + 1) < 0]
            if wrong and in_time == 1:
                label = (
                    "backward heat equation: the diffusivity"
                    if order == 2
                    else f"the factor of the derivative of order {order}"
                )
                sign = "positive" if (-1) ** (order // 2 + 1) > 0 else "negative"
                yield bad(
                    "direction",
                    f"{label} of {name} along {axis} is {wrong[0]:g}, so that small waves grow without bound",
                    f"make it {sign}, or solve it backwards in time",
                )
            elif wrong:
                yield bad(
                    "direction",
                    f"the equation is elliptic in {axis} and time (factor {wrong[0]:g}), so that an initial "
                    f"value problem is unstable",
                    "mend the sign: u_tt = +c^2 u_xx is a wave",
                )


def _steady_type(problem: Problem, expressions: list[sympy.Expr]) -> Iterable[Verdict]:
    if len(problem.unknowns) != 1 or len(problem.space) < 2:
        return
    function = sympy.Function(problem.unknowns[0])(*problem.space)
    factors = [coefficient(expressions[0], function.diff(axis, 2)) for axis in problem.space]
    for seen in zip(*(_numbers_of(factor, problem) for factor in factors), strict=False):
        values = [value.real for value in seen]
        if min(values) < 0 < max(values):
            yield bad(
                "direction",
                "the equation is hyperbolic, and values all around the domain do not determine its solution",
                "take one coordinate as time with initial values, or mend the sign",
            )
            return


def check_corners(problem: Problem) -> Iterable[Verdict]:
    """Initial values against those on the faces, where both hold."""
    if problem.kind != "pde" or problem.time is None:
        return
    start = problem.domain[str(problem.time)][0]
    second = max(by.get(str(problem.time), 0) for by in orders(problem).values()) == 2
    for condition in problem.conditions:
        initial = next(
            (
                c
                for c in problem.conditions
                if c.kind == "initial" and c.unknown == condition.unknown and c.derivative == 0
            ),
            None,
        )
        if condition.kind != "dirichlet" or condition.derivative or initial is None:
            continue
        axis, side = condition.where[:-1], condition.where[-1]
        value = problem.domain[axis]["-+".index(side)]
        if numeric(initial.value, problem).has(NOISE):
            continue
        gap = (
            numeric(initial.value, problem).subs(sympy.Symbol(axis), value) - numeric(condition.value, problem)
        ).subs(problem.time, start)
        worst = max(
            (
                abs(complex(sympy.N(gap.subs({k: v for k, v in p.items() if isinstance(k, sympy.Symbol)}))))
                for p in _samples(problem)
            ),
            default=0.0,
        )
        if worst > 1e-9:
            what = (
                f"at {axis} = {value:g} the initial value of {condition.unknown} differs from the boundary "
                f"value by {worst:.3g}"
            )
            if second:
                yield bad("corner", f"{what}: the jump would run through the whole solution", "make both agree")
            else:
                yield bad(
                    "corner",
                    f"{what}: the solution jumps at the start and is less accurate near there",
                    "make both agree where that matters",
                    "soft",
                )
