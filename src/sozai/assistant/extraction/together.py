"""Which properties are measured together, so that the temperature of one is that of the others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sozai.assistant.extraction.conditions import Condition
from sozai.assistant.extraction.quantities import Found

_TOGETHER = (
    frozenset(["seebeck_coefficient", "thermal_conductivity", "power_factor", "thermoelectric_figure_of_merit", "electronic_conductivity", "charge_mobility"]),  # noqa: E501
    frozenset(["tensile_strength", "yield_strength", "elongation_at_break", "toughness", "compressive_strength"]),
    frozenset(["dielectric_constant", "dielectric_loss"]),
    frozenset(["magnetization", "coercivity"]),
)  # fmt: skip
"""Properties that are measured together: the temperature of one is that of the others."""


def without_bound(
    conditions: Sequence[Condition], value: Found, name: str, others: Sequence[tuple[Found, str]], plain: str
) -> list[Condition]:
    """The conditions without temperatures that stand right behind an earlier value of another property of a material.

    "A conductivity of 95 mS/cm at 80 degC and a swelling ratio of 12%": the swelling was measured at no known one.

    Args:
        conditions: of the sentence.
        value: in the sentence, of the property ``name``.
        others: the sentence's values of other properties, with their names.
        plain: text with unified signs.
    """

    def bound(condition: Condition) -> bool:
        return condition.end <= value.start and any(
            re.fullmatch(r"\s?(?:\(|at|@)\s?(?:about\s|~\s?)?", plain[other.end : condition.start]) is not None
            and not any({name, whose} <= family for family in _TOGETHER)
            for other, whose in others
        )

    return [condition for condition in conditions if condition.name != "temperature" or not bound(condition)]
