"""Rules that no row can obey at once, found by linear programming.

Each choice of alternatives is a linear program (HiGHS through scipy); where none has a solution, rules are left out
one by one as long as the rest still contradict each other (the deletion filter of Chinneck and Dravnieks, ORSA J.
Comput. 3, 157, 1991). What is left cannot be left out: these are named. Conditions that are not linear are not judged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sozai.errors import UserError
from sozai.knowledge.tables.alternatives import Alternative, Comparison, Grid, Linear, Member, Part
from sozai.knowledge.tables.columns import Combinations
from sozai.knowledge.tables.rule import Rule

MOST_PROGRAMS = 400
"""Rules with so many alternatives that more linear programs would be needed count as possible."""


def require_possible(rules: Sequence[Rule], where: str = "") -> None:
    """Nothing, or an error where no row can obey all of these rules.

    Raises:
        UserError: names rules of which none can be left out.
    """
    judged = [(rule, _choices(rule)) for rule in rules if rule.level == "row"]
    known = [(rule, choices) for rule, choices in judged if choices]
    if _possible([choices for _, choices in known]):
        return
    place = 0
    while place < len(known):
        fewer = known[:place] + known[place + 1 :]
        if _possible([choices for _, choices in fewer]):
            place += 1
        else:
            known = fewer
    names = [f"'{rule.name}'" for rule, _ in known]
    if len(names) == 1:
        raise UserError(f"no row can obey the rule {names[0]}", where, "change it")
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    raise UserError(f"no row can obey {listed} at once", where, "change one of them or make it soft")


def _choices(rule: Rule) -> list[Alternative]:
    if isinstance(rule, Combinations):
        return [
            tuple(Member(name, frozenset([value])) for name, value in zip(rule.columns, values, strict=True))
            for values in rule.allowed
        ]
    return list(rule.alternatives() or [])


def _possible(rules: Sequence[Sequence[Alternative]]) -> bool:
    """Whether some choice of one alternative of each rule has a solution."""
    certain = [part for choices in rules if len(choices) == 1 for part in choices[0]]
    open_ones = sorted((choices for choices in rules if len(choices) > 1), key=len)
    left = [MOST_PROGRAMS]

    def search(parts: list[Part], place: int) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return True
        if not _solvable(parts):
            return False
        if place == len(open_ones):
            return True
        return any(search([*parts, *choice], place + 1) for choice in open_ones[place])

    return search(certain, 0)


def _solvable(parts: Sequence[Part]) -> bool:
    return _categories_left(parts) and _numbers_left(parts)


def _categories_left(parts: Sequence[Part]) -> bool:
    allowed: dict[str, frozenset[str]] = {}
    for part in parts:
        if isinstance(part, Member) and part.inside:
            allowed[part.column] = allowed.get(part.column, part.levels) & part.levels
    for part in parts:
        if isinstance(part, Member) and not part.inside and part.column in allowed:
            allowed[part.column] -= part.levels
    return all(allowed.values())


def _numbers_left(parts: Sequence[Part]) -> bool:
    from scipy.optimize import linprog

    forms: list[Linear] = []
    grids: dict[str, set[float]] = {}
    for part in parts:
        if isinstance(part, Comparison) and part.linear is not None:
            forms.append(part.linear)
        elif isinstance(part, Grid) and part.values:
            grids[part.column] = grids.get(part.column, set(part.values)) & set(part.values)
    for column, values in grids.items():
        if not values:
            return False
        forms += [Linear({column: 1.0}, -max(values)), Linear({column: -1.0}, min(values))]
    for form in forms:
        if not form.coefficients and not {"<=": form.constant <= 0, "<": form.constant < 0}.get(
            form.sign, form.constant == 0
        ):
            return False
    forms = [form for form in forms if form.coefficients]
    if not forms:
        return True
    names = list(dict.fromkeys(name for form in forms for name in form.coefficients))
    scale = dict.fromkeys(names, 0.0)  # so that 1e-10 S/cm is not lost in the solver's tolerance
    for form in forms:
        if len(form.coefficients) == 1:
            ((name, by),) = form.coefficients.items()
            scale[name] = max(scale[name], abs(form.constant / by))
    matrix = np.array([[form.coefficients.get(name, 0.0) * (scale[name] or 1.0) for name in names] for form in forms])
    size = np.abs(matrix).max(axis=1)
    matrix, right = matrix / size[:, None], -np.array([form.constant for form in forms]) / size
    strict = np.array([form.sign == "<" for form in forms])
    equal = np.array([form.sign == "=" for form in forms])
    # The last variable is by how much strict ones hold, as large as it can be.
    whole = np.column_stack([matrix, strict.astype(float)])
    found = linprog(
        np.r_[np.zeros(len(names)), -1.0],
        A_ub=whole[~equal] if (~equal).any() else None,
        b_ub=right[~equal] if (~equal).any() else None,
        A_eq=whole[equal] if equal.any() else None,
        b_eq=right[equal] if equal.any() else None,
        bounds=[(None, None)] * len(names) + [(0, 1)],
        method="highs",
    )
    if found.status == 2:
        return False
    return not (strict.any() and found.status == 0 and -found.fun < 1e-9)
