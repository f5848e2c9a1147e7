"""From equations to fluxes and rests of second order in space and first in time."""

from __future__ import annotations

import itertools

import numpy as np
import sympy

from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.terms import NOT_SOLVED, Terms
from sozai.assistant.equations.problem import Problem
from sozai.errors import UserError


def owners_of(terms: Terms) -> list[int]:
    """The unknown that each equation decides: its rate, else its highest derivative stands there."""
    from scipy.optimize import linear_sum_assignment

    count = len(terms.names)
    score = np.zeros((count, count))
    for (unknown, time, space), symbol in terms.symbols.items():
        for row, residual in enumerate(terms.residuals):
            if residual.has(symbol):
                worth = 100 * time + 10 * (sum(space) if sum(space) != 1 else 0) + (1 if not time else 0)
                score[row, unknown] = max(score[row, unknown], worth)
    score += 0.1 * np.eye(count)
    return list(linear_sum_assignment(-score)[1])


def reduced(problem: Problem, terms: Terms, owners: list[int]) -> Form:
    """Fluxes and rests, with auxiliary fields where time or space derivatives are of too high an order."""
    count, dimension = len(terms.names), terms.dimension
    names, residuals = list(terms.names), [sympy.S.Zero] * count
    for row, owner in enumerate(owners):
        residuals[owner] = terms.residuals[row]
    values = [terms.value(j) for j in range(count)]
    rates = [terms.rate(j) for j in range(count)]
    slopes = [[terms.slope(j, k) for k in range(dimension)] for j in range(count)]

    def auxiliary(name: str) -> int:
        names.append(name)
        values.append(sympy.Symbol(name))
        rates.append(sympy.Symbol(f"{name}_t"))
        slopes.append([sympy.Symbol(f"{name}_{axis}") for axis in terms.space])
        return len(names) - 1

    second = {
        (j, k, m): terms.slope(j, k, m) for j in range(count) for k in range(dimension) for m in range(k, dimension)
    }
    form = Form(
        names,
        count,
        terms.space,
        terms.time,
        [ends_of(problem, str(axis)) for axis in terms.space],
        ends_of(problem, str(problem.time)) if problem.time is not None else None,
        values,
        rates,
        slopes,
        [],
        [],
        [],
        [],
        [],
        [False] * dimension,
    )
    extra: list[tuple[str, int, int]] = []
    for j in range(count):
        if any(r.has(terms.rate(j, 2)) for r in residuals):
            v = auxiliary(f"{terms.names[j]}_velocity")
            residuals = [r.xreplace({terms.rate(j, 2): rates[v], rates[j]: values[v]}) for r in residuals]
            # The velocity's row is the equation; the unknown's own row says what the velocity is.
            residuals.append(residuals[j])
            residuals[j] = rates[j] - values[v]
            extra.append(("velocity", j, v))
            form.second_order = True
    for j in range(count):
        if any(r.has(*_fourth(terms, j)) for r in residuals if _fourth(terms, j)):
            w = auxiliary(f"{terms.names[j]}_laplacian")
            for k in range(dimension):
                second[w, k, k] = sympy.Symbol(f"{names[w]}_{terms.space[k]}{terms.space[k]}")
            residuals = [_halve_biharmonic(r, terms, j, [second[w, k, k] for k in range(dimension)]) for r in residuals]
            residuals.append(sum(second[j, k, k] for k in range(dimension)) - values[w])
            extra.append(("laplacian", j, w))
    form.start = [None] * len(names)
    form.flux, form.rest = [], []
    for row, residual in enumerate(residuals):
        flux, rest = _divergence(residual, form, second, f"equation for {names[row]}")
        form.flux.append(flux)
        form.rest.append(rest)
    form.boundary, form.fixed = [{} for _ in names], [{} for _ in names]
    _tractions(form, residuals, second)
    form.auxiliary = extra
    return form


def _fourth(terms: Terms, unknown: int) -> list[sympy.Symbol]:
    return [symbol for (j, _, space), symbol in terms.symbols.items() if j == unknown and sum(space) == 4]


def _halve_biharmonic(residual: sympy.Expr, terms: Terms, unknown: int, second: list[sympy.Symbol]) -> sympy.Expr:
    """``B * biharmonic(u)`` as ``B * Laplacian of w``."""
    dimension = terms.dimension
    present = _fourth(terms, unknown)
    if not present or not residual.has(*present):
        return residual
    pure = terms.slope(unknown, 0, 0, 0, 0)
    strength = sympy.diff(residual, pure)
    biharmonic = sum(terms.slope(unknown, k, k, m, m) for k in range(dimension) for m in range(dimension))
    left = sympy.expand(residual - strength * biharmonic)
    if left.has(*_fourth(terms, unknown)) or strength.free_symbols & set(terms.symbols.values()):
        raise UserError(
            f"{NOT_SOLVED}: the fourth-order terms are no multiple of the biharmonic of {terms.names[unknown]}",
            mend="write it as two equations of second order",
        )
    return left + strength * sum(second)


