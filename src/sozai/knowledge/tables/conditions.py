"""Rules written as conditions on a row: one, if-then, and one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.tables.alternatives import Alternative, alternatives_of
from sozai.knowledge.tables.expression import Expression
from sozai.knowledge.tables.rule import Rule, Severity


class Condition(Rule):
    """A comparison of numbers or names, or several with and, or, not: ``"Water + Superplasticizer <= 300"``.

    Args:
        text: the condition, see ``Expression``.
        columns: of the table.

    Raises:
        UserError: it cannot be read, or is a number rather than a condition.
    """

    kind = "condition"

    def __init__(
        self,
        text: str,
        columns: Sequence[str],
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        self.expression = condition(text, columns, where)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return self.expression.columns

    def words(self) -> str:
        """See ``Rule``."""
        return self.expression.text

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """See ``Rule``."""
        return self.expression.amounts(frame)

    def alternatives(self) -> Sequence[Alternative] | None:
        """See ``Rule``."""
        return alternatives_of(self.expression)

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"condition": self.expression.text}


class IfThen(Rule):
    """Where one condition holds, another must: ``if: SP > 0``, ``then: Water < 200``.

    Args:
        premise: the condition after "if".
        consequence: the condition after "then".
        columns: of the table.

    Raises:
        UserError: one of them cannot be read.
    """

    kind = "if"

    def __init__(
        self,
        premise: str,
        consequence: str,
        columns: Sequence[str],
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        self.premise = condition(premise, columns, where)
        self.consequence = condition(consequence, columns, where)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return tuple(dict.fromkeys([*self.premise.columns, *self.consequence.columns]))

    def words(self) -> str:
        """See ``Rule``."""
        return f"if {self.premise.text} then {self.consequence.text}"

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """How far the consequence is missed where the premise holds."""
        then = self.consequence.amounts(frame)
        missing = self.premise.missing(frame)
        return np.where(missing, np.nan, np.where(self.premise.value(frame), then, 0.0))

    def alternatives(self) -> Sequence[Alternative] | None:
        """See ``Rule``."""
        not_if, then = alternatives_of(self.premise, negated=True), alternatives_of(self.consequence)
        return [*(not_if or []), *(then or [])] or None

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"if": self.premise.text, "then": self.consequence.text}


class AnyOf(Rule):
    """At least one of several conditions must hold.

    Args:
        texts: the conditions.
        columns: of the table.

    Raises:
        UserError: one of them cannot be read, or there are none.
    """

    kind = "any"

    def __init__(
        self,
        texts: Sequence[str],
        columns: Sequence[str],
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        if not texts:
            raise UserError("no condition is named", where, "write such as any: [Water < 150, Cement > 500]")
        self.choices = [condition(text, columns, where) for text in texts]
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return tuple(dict.fromkeys(name for choice in self.choices for name in choice.columns))

    def words(self) -> str:
        """See ``Rule``."""
        return " or ".join(choice.text for choice in self.choices)

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """How far the nearest of them is missed; NaN where none is known to hold and a value is missing."""
        each = np.stack([choice.amounts(frame) for choice in self.choices])
        worst = np.where(np.isnan(each).any(axis=0), np.nan, np.where(np.isnan(each), np.inf, each).min(axis=0))
        return np.where((each == 0).any(axis=0), 0.0, worst)

    def alternatives(self) -> Sequence[Alternative] | None:
        """See ``Rule``."""
        return [one for choice in self.choices for one in alternatives_of(choice) or []] or None

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"any": [choice.text for choice in self.choices]}


def condition(text: str, columns: Sequence[str], where: str = "") -> Expression:
    """An expression that is true or false of a row.

    Raises:
        UserError: it cannot be read, or is a number.
    """
    made = Expression(text, columns, where and f"{where}, '{text}'")
    if not made.condition:
        raise UserError("this is a number, not a condition", made.where, 'write such as Water <= 200 or Phase = "FCC"')
    return made
