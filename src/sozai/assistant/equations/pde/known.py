"""Closed forms and series of problems that have one, and how far the numbers are from them.

A closed form is only a candidate (a sum of eigenfunctions of the operator, a wave that travels unchanged, two
integrations) until it was put into the equations and into every condition and left nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import sympy

from sozai.assistant.equations.pde.discrete import compiled
from sozai.assistant.equations.pde.refine import Study
from sozai.assistant.equations.pde.series import series_of
from sozai.assistant.equations.pde.terms import Terms, read_terms
from sozai.assistant.equations.problem import Problem
from sozai.knowledge.verdict import Verdict

NOTHING_LEFT = 1e-9
"""What a candidate may leave of the size of the terms, from rounding."""


def closed_form_verdicts(problem: Problem, study: Study) -> tuple[dict[str, str], list[Verdict]]:
    """The closed form by unknown, if one was found, and the distance of the numbers from it.

    Args:
        problem: the person's.
        study: the runs.
    """
    terms = read_terms(problem)
    if len(terms.names) != 1:
        return {}, []
    name = terms.names[0]
    for candidate in _candidates(problem, terms):
        if candidate is not None and _solves(problem, terms, candidate):
            call = compiled([candidate], [*terms.space, terms.time])
            written = sympy.nsimplify(candidate) if candidate.has(sympy.Float) else candidate
            return {name: str(written)}, [_compare(study, lambda t, *x, call=call: call(*x, t)[0], "the closed form")]
    found = series_of(problem, terms)
    if found is not None:
        words, call_series = found
        return {}, [_compare(study, call_series, words)]
    return {}, []


def _compare(study: Study, exact: Callable[..., np.ndarray], words: str) -> Verdict:
    run = study.best
    field = run.field(0)
    grid = np.meshgrid(*run.axes(0), indexing="ij")
    wanted = np.array([np.broadcast_to(exact(float(t), *grid), field.shape[1:]) for t in run.times])
    gaps = np.abs(field - wanted)
    if 0 in study.form.mean_free and study.form.span is None:
        gaps = np.abs(field - field.mean() - wanted + wanted.mean())
    if study.form.span is not None:
        gaps = gaps[1:]
    gap, bar = float(gaps.max()), study.error(0)
    allowed = max(bar, 1e-8 * study.scales[0])
    holds = gap <= allowed
    return Verdict(
        "closed_form",
        holds,
        f"the numbers are {'within' if holds else 'NOT within'} the error bar of {words}: "
        f"largest difference {gap:.1e}, error bar {bar:.1e}",
        gap / allowed,
    )


def put(terms: Terms, expression: sympy.Expr, candidate: sympy.Expr) -> sympy.Expr:
    """An expression in plain symbols with a function in place of the unknown."""
    swaps = {}
    for (_, order, counts), symbol in terms.symbols.items():
        made = sympy.diff(candidate, terms.time, order) if order else candidate
        for axis, count in enumerate(counts):
            made = sympy.diff(made, terms.space[axis], count) if count else made
        swaps[symbol] = made
    return expression.xreplace(swaps)


def _start(problem: Problem, terms: Terms, order: int) -> sympy.Expr | None:
    for c in problem.conditions:
        if c.kind == "initial" and c.derivative == order:
            return terms.expression(c.value if c.value is not None else sympy.S.Zero, "initial value")
    return None


def _candidates(problem: Problem, terms: Terms) -> Iterator[sympy.Expr | None]:
    """Functions that may solve the problem."""
    residual = terms.residuals[0]
    if problem.time is None:
        if terms.dimension == 1:
            yield _integrated(problem, terms, residual)
        yield _eigen_steady(terms, residual)
        return
    first = _start(problem, terms, 0)
    if first is None:
        return
    if terms.rate(0, 2) in residual.free_symbols:
        yield _eigen_waves(terms, residual, first, _start(problem, terms, 1) or sympy.S.Zero)
    elif terms.rate(0) in residual.free_symbols:
        yield _eigen_decay(terms, residual, first)
    if terms.dimension == 1 and first.free_symbols:
        yield _travelling(terms, residual, first)


def _spatial(terms: Terms, residual: sympy.Expr, order: int) -> sympy.Expr | None:
    """``L(u)`` of ``u_t = L(u)``, in plain symbols, when the rate has a constant factor."""
    factor = sympy.diff(residual, terms.rate(0, order))
    if factor.free_symbols or factor == 0:
        return None
    return sympy.expand(terms.rate(0, order) - residual / factor)


def _eigenvalue(terms: Terms, operator: sympy.Expr, function: sympy.Expr) -> sympy.Expr | None:
    """``L(f) / f`` when it is a number."""
    ratio = sympy.simplify(put(terms, operator, function) / function)
    return ratio if not ratio.free_symbols else None


def _eigen_decay(terms: Terms, residual: sympy.Expr, first: sympy.Expr) -> sympy.Expr | None:
    operator = _spatial(terms, residual, 1)
    if operator is None or operator.has(terms.time):
        return None
    total = sympy.S.Zero
    for part in sympy.Add.make_args(sympy.expand(first)):
        if part == 0:
            continue
        value = _eigenvalue(terms, operator, part)
        if value is None:
            return None
        total += part * sympy.exp(value * terms.time)
    return total


def _eigen_waves(terms: Terms, residual: sympy.Expr, first: sympy.Expr, speed: sympy.Expr) -> sympy.Expr | None:
    operator = _spatial(terms, residual, 2)
    if operator is None or operator.has(terms.time, terms.rate(0)):
        return None
    total = sympy.S.Zero
    for start, kind in ((first, sympy.cos), (speed, sympy.sin)):
        for part in sympy.Add.make_args(sympy.expand(start)):
            if part == 0:
                continue
            value = _eigenvalue(terms, operator, part)
            if value is None or not value.is_negative:
                return None
            pace = sympy.sqrt(-value)
            total += part * kind(pace * terms.time) / (pace if kind is sympy.sin else 1)
    return total


def _travelling(terms: Terms, residual: sympy.Expr, first: sympy.Expr) -> sympy.Expr | None:
    """``u0(x - c t)`` with the speed at which one point's residual vanishes."""
    x, t, speed = terms.space[0], terms.time, sympy.Symbol("travelling_speed")
    wave = first.subs(x, x - speed * t)
    low, high = (sympy.Float(float(e), 30) for e in terms.problem.domain[str(x)])
    left = put(terms, residual, wave).subs({x: low + (high - low) * sympy.Rational(3, 7), t: 0}).evalf(30)
    if left.has(sympy.zoo, sympy.nan):
        return None
    if not left.has(speed):
        found = sympy.S.Zero
    else:
        slope = sympy.diff(left, speed)
        if slope.has(speed) or slope == 0:
            return None
        found = sympy.nsimplify(-left.subs(speed, 0) / slope, [sympy.sqrt(2), sympy.sqrt(6)], tolerance=1e-20)
    return wave.subs(speed, found)