def _divergence(
    residual: sympy.Expr, form: Form, second: dict[tuple[int, int, int], sympy.Symbol], where: str
) -> tuple[list[sympy.Expr], sympy.Expr]:
    """Flux and rest of an equation with second derivatives."""
    dimension = len(form.space)
    flux, rest = [sympy.S.Zero] * dimension, residual
    hidden = {*itertools.chain(*form.slopes), *form.rates, *second.values()}
    for (j, k, m), symbol in second.items():
        strength = sympy.diff(residual, symbol)
        if strength == 0:
            continue
        if strength.free_symbols & hidden:
            told = " + ".join(str(-term) for term in sympy.Add.make_args(residual) if term.has(symbol))
            seconds = strength.free_symbols & set(second.values())
            raise UserError(
                f"{NOT_SOLVED}: the term {told} is not linear in the second derivative {symbol}"
                if seconds
                else f"{NOT_SOLVED}: in the term {told} the second derivative {symbol} has a factor that depends on "
                "other derivatives",
                where,
                "only equations in which second derivatives stand to the first power, with factors of coordinates and "
                "unknowns, are solved",
            )
        rest = rest - strength * symbol
        halves = [(k, m, strength)] if k == m else [(k, m, strength / 2), (m, k, strength / 2)]
        for outer, inner, share in halves:
            flux[outer] += share * form.slopes[j][inner]
            rest = rest - _total(share, outer, form) * form.slopes[j][inner]
    rest = sympy.expand(rest)
    if rest.free_symbols & set(second.values()):
        raise UserError(f"{NOT_SOLVED}: a second derivative stands inside another function", where)
    return flux, rest


def _total(expression: sympy.Expr, axis: int, form: Form) -> sympy.Expr:
    """The derivative along an axis, of coefficients that depend on the unknowns too."""
    made = sympy.diff(expression, form.space[axis])
    for value, slopes in zip(form.values, form.slopes, strict=True):
        made += sympy.diff(expression, value) * slopes[axis]
    return made


def _tractions(form: Form, residuals: list[sympy.Expr], second: dict[tuple[int, int, int], sympy.Symbol]) -> None:
    """Let fluxes be stresses where the equations are those of elasticity or Stokes."""
    dimension = len(form.space)
    if dimension < 2 or form.shown < dimension:
        return
    moved = range(dimension)
    rows = [
        form.names.index(f"{form.names[i]}_velocity")
        if form.second_order and f"{form.names[i]}_velocity" in form.names
        else i
        for i in moved
    ]
    pressure = [
        j
        for j in range(dimension, form.shown)
        if all(sympy.diff(residuals[rows[i]], form.slopes[j][i]) not in (0,) for i in moved)
        and not any(residuals[i].has(*(s for key, s in second.items() if key[0] == j)) for i in rows)
        and not any(r.has(form.values[j], form.rates[j]) for r in residuals)
    ]
    if pressure and not residuals[pressure[0]].has(form.values[pressure[0]], *second.values(), *form.rates):
        j = pressure[0]
        push = [sympy.diff(residuals[rows[i]], form.slopes[j][i]) for i in moved]
        if all(not p.free_symbols for p in push):
            for i in moved:
                form.flux[rows[i]][i] += push[i] * form.values[j]
                form.rest[rows[i]] = sympy.expand(form.rest[rows[i]] - push[i] * form.slopes[j][i])
            form.lower, form.traction = [j], True
        return
    shear = sympy.diff(residuals[rows[0]], second[0, 1, 1])
    stiff = sympy.diff(residuals[rows[0]], second[0, 0, 0])
    lame = sympy.expand(stiff - 2 * shear)
    for i in moved:
        for k in moved:
            if k != i and (
                sympy.expand(sympy.diff(residuals[rows[i]], second[i, k, k]) - shear) != 0
                or sympy.expand(sympy.diff(residuals[rows[i]], second[k, min(i, k), max(i, k)]) - lame - shear) != 0
            ):
                return
    if sympy.expand(lame + shear) == 0 or shear == 0:
        return
    for i in moved:
        row, old = rows[i], form.flux[rows[i]]
        new = [shear * (form.slopes[i][k] + form.slopes[k][i]) for k in moved]
        new[i] += lame * sum(form.slopes[k][k] for k in moved)
        for k in moved:  # divergence of the difference holds no second derivatives of what moves
            change = sympy.expand(new[k] - old[k])
            for j, m in itertools.product(moved, moved):
                share = sympy.diff(change, form.slopes[j][m])
                form.rest[row] -= _total(share, k, form) * form.slopes[j][m]
        form.flux[row], form.rest[row] = new, sympy.expand(form.rest[row])
    form.traction = True


def ends_of(problem: Problem, name: str) -> tuple[float, float]:
    """Where a variable begins and ends.

    Raises:
        UserError: this is not given, or makes no sense.
    """
    if name not in problem.domain:
        raise UserError(f"the domain of {name} is not given", mend=f"say where {name} begins and ends")
    low, high = (float(end) for end in problem.domain[name])
    if not (np.isfinite([low, high]).all() and high > low):
        raise UserError(f"the domain of {name} goes from {low:g} to {high:g}", mend="let it end after it begins")
    return low, high
