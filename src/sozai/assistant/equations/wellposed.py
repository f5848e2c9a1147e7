"""Whether a problem can have one solution: what is missing, contradictory or known to be ill-posed is named."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from sozai.assistant.equations.classify import (
    as_symbols,
    coefficient,
    is_linear,
    numeric,
    numeric_equations,
    orders,
)
from sozai.assistant.equations.expression import NOISE
from sozai.assistant.equations.problem import Condition, Problem
from sozai.errors import UserError
from sozai.knowledge.verdict import Verdict


def check_problem(problem: Problem) -> list[Verdict]:
    """Verdicts on a problem; a hard one that failed means that it is not solved.

    Each message says what is wrong and what to add or change.
    """
    first = [*_numbers(problem), *_counts(problem), *_domain(problem)]
    if any(verdict.fatal for verdict in first):
        return first  # what follows needs numbers and a domain
    checks = [_contradictions, _initial, _faces, _two_point, _directions, _constant, _eigenvalue, _corners]
    return [*first, *(verdict for check in checks for verdict in check(problem))]


def refuse_ill_posed(problem: Problem) -> list[Verdict]:
    """The soft verdicts of a problem.

    Raises:
        UserError: the problem is ill-posed; all reasons are named.
    """
    verdicts = check_problem(problem)
    fatal = [verdict for verdict in verdicts if verdict.fatal]
    if fatal:
        whats, mends = zip(*(verdict.message.split(" -> ") for verdict in fatal), strict=True)
        raise UserError("ill-posed: " + "; ".join(dict.fromkeys(whats)), mend="; ".join(dict.fromkeys(mends)))
    return verdicts


def _bad(rule: str, what: str, mend: str, severity: str = "hard") -> Verdict:
    return Verdict(rule, False, f"{what} -> {mend}", severity=severity)


def _coordinates(problem: Problem) -> list[str]:
    return [str(c) for c in (*problem.space, *([problem.time] if problem.time is not None else []))]


def _numbers(problem: Problem) -> Iterable[Verdict]:
    known = {*problem.parameters, *_coordinates(problem)}
    expressions = [part for e in problem.equations for part in (e.lhs, e.rhs)]
    expressions += [part for c in problem.conditions for part in (c.value, c.coefficient) if part is not None]
    missing = sorted({s.name for e in expressions for s in e.free_symbols} - known)
    if missing:
        names = ", ".join(missing)
        yield _bad("numbers", f"no number is given for {names}", f"add {', '.join(f'{m} = …' for m in missing)}")
    for condition in problem.conditions:
        if condition.value is not None and condition.value.atoms(AppliedUndef) - condition.value.atoms(NOISE):
            yield _bad(
                "conditions",
                f"the condition on {condition.unknown} at {condition.where} has an unknown in it",
                "give it as a value",
            )


def _counts(problem: Problem) -> Iterable[Verdict]:
    more = len(problem.equations) - len(problem.unknowns)
    names = ", ".join(problem.unknowns)
    if more > 0:
        yield _bad(
            "equations",
            f"{len(problem.equations)} equations are given for {len(problem.unknowns)} unknowns ({names})",
            "leave out the equations that follow from others, or name what else is unknown",
        )
    if more < 0:
        yield _bad(
            "equations",
            f"{len(problem.unknowns)} unknowns ({names}) have only {len(problem.equations)} equations",
            f"add {-more} more",
        )
    for condition in problem.conditions:
        if condition.unknown not in problem.unknowns:
            yield _bad(
                "conditions",
                f"a condition is given for {condition.unknown}, which is no unknown",
                f"the unknowns are {names}",
            )


def _domain(problem: Problem) -> Iterable[Verdict]:
    for name in _coordinates(problem):
        low, high = problem.domain.get(name, (math.nan, math.nan))
        if math.isnan(low) or math.isnan(high):
            mend = (
                f"add {name} = 0..1"
                if problem.time is not None and name == str(problem.time)
                else f"add 0 < {name} < 1"
            )
            yield _bad("domain", f"the range of {name} is not given", mend)
        elif not low < high:
            yield _bad("domain", f"the range of {name} from {low:g} to {high:g} is empty", "give the smaller end first")
        elif math.isinf(low) or math.isinf(high):
            yield _bad("domain", f"the range of {name} is not finite", "cut it where nothing happens any more")


def _contradictions(problem: Problem) -> Iterable[Verdict]:
    groups: dict[tuple, list[Condition]] = defaultdict(list)
    for condition in problem.conditions:
        groups[(condition.kind, condition.unknown, condition.where, condition.derivative)].append(condition)
    for (kind, unknown, where, derivative), group in groups.items():
        values = {sympy.simplify(numeric(c.value, problem)) for c in group}
        if kind != "periodic" and len(values) > 1:
            mark = "'" * derivative if where == "t" else ""
            place = (
                f"at {problem.time} = {problem.domain[str(problem.time)][0]:g}"
                if where == "t"
                else f"on the face {where}"
            )
            told = " and ".join(str(value) for value in sorted(values, key=str))
            yield _bad("contradiction", f"{unknown}{mark} is given twice {place}, as {told}", "leave one")


def _initial(problem: Problem) -> Iterable[Verdict]:
    if problem.time is None or problem.kind == "dae" or (problem.kind == "ode" and _algebraic(problem)):
        return
    time = str(problem.time)
    start = f"{problem.domain[time][0]:g}"
    for name, by in orders(problem).items():
        needed = by.get(time, 0)
        given = {c.derivative for c in problem.conditions if c.kind == "initial" and c.unknown == name}
        place = f"{name}(" + ", ".join([*map(str, problem.space), start]) + ")"
        texts = [
            place
            if k == 0
            else place.replace(name, name + "'" * k if problem.kind == "ode" else f"{name}_{'t' * k}", 1)
            for k in range(max([needed, *(g + 1 for g in given)], default=0))
        ]
        missing = [k for k in range(needed) if k not in given]
        if missing:
            yield _bad(
                "initial_values",
                f"{name} is of order {needed} in {time} and has {len(given)} of {needed} initial conditions",
                "add " + ", ".join(f"{texts[k]} = …" for k in missing),
            )
        spare = sorted(k for k in given if k >= needed)
        if spare and needed == 0:
            if name in problem.unknowns and problem.kind == "pde":
                yield _bad(
                    "initial_values",
                    f"{name} has no time derivative, so that it takes no initial value",
                    f"leave {texts[spare[0]]} out",
                )
        elif spare:
            yield _bad(
                "initial_values",
                f"{texts[spare[0]]} is given, and the equation itself already decides it (order {needed} in {time})",
                "leave it out",
            )


def _algebraic(problem: Problem) -> bool:
    """Whether the highest derivatives cannot be had from the equations: differential-algebraic."""
    found = orders(problem)
    time = str(problem.time)
    tops = [
        sympy.Function(n)(problem.time).diff(problem.time, found[n].get(time, 0))
        if found[n].get(time, 0)
        else sympy.Function(n)(problem.time)
        for n in problem.unknowns
    ]
    if any(found[n].get(time, 0) == 0 for n in problem.unknowns):
        return True
    matrix = sympy.Matrix([[coefficient(e, top) for top in tops] for e in numeric_equations(problem)])
    return matrix.is_square and sympy.simplify(matrix.det()) == 0


def _faces(problem: Problem) -> Iterable[Verdict]:
    if problem.kind != "pde":
        return
    found = orders(problem)
    for name in problem.unknowns:
        for axis in map(str, problem.space):
            order = found.get(name, {}).get(axis, 0)
            by_face = {
                side: [c for c in problem.conditions if c.unknown == name and c.where == f"{axis}{side}"]
                for side in "-+"
            }
            periodic = [side for side in "-+" if any(c.kind == "periodic" for c in by_face[side])]
            if len(periodic) == 1:
                yield _bad(
                    "faces", f"{name} is periodic on one face of {axis} only", f"make both faces of {axis} periodic"
                )
                continue
            if periodic:
                if any(c.kind != "periodic" for side in "-+" for c in by_face[side]):
                    yield _bad(
                        "faces", f"{name} is periodic in {axis} and has another condition there too", "leave one"
                    )
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
                    yield _bad(
                        "faces",
                        f"{more} for {name} at {place} is missing",
                        f"add {name} = … or d{name}/dn = … at {place}, or say insulated, or periodic",
                    )
                elif len(distinct) > needed:
                    told = " and ".join(
                        sorted("value" if k == "dirichlet" else "slope" if k == "neumann" else k for k, _ in distinct)
                    )
                    yield _bad(
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
            yield _bad(
                "faces",
                f"a value of {name} is missing where the flow comes in, at {axis} = {where[inside]:g}",
                f"add {name} = … at {axis} = {where[inside]:g}",
            )
        if by_face[outside]:
            yield _bad(
                "faces",
                f"{name} has a condition where the flow goes out, at {axis} = {where[outside]:g}",
                "leave it out: the equation decides it",
            )
    elif not any(by_face.values()):
        yield _bad(
            "faces",
            f"no condition is given for {name} in {axis}",
            f"add {name} = … where the flow comes in, or say periodic",
        )


def _two_point(problem: Problem) -> Iterable[Verdict]:
    """A boundary value problem of ordinary equations takes as many conditions as its order."""
    if problem.kind != "ode" or problem.time is not None:
        return
    axis = str(problem.space[0])
    needed = sum(by.get(axis, 0) for by in orders(problem).values())
    given = {(c.kind, c.unknown, c.where, c.derivative) for c in problem.conditions}
    count = len(given) // 2 if all(kind == "periodic" for kind, *_ in given) else len(given)
    if any(kind == "periodic" for kind, *_ in given) and needed == 2 * count:
        return  # value and slope agree
    if count != needed:
        mend = f"add {needed - count} more" if count < needed else f"leave {count - needed} out"
        yield _bad(
            "conditions", f"equations of order {needed} in all take {needed} conditions, and {count} are given", mend
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


def exact_place(problem: Problem, axis: str, part: float) -> float:
    """The coordinate a part of the way along an axis."""
    low, high = problem.domain[axis]
    return low + part * (high - low)


def _directions(problem: Problem) -> Iterable[Verdict]:
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
            values = [complex(sympy.N(ratio.subs(point))) for point in _samples(problem)]
            wrong = [v.real for v in values if abs(v.imag) < 1e-12 and v.real * (-1) ** (order // 2 + 1) < 0]
            if wrong and in_time == 1:
                label = (
                    "backward heat equation: the diffusivity"
                    if order == 2
                    else f"the factor of the derivative of order {order}"
                )
                sign = "positive" if (-1) ** (order // 2 + 1) > 0 else "negative"
                yield _bad(
                    "direction",
                    f"{label} of {name} along {axis} is {wrong[0]:g}, so that small waves grow without bound",
                    f"make it {sign}, or solve it backwards in time",
                )
            elif wrong:
                yield _bad(
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
    for point in _samples(problem):
        values = [complex(sympy.N(f.subs(point))).real for f in factors]
        if min(values) < 0 < max(values):
            yield _bad(
                "direction",
                "the equation is hyperbolic, and values all around the domain do not determine its solution",
                "take one coordinate as time with initial values, or mend the sign",
            )
            return


def _linear_operator(problem: Problem) -> tuple[list[sympy.Expr], sympy.Expr, sympy.Expr] | None:
    """Of a steady linear equation of second order with constant factors: those of the second derivatives, of the
    unknown itself, and the source (what is left)."""
    if problem.time is not None or len(problem.unknowns) != 1:
        return None
    expression = sympy.expand(numeric_equations(problem)[0])
    if not is_linear([expression]):
        return None
    function = sympy.Function(problem.unknowns[0])(*problem.space)
    seconds = [coefficient(expression, function.diff(axis, 2)) for axis in problem.space]
    zeroth = coefficient(expression, function)
    allowed = {function, *(function.diff(axis, 2) for axis in problem.space)}
    plain, table = as_symbols(expression)
    used = {atom for atom, symbol in table.items() if symbol in plain.free_symbols}
    if not used <= allowed or not all(f.is_number and f.is_real for f in [*seconds, zeroth]) or 0 in seconds:
        return None
    return seconds, zeroth, plain.xreplace({symbol: sympy.Integer(0) for symbol in table.values()})


def _kinds(problem: Problem) -> dict[str, Condition]:
    return {c.where: c for c in problem.conditions if c.kind != "initial"}


def _constant(problem: Problem) -> Iterable[Verdict]:
    """Slopes alone leave a constant open, and have a solution only where sources and fluxes balance."""
    kinds = _kinds(problem)
    if problem.time is not None or len(problem.unknowns) != 1 or not kinds:
        if (
            problem.time is None
            and {c.unknown for c in problem.conditions}
            and problem.name == "linear-elasticity"
            and not any(c.kind in ("dirichlet", "robin") for c in problem.conditions)
        ):
            yield _bad("constant", "no displacement is fixed anywhere, so that the body can move freely", "fix a face")
        return
    if any(c.kind in ("dirichlet", "robin") for c in kinds.values()):
        return
    found = _linear_operator(problem)
    if found is None or found[1] != 0:
        return
    seconds, _, source = found
    total = _integral(source, problem, list(map(str, problem.space)))
    size = abs(total)
    for where, condition in kinds.items():
        if condition.kind == "neumann":
            others = [str(a) for a in problem.space if str(a) != where[:-1]]
            factor = float(seconds[[str(a) for a in problem.space].index(where[:-1])])
            flux = factor * _integral(numeric(condition.value, problem), problem, others)
            total, size = total + flux, size + abs(flux)
    if abs(total) > 1e-9 * max(size, 1e-30) and size > 0:
        yield _bad(
            "balance",
            f"only slopes are given and they do not balance the source (what is left over is {total:g}): there "
            f"is no solution",
            "mend the slopes or the source, or give a value on one face",
        )
    else:
        yield _bad(
            "constant",
            f"only slopes are given, so that {problem.unknowns[0]} is determined up to a constant",
            "give its value on one face",
        )


def _integral(expression: sympy.Expr, problem: Problem, axes: Sequence[str]) -> float:
    """Over the box, by Gauss points."""
    if not axes:
        return float(expression)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    grids, factor = [], np.ones(())
    for axis in axes:
        low, high = problem.domain[axis]
        grids.append((low + high) / 2 + nodes * (high - low) / 2)
        factor = np.multiply.outer(factor, weights * (high - low) / 2)
    function = sympy.lambdify([sympy.Symbol(a) for a in axes], expression, "numpy")
    values = np.broadcast_to(function(*np.meshgrid(*grids, indexing="ij")), factor.shape)
    return float((values * factor).sum())


def _eigenvalue(problem: Problem) -> Iterable[Verdict]:
    """u'' + k^2 u = f with k^2 an eigenvalue has no solution, or many."""
    found = _linear_operator(problem)
    kinds = _kinds(problem)
    faces = [f"{axis}{side}" for axis in problem.space for side in "-+"]
    if (
        found is None
        or found[1] == 0
        or any(f not in kinds or kinds[f].kind == "robin" or kinds[f].derivative > 1 for f in faces)
    ):
        return
    seconds, zeroth, _ = found
    per_axis = []
    for axis, factor in zip(problem.space, seconds, strict=True):
        low, high = problem.domain[str(axis)]
        ends = {
            (
                "d"
                if kinds[f"{axis}{s}"].kind == "dirichlet" and kinds[f"{axis}{s}"].derivative == 0
                else "p"
                if kinds[f"{axis}{s}"].kind == "periodic"
                else "n"
            )
            for s in "-+"
        }
        length = high - low
        numbers = np.arange(0, 60)
        roots = {
            frozenset("d"): np.pi * (numbers + 1),
            frozenset("n"): np.pi * numbers,
            frozenset("p"): 2 * np.pi * numbers,
        }.get(frozenset(ends), np.pi * (numbers + 0.5))
        per_axis.append(float(factor) * (roots / length) ** 2)
    sums = per_axis[0]
    for other in per_axis[1:]:
        sums = np.add.outer(sums, other).ravel()
    near = sums[np.argmin(abs(sums - float(zeroth)))]
    if abs(near - float(zeroth)) <= 1e-6 * abs(float(zeroth)):
        yield _bad(
            "eigenvalue",
            f"the factor of {problem.unknowns[0]} ({float(zeroth):.8g}) is an eigenvalue of the domain: a "
            f"standing wave can be added at will, so that there is no solution or more than one",
            "change the wave number or the size of the domain, or add damping",
        )


def _corners(problem: Problem) -> Iterable[Verdict]:
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
                yield _bad("corner", f"{what}: the jump would run through the whole solution", "make both agree")
            else:
                yield _bad(
                    "corner",
                    f"{what}: the solution jumps at the start and is less accurate near there",
                    "make both agree where that matters",
                    "soft",
                )
