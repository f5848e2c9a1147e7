"""Whether a problem can have one solution: what is missing, contradictory or known to be ill-posed is named."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import sympy
from sympy.core.function import AppliedUndef

from sozai.assistant.equations.classify import (
    coefficient,
    numeric,
    numeric_equations,
    orders,
)
from sozai.assistant.equations.faults import bad, coordinates_of
from sozai.assistant.equations.problem import Condition, Problem
from sozai.assistant.equations.scope import NOISE
from sozai.assistant.equations.solvable import check_constant, check_eigenvalue
from sozai.assistant.equations.units import with_unit
from sozai.assistant.equations.wellposed_fields import check_corners, check_directions, check_faces
from sozai.errors import UserError
from sozai.knowledge.verdict import Verdict


def check_problem(problem: Problem) -> list[Verdict]:
    """Verdicts on a problem; a hard one that failed means that it is not solved.

    Each message says what is wrong and what to add or change.
    """
    problem = replace(problem, conditions=tuple(_on_faces(problem)))
    first = [*_numbers(problem), *_counts(problem), *_domain(problem)]
    if any(verdict.fatal for verdict in first):
        return first  # what follows needs numbers and a domain
    checks = [
        _contradictions,
        _initial,
        check_faces,
        _two_point,
        check_directions,
        check_constant,
        check_eigenvalue,
        check_corners,
    ]
    return [*first, *(verdict for check in checks for verdict in check(problem))]


def _on_faces(problem: Problem) -> Iterable[Condition]:
    """The conditions, those on the whole boundary said face by face."""
    for condition in problem.conditions:
        if condition.where == "boundary":
            yield from (replace(condition, where=f"{axis}{side}") for axis in problem.space for side in "-+")
        else:
            yield condition


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


def _numbers(problem: Problem) -> Iterable[Verdict]:
    known = {*problem.parameters, *coordinates_of(problem)}
    expressions = [part for e in problem.equations for part in (e.lhs, e.rhs)]
    expressions += [part for c in problem.conditions for part in (c.value, c.coefficient) if part is not None]
    missing = sorted({s.name for e in expressions for s in e.free_symbols} - known)
    if missing:
        names = ", ".join(missing)
        mend = f"add {', '.join(f'{m} = …' for m in missing)}"
        units = [m for m in missing if re.search(rf"\d\s*{re.escape(m)}(?!\w)", problem.text) and with_unit(f"1 {m}")]
        if units:
            mend += f"; if {units[0]} is meant as a unit, name the number: a = 20 {units[0]}"
        yield bad("numbers", f"no number is given for {names}", mend)
    for condition in problem.conditions:
        if condition.value is not None and condition.value.atoms(AppliedUndef) - condition.value.atoms(NOISE):
            yield bad(
                "conditions",
                f"the condition on {condition.unknown} at {condition.where} has an unknown in it",
                "give it as a value",
            )


def _counts(problem: Problem) -> Iterable[Verdict]:
    more = len(problem.equations) - len(problem.unknowns)
    names = ", ".join(problem.unknowns)
    if more > 0:
        yield bad(
            "equations",
            f"{len(problem.equations)} equations are given for {len(problem.unknowns)} unknowns ({names})",
            "leave out the equations that follow from others, or name what else is unknown",
        )
    if more < 0:
        yield bad(
            "equations",
            f"{len(problem.unknowns)} unknowns ({names}) have only {len(problem.equations)} equations",
            f"add {-more} more",
        )
    for condition in problem.conditions:
        if condition.unknown not in problem.unknowns:
            yield bad(
                "conditions",
                f"a condition is given for {condition.unknown}, which is no unknown",
                f"the unknowns are {names}",
            )


def _domain(problem: Problem) -> Iterable[Verdict]:
    for name in coordinates_of(problem):
        low, high = problem.domain.get(name, (math.nan, math.nan))
        if math.isnan(low) or math.isnan(high):
            mend = (
                f"add {name} = 0..1"
                if problem.time is not None and name == str(problem.time)
                else f"add 0 < {name} < 1"
            )
            yield bad("domain", f"the range of {name} is not given", mend)
        elif not low < high:
            yield bad("domain", f"the range of {name} from {low:g} to {high:g} is empty", "give the smaller end first")
        elif math.isinf(low) or math.isinf(high):
            yield bad("domain", f"the range of {name} is not finite", "cut it where nothing happens any more")


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
            yield bad("contradiction", f"{unknown}{mark} is given twice {place}, as {told}", "leave one")


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
            yield bad(
                "initial_values",
                f"{name} is of order {needed} in {time} and has {len(given)} of {needed} initial conditions",
                "add " + ", ".join(f"{texts[k]} = …" for k in missing),
            )
        spare = sorted(k for k in given if k >= needed)
        if spare and needed == 0:
            if name in problem.unknowns and problem.kind == "pde":
                yield bad(
                    "initial_values",
                    f"{name} has no time derivative, so that it takes no initial value",
                    f"leave {texts[spare[0]]} out",
                )
        elif spare:
            yield bad(
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
        yield bad(
            "conditions", f"equations of order {needed} in all take {needed} conditions, and {count} are given", mend
        )
