"""Over how much of its time a manufactured solution can be followed: what grows or vibrates by itself sets the scale.

The order is one of the operator, whatever the time. But what grows by itself (a spinodal wave of Cahn and Hilliard)
multiplies every error of a manufactured solution, and a vibration that the mesh has and no step follows (of a beam on
few cells) never decays. Both are eigenvalues of the operator itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sozai.assistant.equations.pde.discrete import Discrete, Diverged
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.space import Space
from sozai.assistant.equations.pde.stepping import degrees_of, initial_state
from sozai.assistant.equations.problem import Problem

GROWTH, TURNS = 3.0, 20.0
"""Exponent by which a small error may grow over a manufactured solution's time, and angle (radians) that the fastest
vibration of its mesh may turn by."""
MOST_DENSE = 700
"""Numbers of a coarse mesh, at most, whose eigenvalues are computed."""


def suited(problem: Problem, known: Form, cells: Sequence[int], degree: int, turning: bool) -> tuple[Problem, float]:
    """The problem over as much of its time as a manufactured solution can be followed for, and that share.

    Args:
        problem: the person's.
        known: weak form of the manufactured problem.
        cells: of the coarsest mesh.
        degree: of the elements.
        turning: whether vibrations of the mesh stay for ever and disturb.
    """
    if known.span is None:
        return problem, 1.0
    numbers = eigenvalues(known, cells, degree)
    begin, end = known.span
    fastest = [numbers.real / GROWTH, *([np.abs(numbers.imag) / TURNS] if turning else [])]
    worst = max((float(each.max(initial=0.0)) for each in fastest), default=0.0) * (end - begin)
    if not worst > 1.0:
        return problem, 1.0
    share = float(f"{1.0 / worst:.2g}")
    until = begin + share * (end - begin)
    return replace(problem, domain={**problem.domain, str(problem.time): (begin, until)}), share


def eigenvalues(form: Form, cells: Sequence[int], degree: int) -> np.ndarray:
    """Rates at which small changes of the start grow (real part) and turn (imaginary part), on a coarse mesh.

    None where there are too many numbers for a dense matrix, or the start is not finite.
    """
    import scipy.linalg

    degrees = degrees_of(form, degree)
    discrete = Discrete(form, Space(form.box, cells, form.periodic, degrees), degrees)
    if not 0 < len(discrete.free) <= MOST_DENSE:
        return np.zeros(0, complex)
    begin = (form.span or (0.0, 0.0))[0]
    with np.errstate(all="ignore"):
        try:
            state = initial_state(discrete)
        except Diverged:
            return np.zeros(0, complex)
        still = discrete.derivative(begin, state, 0.0 * state, 0.0)
        mass = discrete.derivative(begin, state, 0.0 * state, 1.0) - still
        dense = [part[discrete.free][:, discrete.free].toarray() for part in (still, mass)]
        if not all(np.isfinite(part).all() for part in dense):
            return np.zeros(0, complex)
        above, below = scipy.linalg.eigvals(-dense[0], dense[1], homogeneous_eigvals=True)
        finite = np.abs(below) > 1e-10 * np.abs(below).max(initial=0.0)  # the others belong to equations without rates
        return np.asarray(above[finite] / below[finite])
