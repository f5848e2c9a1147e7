"""Equations as weak forms: fluxes, what is left, conditions on the faces; of second order in space, first in time.

Each equation becomes: find u such that for every test function v

    integral of (-flux . grad v + rest v)  +  integral over the faces of (boundary v)  =  0.

Second derivatives with coefficients that depend on the unknowns are brought into divergence form by the chain
rule, so that what conserves mass does so in numbers too. ``u_tt`` is halved by a velocity, a biharmonic term
by ``w = Laplacian of u`` (Ciarlet and Raviart 1974), whose natural conditions are those of Cahn and Hilliard.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy

from sozai.assistant.equations.pde.terms import NOT_SOLVED, Terms, read_terms
from sozai.assistant.equations.problem import Condition, Problem
from sozai.errors import UserError

Face = tuple[int, int]
"""Axis and side: (0, -1) is ``x-``, (1, 1) is ``y+``."""


@dataclass
class Form:
    """A weak form; rows and fields are paired: row ``i`` is tested where field ``i`` is not prescribed.

    Attributes:
        names: of the fields: the unknowns, then auxiliary ones.
        shown: how many of them are the person's unknowns.
        space, time: symbols.
        box: ends of each axis.
        span: start and end of time, or ``None``.
        values, rates: symbols of the fields and their time derivatives.
        slopes: symbols of their derivatives by axis.
        flux: by row and axis.
        rest: by row.
        boundary: by row and face: the outward flux in values, slopes, coordinates; missing ones are zero.
        fixed: by field and face: the prescribed value.
        start: by field: initial value, or ``None`` where an equation without rate decides it.
        periodic: by axis.
        mean_free: fields that only matter up to a constant.
        lower: fields to be approximated one degree lower (the pressure).
        traction: whether boundary values are tractions (elasticity, Stokes).
        second_order: whether time derivatives were of second order.
        notes: what was assumed.
    """

    names: list[str]
    shown: int
    space: tuple[sympy.Symbol, ...]
    time: sympy.Symbol
    box: list[tuple[float, float]]
    span: tuple[float, float] | None
    values: list[sympy.Symbol]
    rates: list[sympy.Symbol]
    slopes: list[list[sympy.Symbol]]
    flux: list[list[sympy.Expr]]
    rest: list[sympy.Expr]
    boundary: list[dict[Face, sympy.Expr]]
    fixed: list[dict[Face, sympy.Expr]]
    start: list[sympy.Expr | None]
    periodic: list[bool]
    mean_free: list[int] = field(default_factory=list)
    lower: list[int] = field(default_factory=list)
    traction: bool = False
    second_order: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def unknowns(self) -> list[sympy.Symbol]:
        """Values, slopes and rates: all that stands for unknown numbers."""
        return [*self.values, *itertools.chain(*self.slopes), *self.rates]

    @property
    def expressions(self) -> list[sympy.Expr]:
        """Everything that is integrated."""
        return [*itertools.chain(*self.flux), *self.rest, *itertools.chain(*(b.values() for b in self.boundary))]

    @property
    def linear(self) -> bool:
        """Whether the unknowns enter to the first power with coefficients free of them."""
        hidden = set(self.unknowns)
        return all(
            not (sympy.diff(e, s).free_symbols & hidden) for e in self.expressions for s in e.free_symbols & hidden
        )

    @property
    def complex(self) -> bool:
        """Whether the imaginary unit stands anywhere."""
        given = [*self.expressions, *itertools.chain(*(f.values() for f in self.fixed)), *(s for s in self.start if s)]
        return any(e.has(sympy.I) for e in given)


def weak_form(problem: Problem, sources: Sequence[sympy.Expr] = ()) -> Form:
    """The weak form of a problem.

    Args:
        problem: its equations and conditions.
        sources: what each equation's left minus right side shall be instead of zero, in the coordinates.

    Raises:
        UserError: what cannot be solved, naming the term.
    """
    terms = read_terms(problem)
    if problem.time is None and any(key[1] for key in terms.symbols):
        raise UserError("a time derivative stands in a problem without time", mend="name the time variable")
    conditions = _conditions(problem, terms)
    owners = _owners(terms)
    form = _reduce(problem, terms, owners)
    _set_conditions(form, problem, terms, conditions)
    _check(form, terms)
    for number, source in enumerate(sources):
        row = owners[number]
        if f"{form.names[row]}_velocity" in form.names:
            row = form.names.index(f"{form.names[row]}_velocity")
        form.rest[row] = form.rest[row] - source
    form.mean_free = _mean_free(form)
    return form


def _conditions(problem: Problem, terms: Terms) -> dict[tuple[int, Face], list[Condition]]:
    """Boundary conditions by unknown and face."""
    found: dict[tuple[int, Face], list[Condition]] = {}
    axes = [str(symbol) for symbol in terms.space]
    for condition in problem.conditions:
        if condition.kind == "initial":
            continue
        if condition.unknown not in terms.names:
            raise UserError(f"a condition is stated for {condition.unknown}, which is not an unknown")
        every = [(axis, side) for axis in range(len(axes)) for side in (-1, 1)]
        if condition.where == "boundary":
            faces = every
        elif condition.where in axes:  # a periodic axis by its name
            faces = [(axes.index(condition.where), -1), (axes.index(condition.where), 1)]
        elif condition.where[:-1] in axes and condition.where[-1] in "+-":
            faces = [(axes.index(condition.where[:-1]), 1 if condition.where[-1] == "+" else -1)]
        else:
            raise UserError(f"the place {condition.where} of a condition is not a face of the domain",
                            mend="write x-, x+, y-, ... or boundary")  # fmt: skip
        for face in faces:
            found.setdefault((terms.names.index(condition.unknown), face), []).append(condition)
    return found


def _owners(terms: Terms) -> list[int]:
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


def _reduce(problem: Problem, terms: Terms, owners: list[int]) -> Form:
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
        names, count, terms.space, terms.time, [_ends(problem, str(axis)) for axis in terms.space],
        _ends(problem, str(problem.time)) if problem.time is not None else None,
        values, rates, slopes, [], [], [], [], [], [False] * dimension,
    )  # fmt: skip
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
    form.extra = extra  # type: ignore[attr-defined]
    return form


def _ends(problem: Problem, name: str) -> tuple[float, float]:
    if name not in problem.domain:
        raise UserError(f"the domain of {name} is not given", mend=f"say where {name} begins and ends")
    low, high = (float(end) for end in problem.domain[name])
    if not (np.isfinite([low, high]).all() and high > low):
        raise UserError(f"the domain of {name} goes from {low:g} to {high:g}", mend="let it end after it begins")
    return low, high


def _fourth(terms: Terms, unknown: int) -> list[sympy.Symbol]:
    return [symbol for (j, _, space), symbol in terms.symbols.items() if j == unknown and sum(space) == 4]


def _halve_biharmonic(
    residual: sympy.Expr, terms: Terms, unknown: int, second: list[sympy.Symbol]
) -> sympy.Expr:  # fmt: skip
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
            f"{NOT_SOLVED}: its fourth-order terms are not a coefficient times the biharmonic of {terms.names[unknown]}",
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
            raise UserError(
                f"{NOT_SOLVED}: the second derivative {symbol} has a coefficient that depends on derivatives "
                f"({strength})", where,
            )  # fmt: skip
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
    rows = [form.names.index(f"{form.names[i]}_velocity") if form.second_order and f"{form.names[i]}_velocity"
            in form.names else i for i in moved]  # fmt: skip
    pressure = [
        j for j in range(dimension, form.shown)
        if all(sympy.diff(residuals[rows[i]], form.slopes[j][i]) not in (0,) for i in moved)
        and not any(residuals[i].has(*(s for key, s in second.items() if key[0] == j)) for i in rows)
        and not any(r.has(form.values[j], form.rates[j]) for r in residuals)
    ]  # fmt: skip
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


def _set_conditions(
    form: Form, problem: Problem, terms: Terms, conditions: dict[tuple[int, Face], list[Condition]]
) -> None:
    """Prescribed values, boundary fluxes, initial values, periodic axes."""
    dimension = len(form.space)
    made = {j: kind for kind, _, j in form.extra}  # type: ignore[attr-defined]
    source = {j: (kind, i) for kind, i, j in form.extra}  # type: ignore[attr-defined]
    for axis in range(dimension):
        kinds = {c.kind for (_, face), cs in conditions.items() if face[0] == axis for c in cs}
        if "periodic" in kinds:
            if kinds != {"periodic"}:
                raise UserError(f"the axis {form.space[axis]} is periodic and has another condition too",
                                mend="state one of them")  # fmt: skip
            form.periodic[axis] = True
    faces = [(axis, side) for axis in range(dimension) if not form.periodic[axis] for side in (-1, 1)]
    for face in faces:
        swaps: dict[sympy.Basic, sympy.Basic] = {}
        stated: dict[int, Condition] = {}
        for j in range(form.shown):
            here = conditions.get((j, face), [])
            where = f"{form.space[face[0]]}{'+' if face[1] > 0 else '-'}"
            kinds = [c.kind for c in here]
            fourth = any(kind == "laplacian" and i == j for kind, i, _ in form.extra)  # type: ignore[attr-defined]
            if len(kinds) != len(set(kinds)) or (
                len(here) > 1 and not (fourth and set(kinds) == {"dirichlet", "neumann"})
            ):
                raise UserError(f"{len(here)} conditions are stated for {form.names[j]} on {where}", mend="state one")
            for condition in here:
                value = terms.expression(condition.value if condition.value is not None else sympy.S.Zero, where)
                if condition.kind == "dirichlet":
                    if value.free_symbols & set(form.unknowns):
                        raise UserError(f"{NOT_SOLVED}: the value {value} prescribed on {where} depends on an unknown")
                    form.fixed[j][face] = value
                    for kind, i, v in form.extra:  # type: ignore[attr-defined]
                        if kind == "velocity" and i == j:
                            form.fixed[v][face] = sympy.diff(value, form.time)
                    continue
                if condition.kind == "robin":
                    slope = terms.expression(condition.coefficient if condition.coefficient is not None else
                                             sympy.S.One, where)  # fmt: skip
                    value = value - slope * form.values[j]
                stated[j] = condition
                swaps[form.slopes[j][face[0]]] = face[1] * value
            if fourth and len(here) < 2 and "dirichlet" in kinds:
                raise UserError(
                    f"the fourth-order equation of {form.names[j]} needs two conditions on {where}",
                    mend="state the value and the derivative along the normal",
                )
            if not here and form.lower != [j]:
                swaps[form.slopes[j][face[0]]] = sympy.S.Zero
        for j in range(form.shown, len(form.names)):
            swaps[form.slopes[j][face[0]]] = sympy.S.Zero
        _set_face(form, face, swaps, stated, source, made)
    for j in range(form.shown):
        if form.second_order and f"{form.names[j]}_velocity" in form.names:
            v = form.names.index(f"{form.names[j]}_velocity")
            form.start[v] = _initial(problem, terms, form.names[j], 1)
        needs = any(e.has(form.rates[j]) for e in form.rest)
        form.start[j] = _initial(problem, terms, form.names[j], 0) if needs else None


def _set_face(
    form: Form, face: Face, swaps: dict[sympy.Basic, sympy.Basic], stated: dict[int, Condition],
    source: dict[int, tuple[str, int]], made: dict[int, str],
) -> None:  # fmt: skip
    """The outward flux of each row on one face."""
    for row in range(len(form.names)):
        owner = source[row][1] if row in source else row
        if made.get(row) == "laplacian":
            owner = row  # its flux is the slope of the unknown it is made of, whatever is stated for that
        elif face in form.fixed[row] or (owner not in stated and owner < form.shown):
            if form.names[owner] in form.names[: form.shown] and owner not in stated and face not in form.fixed[owner]:
                note = f"no condition is stated for {form.names[owner]} on a face: nothing flows through it"
                form.notes += [] if note in form.notes or form.lower == [owner] else [note]
            continue
        if form.traction and owner in stated and owner < len(form.space):
            condition = stated[owner]
            flux = sympy.sympify(face[1] * swaps[form.slopes[owner][face[0]]])
            sign = stress_sign(form, row, owner, face[0])
            form.boundary[row][face] = sign * flux
            note = "on faces of elastic or flowing bodies, a stated derivative is taken as the traction component"
            form.notes += [] if note in form.notes or condition.value == 0 else [note]
            continue
        flux = sympy.expand(face[1] * form.flux[row][face[0]].xreplace(swaps))
        if flux != 0:
            form.boundary[row][face] = flux


def stress_sign(form: Form, row: int, owner: int, axis: int) -> int:
    """1 where the flux of a row is the stress, -1 where it is minus the stress."""
    other = (axis + 1) % len(form.space)
    strength = sympy.diff(form.flux[row][other], form.slopes[owner][other])
    middle = {symbol: (low + high) / 2 for symbol, (low, high) in zip(form.space, form.box, strict=True)}
    return -1 if float(strength.subs({**middle, form.time: 0})) < 0 else 1


def _initial(problem: Problem, terms: Terms, name: str, order: int) -> sympy.Expr:
    for condition in problem.conditions:
        if condition.kind == "initial" and condition.unknown == name and condition.derivative == order:
            value = terms.expression(condition.value if condition.value is not None else sympy.S.Zero, "initial value")
            return value.subs(terms.time, _ends(problem, str(problem.time))[0])
    what = name if order == 0 else f"the time derivative of {name}"
    raise UserError(f"no initial value is stated for {what}", mend="state it at the start")


def _check(form: Form, terms: Terms) -> None:
    """Refuse what the methods here cannot carry."""
    for row, (flux, rest) in enumerate(zip(form.flux, form.rest, strict=True)):
        name = form.names[row]
        rate = [s for s in form.rates if rest.has(s)]
        if any(sympy.diff(rest, s, 2) != 0 for s in rate):
            raise UserError(f"{NOT_SOLVED}: a time derivative in the equation for {name} is not linear")
        carried = [s for s in itertools.chain(*form.slopes) if rest.has(s)]
        if rate and row < form.shown and not any(flux) and carried and form.lower != [row]:
            if not all(form.periodic) or not form.linear:
                raise UserError(
                    f"{NOT_SOLVED}: in the equation for {name} the term {sympy.diff(rest, carried[0]) * carried[0]} "
                    "carries it without any diffusion, so that shocks or unresolved fronts arise",
                    mend="add a diffusion term, however small",
                )
    if form.complex and not form.linear:
        raise UserError(f"{NOT_SOLVED}: it is complex and not linear")
    if form.complex and any(e.has(sympy.conjugate, sympy.Abs, sympy.re, sympy.im) for e in form.expressions):
        raise UserError(f"{NOT_SOLVED}: conjugates of a complex unknown are not treated")


def _mean_free(form: Form) -> list[int]:
    """Fields of which only derivatives matter."""
    found = []
    for j, value in enumerate(form.values):
        if not any(e.has(value, form.rates[j]) for e in form.expressions) and not form.fixed[j]:
            found.append(j)
        elif form.lower == [j] and not form.fixed[j] and not any(r.has(value) for r in form.rest):
            # A pressure: its value stands in the stress, and matters only where velocity is free on a face.
            if all(
                form.periodic[axis]
                or all((axis, side) in form.fixed[i] for side in (-1, 1) for i in range(len(form.space)))
                for axis in range(len(form.space))
            ):
                found.append(j)
    return found
