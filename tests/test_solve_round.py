"""Spheres and cylinders: one coordinate, and the series of the textbook."""

from __future__ import annotations

import math

import pytest
from scipy.special import j1, jn_zeros

from sozai.assistant.equations.parse import read_problem
from sozai.assistant.equations.solve import solve
from sozai.errors import UserError

pytest.importorskip("skfem")


@pytest.mark.parametrize(
    ("body", "centre"),
    [
        (
            "a sphere of radius 2 mm",
            1 + 2 * sum((-1) ** n * math.exp(-((n * math.pi) ** 2) * 0.1) for n in range(1, 9)),
        ),
        ("a long cylinder of diameter 4 mm", 1 - sum(2 / (a * j1(a)) * math.exp(-a * a * 0.1) for a in jn_zeros(0, 8))),
    ],
)
def test_round_bodies_have_the_series_of_crank(body, centre):
    """Crank, The Mathematics of Diffusion, eqs 6.19 and 5.22, at the centre and D t / a^2 = 0.1."""
    text = f"diffusion in {body}, D = 1e-11 m2/s, surface concentration 1, initially 0, for 40000 s"
    solution = solve(read_problem(text), tolerance=5e-3)
    assert solution.proven
    assert solution.values["c"][-1, 0] == pytest.approx(centre, abs=solution.error["c"])
    agreement = next(verdict for verdict in solution.verdicts if verdict.rule == "second_method")
    assert agreement.passed, agreement.message


def test_round_bodies_that_are_not_solved_are_named():
    for text, words in (
        ("wave equation in a sphere of radius 1", "round bodies"),
        ("diffusion in a hollow sphere, D = 1", "size of the round body"),
        ("heat equation on a disc of radius 1, D = 1", "size of the round body"),
    ):
        with pytest.raises(UserError, match=words):
            read_problem(text)
