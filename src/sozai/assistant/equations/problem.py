"""An equation with all that makes it a problem: unknowns, domain, conditions, numbers; and its solution.

Symbols are plain ``sympy.Symbol(name)`` and unknowns ``sympy.Function(name)(*space, time)`` (the time last, and only
where there is one), without assumptions, so that equal names are equal symbols. Operators such as the Laplacian are
written out in derivatives; vectors in components. The domain is always a box. Known equations by ``Problem.name``:

=======================  ===================  =================  ==================================================
name                     unknowns             parameters         equation (a source is part of the equation itself)
=======================  ===================  =================  ==================================================
heat, fick               u, c                 D                  u_t = D lap(u) + source
fisher-kpp               u                    D, r               u_t = D lap(u) + r u (1 - u)
gray-scott               u, v                 Du, Dv, F, k       u_t = Du lap(u) - u v^2 + F (1 - u), ...
allen-cahn               u                    M, eps             u_t = M (eps^2 lap(u) + u - u^3)
cahn-hilliard            c                    M, eps             c_t = M lap(c^3 - c - eps^2 lap(c))
laplace, poisson         u                                       -lap(u) = source
helmholtz                u                    k                  lap(u) + k^2 u = source
wave                     u                    c                  u_tt = c^2 lap(u) + source
burgers                  u                    nu                 u_t + u u_x = nu u_xx
linear-elasticity        ux, uy, uz           lam, mu            -(lam + mu) grad(div(u)) - mu lap(u) = body force
stokes                   ux, uy, uz, p        mu                 -mu lap(u) + grad(p) = body force, div(u) = 0
poisson-nernst-planck    cp, cn, phi          Dp, Dn, zp, zn,    cp_t = div(Dp (grad(cp) + zp cp grad(phi))), ...,
                                              eps                -eps^2 lap(phi) = zp cp + zn cn
=======================  ===================  =================  ==================================================

In one dimension the vector unknowns are ``ux`` alone; any other equation has the name ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np
    import sympy

ORDINARY, PARTIAL = 1e-8, 1e-3
"""Error that is allowed where the person names none, relative to the largest value: of ordinary equations, and of
partial ones, where each further digit costs many times the work."""

ConditionKind = Literal["initial", "dirichlet", "neumann", "robin", "periodic"]


@dataclass(frozen=True)
class Condition:
    """What holds at the start or on the boundary.

    Attributes:
        kind: initial; dirichlet: the value; neumann: the derivative along the outward normal; robin:
            ``derivative along the outward normal + coefficient * value``; periodic: nothing else is stated, once for
            each of the two faces. Of linear elasticity and Stokes flow a neumann value is that component of the
            traction on the face. An equation of fourth order has two conditions on a face (the second by
            ``derivative`` 2: the second derivative, or 3: the third, both along the outward normal).
        unknown: name of the function.
        where: ``"t"`` for an initial condition; ``"x-"``, ``"x+"``, ``"y-"`` ... for a face; ``"boundary"`` for all.
        value: expression in the remaining coordinates and the parameters; ``noise(a)``, a ``sympy.Function``, stands
            for a random number between -a and a at each point of the grid, drawn from the seed.
        derivative: order of the time derivative an initial condition states; see above for faces.
        coefficient: of a robin condition.
    """

    kind: ConditionKind
    unknown: str
    where: str
    value: sympy.Expr | None = None
    derivative: int = 0
    coefficient: sympy.Expr | None = None


@dataclass(frozen=True)
class Problem:
    """A mathematical problem, all numbers in consistent units.

    Attributes:
        text: as the person wrote it.
        kind: ``"ode"``, ``"dae"`` or ``"pde"``.
        name: of a known equation (``"heat"``, ``"cahn-hilliard"``, ``"linear-elasticity"``, ...), else ``""``.
        equations: each ``left = right``, as sympy writes them; unknowns are ``sympy.Function(name)(coordinates)``.
        unknowns: names, in order.
        time: the time variable's symbol, ``None`` of a steady problem. Of an initial value problem for ordinary
            equations: the independent variable, whatever its name.
        space: symbols of the space variables, at most three; of a boundary value problem for ordinary equations the
            one independent variable.
        domain: by symbol's name: from and to (of time too).
        conditions: initial and boundary ones.
        parameters: numbers by symbol's name; they are not yet put into the equations.
        units: by name, for results and plots; empty when all is dimensionless.
        notes: what was assumed, for a person.
    """

    text: str
    kind: Literal["ode", "dae", "pde"]
    name: str
    equations: tuple[sympy.Eq, ...]
    unknowns: tuple[str, ...]
    time: sympy.Symbol | None
    space: tuple[sympy.Symbol, ...]
    domain: Mapping[str, tuple[float, float]]
    conditions: tuple[Condition, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Solution:
    """Numbers with an error bar, and what was proven of them.

    Attributes:
        problem: that is solved.
        method: one sentence: library, scheme, resolution.
        closed_form: by unknown, as sympy text; empty where none was found.
        axes: coordinates by name (``"t"``, ``"x"``, ...), each one-dimensional.
        values: by unknown: an array over the axes in their order.
        error: estimated largest error by unknown, in the unknown's unit.
        verdicts: of the proof: residual, order of convergence, conservation, closed form, second method.
        shown: a sentence on what was and was not shown.
        script: Python text that reproduces the numbers with the libraries alone.
        notes: warnings for a person.
    """

    problem: Problem
    method: str
    axes: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    error: Mapping[str, float]
    verdicts: Sequence[Verdict]
    shown: str
    script: str
    closed_form: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """No verdict failed, and at least one held."""
        return not any(verdict.passed is False for verdict in self.verdicts) and any(
            verdict.passed for verdict in self.verdicts
        )
