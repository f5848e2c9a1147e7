"""An equation with all that makes it a problem: unknowns, domain, conditions, numbers; and its solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np
    import sympy

ConditionKind = Literal["initial", "dirichlet", "neumann", "robin", "periodic"]


@dataclass(frozen=True)
class Condition:
    """What holds at the start or on the boundary.

    Attributes:
        kind: initial; dirichlet: the value; neumann: the derivative along the outward normal; robin:
            ``derivative along the outward normal + coefficient * value``; periodic: nothing else is stated.
        unknown: name of the function.
        where: ``"t"`` for an initial condition; ``"x-"``, ``"x+"``, ``"y-"`` ... for a face; ``"boundary"`` for all.
        value: expression in the remaining coordinates.
        derivative: order of the time derivative an initial condition states.
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
        time: the time variable's symbol, ``None`` of a steady problem.
        space: symbols of the space variables, at most three.
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
