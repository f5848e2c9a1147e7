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

import sympy

from sozai.assistant.equations.pde.faces import conditions_of, set_conditions
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.reduction import owners_of, reduced
from sozai.assistant.equations.pde.terms import NOT_SOLVED, Terms, read_terms
from sozai.assistant.equations.problem import Problem
from sozai.errors import UserError


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
    conditions = conditions_of(problem, terms)
    owners = owners_of(terms)
    form = reduced(problem, terms, owners)
    set_conditions(form, problem, terms, conditions)
    _check(form, terms)
    for number, source in enumerate(sources):
        row = owners[number]
        if f"{form.names[row]}_velocity" in form.names:
            row = form.names.index(f"{form.names[row]}_velocity")
        form.rest[row] = form.rest[row] - source
    form.mean_free = _mean_free(form)
    return form


def _check(form: Form, terms: Terms) -> None:
    """Refuse what the methods here cannot carry."""
    for row, (flux, rest) in enumerate(zip(form.flux, form.rest, strict=True)):
        name = form.names[row]
        rate = [s for s in form.rates if rest.has(s)]
        if any(sympy.diff(rest, s, 2) != 0 for s in rate):
            raise UserError(f"{NOT_SOLVED}: a time derivative in the equation for {name} is not linear")
        carried = [s for s in itertools.chain(*form.slopes) if rest.has(s)]
        bare = rate and row < form.shown and not any(flux) and carried and form.lower != [row]
        if bare and not (all(form.periodic) and form.linear):
            raise UserError(
                f"{NOT_SOLVED}: in the equation for {name} the term {sympy.diff(rest, carried[0]) * carried[0]} "
                "carries it without any diffusion, so that shocks or unresolved fronts arise",
                mend="add a diffusion term, however small",
            )
        if any(e.has(sympy.DiracDelta) for e in (*flux, rest)):
            raise UserError(
                f"{NOT_SOLVED}: in the equation for {name} a factor that jumps stands before a derivative, which is a "
                "point source where it jumps",
                mend="write the flux under the derivative, as in u_t = d/dx(D(x) du/dx)",
            )
    if form.complex and not form.linear:
        raise UserError(f"{NOT_SOLVED}: it is complex and not linear")
    if form.complex and any(e.has(sympy.conjugate, sympy.Abs, sympy.re, sympy.im) for e in form.expressions):
        raise UserError(f"{NOT_SOLVED}: conjugates of a complex unknown are not treated")


def _mean_free(form: Form) -> list[int]:
    """Fields of which only derivatives matter."""
    found = []
    faces = [(axis, side) for axis, wrap in enumerate(form.periodic) if not wrap for side in (-1, 1)]
    moved = range(len(form.space)) if form.lower else ()
    held = all(face in form.fixed[i] for face in faces for i in moved)
    for j, value in enumerate(form.values):
        free = not form.fixed[j] and not any(e.has(value, form.rates[j]) for e in form.expressions)
        # The value of a pressure stands in the stress; it matters only where a velocity is free on a face.
        pressure = form.lower == [j] and not form.fixed[j] and not any(r.has(value) for r in form.rest) and held
        if free or pressure:
            found.append(j)
    return found
