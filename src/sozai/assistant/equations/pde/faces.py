"""Conditions on the faces and at the start, as prescribed values and boundary fluxes of a weak form."""

from __future__ import annotations

import sympy

from sozai.assistant.equations.pde.form import Face, Form, stress_sign
from sozai.assistant.equations.pde.reduction import ends_of
from sozai.assistant.equations.pde.terms import NOT_SOLVED, Terms
from sozai.assistant.equations.problem import Condition, Problem
from sozai.errors import UserError


def conditions_of(problem: Problem, terms: Terms) -> dict[tuple[int, Face], list[Condition]]:
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
            raise UserError(
                f"the place {condition.where} of a condition is not a face of the domain",
                mend="write x-, x+, y-, ... or boundary",
            )
        for face in faces:
            found.setdefault((terms.names.index(condition.unknown), face), []).append(condition)
    return found


def set_conditions(
    form: Form, problem: Problem, terms: Terms, conditions: dict[tuple[int, Face], list[Condition]]
) -> None:
    """Prescribed values, boundary fluxes, initial values, periodic axes."""
    dimension = len(form.space)
    made = {j: kind for kind, _, j in form.auxiliary}
    source = {j: (kind, i) for kind, i, j in form.auxiliary}
    for axis in range(dimension):
        kinds = {c.kind for (_, face), cs in conditions.items() if face[0] == axis for c in cs}
        if "periodic" in kinds:
            if kinds != {"periodic"}:
                raise UserError(
                    f"the axis {form.space[axis]} is periodic and has another condition too", mend="state one of them"
                )
            form.periodic[axis] = True
    faces = [(axis, side) for axis in range(dimension) if not form.periodic[axis] for side in (-1, 1)]
    for face in faces:
        swaps: dict[sympy.Basic, sympy.Basic] = {}
        stated: dict[int, Condition] = {}
        for j in range(form.shown):
            every = conditions.get((j, face), [])
            here = [c for c in every if c.derivative < 2]
            where = f"{form.space[face[0]]}{'+' if face[1] > 0 else '-'}"
            stated_kinds = [c.kind for c in here]
            fourth = any(kind == "laplacian" and i == j for kind, i, _ in form.auxiliary)
            if len(stated_kinds) != len(set(stated_kinds)) or (
                len(here) > 1 and not (fourth and set(stated_kinds) == {"dirichlet", "neumann"})
            ):
                raise UserError(f"{len(here)} conditions are stated for {form.names[j]} on {where}", mend="state one")
            for condition in here:
                value = terms.expression(condition.value if condition.value is not None else sympy.S.Zero, where)
                if condition.kind == "dirichlet":
                    if value.free_symbols & set(form.unknowns):
                        raise UserError(f"{NOT_SOLVED}: the value {value} prescribed on {where} depends on an unknown")
                    form.fixed[j][face] = value
                    for kind, i, v in form.auxiliary:
                        if kind == "velocity" and i == j:
                            form.fixed[v][face] = sympy.diff(value, form.time)
                    continue
                if condition.kind == "robin":
                    slope = terms.expression(
                        condition.coefficient if condition.coefficient is not None else sympy.S.One, where
                    )
                    value = value - slope * form.values[j]
                stated[j] = condition
                swaps[form.slopes[j][face[0]]] = face[1] * value
            bent = [c for c in every if c.derivative >= 2]
            if bent and not fourth:
                raise UserError(f"{NOT_SOLVED}: a derivative of order {bent[0].derivative} is stated on {where}")
            for condition in bent:
                _bend(form, face, j, condition, terms, swaps, where)
            if fourth and not bent and len(here) < 2 and "dirichlet" in stated_kinds:
                raise UserError(
                    f"the fourth-order equation of {form.names[j]} needs two conditions on {where}",
                    mend="state the value and the derivative along the normal",
                )
            if not here and form.lower != [j]:
                swaps[form.slopes[j][face[0]]] = sympy.S.Zero
        for j in range(form.shown, len(form.names)):
            swaps.setdefault(form.slopes[j][face[0]], sympy.S.Zero)
        _set_face(form, face, swaps, stated, source, made)
    for j in range(form.shown):
        if form.second_order and f"{form.names[j]}_velocity" in form.names:
            v = form.names.index(f"{form.names[j]}_velocity")
            form.start[v] = _initial(problem, terms, form.names[j], 1)
        needs = any(e.has(form.rates[j]) for e in form.rest)
        form.start[j] = _initial(problem, terms, form.names[j], 0) if needs else None


def _bend(
    form: Form,
    face: Face,
    j: int,
    condition: Condition,
    terms: Terms,
    swaps: dict[sympy.Basic, sympy.Basic],
    where: str,
) -> None:
    """A second or third derivative along the normal, of an equation of fourth order, as one of its Laplacian."""
    value = terms.expression(condition.value if condition.value is not None else sympy.S.Zero, where)
    w = next(field for kind, i, field in form.auxiliary if kind == "laplacian" and i == j)
    across = [symbol for axis, symbol in enumerate(form.space) if axis != face[0]]
    if condition.derivative == 2:
        if face not in form.fixed[j]:
            raise UserError(f"{NOT_SOLVED}: a second derivative is stated on {where} without the value there")
        form.fixed[w][face] = value + sum(sympy.diff(form.fixed[j][face], symbol, 2) for symbol in across)
        return
    slope = face[1] * swaps.get(form.slopes[j][face[0]], sympy.S.Zero)
    if face in form.fixed[j] or condition.derivative > 3 or any(sympy.diff(slope, s) != 0 for s in across):
        raise UserError(
            f"{NOT_SOLVED}: a derivative of order {condition.derivative} is stated on {where} beside a "
            "condition that sozai cannot join it with"
        )
    swaps[form.slopes[w][face[0]]] = face[1] * value


def _set_face(
    form: Form,
    face: Face,
    swaps: dict[sympy.Basic, sympy.Basic],
    stated: dict[int, Condition],
    source: dict[int, tuple[str, int]],
    made: dict[int, str],
) -> None:
    """The outward flux of each row on one face."""
    for row in range(len(form.names)):
        owner = source[row][1] if row in source else row
        if made.get(row) == "laplacian" and face in form.fixed[row]:
            continue
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


def _initial(problem: Problem, terms: Terms, name: str, order: int) -> sympy.Expr:
    for condition in problem.conditions:
        if condition.kind == "initial" and condition.unknown == name and condition.derivative == order:
            value = terms.expression(condition.value if condition.value is not None else sympy.S.Zero, "initial value")
            return value.subs(terms.time, ends_of(problem, str(problem.time))[0])
    what = name if order == 0 else f"the time derivative of {name}"
    raise UserError(f"no initial value is stated for {what}", mend="state it at the start")