def _eigen_steady(terms: Terms, residual: sympy.Expr) -> sympy.Expr | None:
    """A source made of eigenfunctions of the operator."""
    symbols = set(terms.symbols.values())
    source = residual.xreplace(dict.fromkeys(symbols, sympy.S.Zero))
    operator = sympy.expand(residual - source)
    total = sympy.S.Zero
    for part in sympy.Add.make_args(sympy.expand(source)):
        if part == 0:
            continue
        value = _eigenvalue(terms, operator, part)
        if value is None or value == 0:
            return None
        total -= part / value
    return total


def _integrated(problem: Problem, terms: Terms, residual: sympy.Expr) -> sympy.Expr | None:
    """``a u'' + f(x) = 0`` integrated twice, with constants from the conditions."""
    x, bend = terms.space[0], terms.slope(0, 0, 0)
    factor = sympy.diff(residual, bend)
    source = sympy.expand(residual - factor * bend)
    if factor == 0 or factor.free_symbols or source.free_symbols - {x} or source.has(sympy.Piecewise, sympy.Abs):
        return None
    once = sympy.integrate(-source / factor, x)
    twice = sympy.integrate(once, x)
    if twice.has(sympy.Integral):
        return None
    a, b = sympy.symbols("constant_a constant_b")
    wanted = [left for left, _ in _left_on_faces(problem, terms, twice + a * x + b)]
    found = sympy.linsolve([w for w in wanted if w != 0], [a, b])
    for values in found:
        return (twice + a * x + b).subs({a: values[0], b: values[1]}).subs({a: 0, b: 0})
    return None


