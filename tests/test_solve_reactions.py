"""Reactions: rate equations, what is conserved, and what a chemist may have meant otherwise."""

from __future__ import annotations

import math

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from sozai.assistant.equations.parse import read_problem
from sozai.assistant.equations.solve import solve
from sozai.assistant.equations.wellposed import check_problem
from sozai.errors import UserError


def rates(text: str) -> dict[str, sympy.Expr]:
    """Right-hand side by species, with plain symbols."""
    problem = read_problem(text)
    plain = {sympy.Function(name)(problem.time): sympy.Symbol(name) for name in problem.unknowns}
    by_name = {equation.lhs.expr.func.__name__: equation.rhs for equation in problem.equations}
    return {name: sympy.expand(right.xreplace(plain)) for name, right in by_name.items()}


def test_consecutive_reactions_have_their_textbook_solution():
    solution = solve(read_problem("A -> B -> C with k1 = 0.1 1/s and k2 = 0.05 1/s, A(0) = 1 mol/l, for 60 s"))
    assert solution.proven
    assert solution.values["A"][-1] == pytest.approx(1000 * math.exp(-6), rel=1e-9)
    exact = 1000 * 0.1 / (0.05 - 0.1) * (math.exp(-6) - math.exp(-3))
    assert solution.values["B"][-1] == pytest.approx(exact, rel=1e-9)
    assert solution.problem.units["C"] == "mol/m^3"  # follows from that of A
    assert "A + B + C is conserved" in next(v.message for v in solution.verdicts if v.rule == "conservation")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2 A <-> B, k = 0.5, kr = 0.1, [A]0 = 1", {"A": "-2*k*A**2 + 2*kr*B", "B": "k*A**2 - kr*B"}),
        ("A ⇌ B (kf, kb), kf = 1, kb = 2, A(0) = 1", {"A": "-kf*A + kb*B"}),
        ("E + S <-> ES -> E + P, k1 = 1, k-1 = 2, k2 = 3, E(0) = 1, S(0) = 1", {"E": "-k1*E*S + k1r*ES + k2*ES"}),
        ("second-order reaction A → B, k = 2, A(0) = 1", {"A": "-k*A**2"}),
        ("A -> B (kr), B -> C, kr = 1, k2 = 2, A(0) = 1", {"B": "kr*A - k2*B"}),
        ("A -> B, A -> C, k1 = 1, k2 = 2, A0 = 1", {"A": "-k1*A - k2*A", "C": "k2*A"}),
        ("2 H2 + O2 -> 2 H2O; k = 1; H2(0) = 1; O2(0) = 1", {"H2": "-2*k*H2**2*O2", "H2O": "2*k*H2**2*O2"}),
    ],
)
def test_mass_action(text, right):
    got = rates(text)
    for name, expression in right.items():
        names = {n: sympy.Symbol(n) for n in ("E", "S", "ES", "H2", "O2", "A", "B", "C")}
        assert sympy.expand(got[name] - sympy.sympify(expression, names)) == 0
    check_problem(read_problem(text))


def test_what_is_missing_or_contradictory_is_named():
    missing = [v.message for v in check_problem(read_problem("A + B -> C, A(0) = 1, k = 1")) if v.passed is False]
    assert any("B" in message for message in missing)
    with pytest.raises(UserError, match="order 1"):
        read_problem("first-order reaction A + B -> C, k = 1, A(0) = 1, B(0) = 1")
    with pytest.raises(UserError, match="nothing changes"):
        read_problem("A -> A, k = 1, A(0) = 1")


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4))
def test_a_chain_conserves_the_amount_that_its_numbers_say(numbers):
    """Of n_i X_i -> m_i Y_i with one chain of species, the weighted sum never changes."""
    parts, weights, weight = [], [1.0], 1.0
    for i, (before, after) in enumerate(numbers):
        parts.append(f"{before} X{i} -> {after} X{i + 1}")
        weight *= before / after
        weights.append(weight)
    constants = ", ".join(f"k{i + 1} = 1" for i in range(len(numbers))) + ", k = 1"
    got = rates(f"{', '.join(parts)}, {constants}, X0(0) = 1")
    total = sum(w * got[f"X{i}"] for i, w in enumerate(weights))
    assert all(abs(number) < 1e-12 for number in sympy.expand(total).as_coefficients_dict().values())
