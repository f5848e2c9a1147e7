"""Random initial data that every mesh sees alike: a sum of few waves with random amplitudes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sympy

from sozai.assistant.equations.problem import Problem

WAVES = {1: 8, 2: 5, 3: 3}
"""Waves along each axis: coarse enough for the meshes that are compared."""


def without_noise(problem: Problem, seed: int) -> Problem:
    """The problem with a random sum of waves, at most ``a`` high, in place of each ``noise(a)``.

    Numbers drawn at each node would be another problem on each mesh, and no order of convergence could be seen.

    Args:
        problem: the person's.
        seed: of the amplitudes; each unknown has its own.
    """
    random = np.random.default_rng(seed)
    conditions, found = [], False
    for condition in problem.conditions:
        if condition.value is None:
            conditions.append(condition)
            continue
        value = sympy.sympify(condition.value)
        for call in sorted((c for c in value.atoms(sympy.Function) if _is_noise(c)), key=str):
            value = value.subs(call, call.args[0] * _waves(problem, random))
            found = True
        conditions.append(replace(condition, value=value))
    if not found:
        return problem
    note = "noise was read as a random sum of waves of at most this height, the same on every mesh"
    return replace(problem, conditions=tuple(conditions), notes=(*problem.notes, note))


def _is_noise(call: sympy.Function) -> bool:
    return call.func.__name__ == "noise"


def _waves(problem: Problem, random: np.random.Generator) -> sympy.Expr:
    """Between -1 and 1; without slope at the ends, or periodic."""
    space = problem.space
    most = WAVES[len(space)]
    made = sympy.S.Zero
    for numbers in np.ndindex(*([most + 1] * len(space))):
        if not any(numbers):
            continue
        part = sympy.Rational(str(round(float(random.normal()), 6)))
        for symbol, number in zip(space, numbers, strict=True):
            low, high = (sympy.Rational(str(float(e))) for e in problem.domain[str(symbol)])
            wraps = any(c.kind == "periodic" and c.where.startswith(str(symbol)) for c in problem.conditions)
            along = (symbol - low) / (high - low) * sympy.pi * number
            part *= sympy.cos(2 * along + number) if wraps else sympy.cos(along)
        made += part
    count = 33 if len(space) < 3 else 17
    ends = [problem.domain[str(symbol)] for symbol in space]
    axes = [np.linspace(float(low), float(high), count) for low, high in ends]
    grid = np.meshgrid(*axes, indexing="ij")
    height = float(np.abs(sympy.lambdify(list(space), made, "numpy")(*grid)).max())
    return made * sympy.Rational(str(round(1.0 / (1.05 * height), 6)))