def _left_on_faces(problem: Problem, terms: Terms, candidate: sympy.Expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """What each boundary condition leaves of a candidate, and the size to compare it to."""
    for symbol in terms.space:
        low, high = (sympy.nsimplify(float(e), rational=True) for e in problem.domain[str(symbol)])
        slope = sympy.diff(candidate, symbol)
        for mark, end, side in (("-", low, -1), ("+", high, 1)):
            for c in problem.conditions:
                if c.kind == "initial" or c.where not in ("boundary", f"{symbol}{mark}", str(symbol)):
                    continue
                if c.kind == "periodic":
                    yield candidate.subs(symbol, low) - candidate.subs(symbol, high), candidate.subs(symbol, low)
                    yield slope.subs(symbol, low) - slope.subs(symbol, high), slope.subs(symbol, low)
                    continue
                if c.derivative >= 2:
                    bent = sympy.diff(candidate, symbol, c.derivative) * side**c.derivative
                    yield (bent - (c.value if c.value is not None else 0)).subs(symbol, end), candidate
                    continue
                value = put(terms, terms.expression(c.value if c.value is not None else sympy.S.Zero, ""), candidate)
                if c.kind == "dirichlet":
                    yield (candidate - value).subs(symbol, end), candidate
                    continue
                share = sympy.S.Zero
                if c.kind == "robin":
                    share = c.coefficient if c.coefficient is not None else sympy.S.One
                    share = put(terms, terms.expression(share, ""), candidate)
                yield (side * slope + share * candidate - value).subs(symbol, end), slope


def _solves(problem: Problem, terms: Terms, candidate: sympy.Expr) -> bool:
    """Whether a function solves the equation and meets every condition, at random points."""
    random = np.random.default_rng(7)
    names = [*terms.space, *([terms.time] if problem.time is not None else [])]
    ends = [problem.domain[str(s)] for s in names]
    points = [dict(zip(names, [float(random.uniform(*e)) for e in ends], strict=True)) for _ in range(8)]
    checks: list[tuple[sympy.Expr, sympy.Expr]] = []
    residual = terms.residuals[0]
    sizes = sum(sympy.Abs(put(terms, part, candidate)) for part in sympy.Add.make_args(residual))
    checks.append((put(terms, residual, candidate), sizes))
    checks += list(_left_on_faces(problem, terms, candidate))
    if problem.time is not None:
        begin = {terms.time: sympy.nsimplify(float(problem.domain[str(problem.time)][0]), rational=True)}
        for order in (0, 1):
            start = _start(problem, terms, order)
            if start is not None:
                reached = sympy.diff(candidate, terms.time, order) if order else candidate
                checks.append((reached.subs(begin) - start, candidate))
    try:
        for left, size in checks:
            gaps = [abs(complex(left.evalf(30, subs=p))) for p in points]
            worth = [abs(complex(sympy.sympify(size).evalf(30, subs=p))) for p in points]
            if not max(gaps) <= NOTHING_LEFT * max(*worth, 1e-6):
                return False
    except (TypeError, ValueError):
        return False
    return True
