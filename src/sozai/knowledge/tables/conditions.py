"""Rules written as one condition on a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sozai.knowledge.tables.expression import Expression
from sozai.knowledge.tables.rule import Rule, Severity

TOLERANCE = 1e-6
"""Share of the numbers' size by which a comparison may be missed: what printing and reading a file changes."""


class Condition(Rule):
    """A comparison of numbers or names, or several with and, or, not: ``"Water + Superplasticizer <= 300"``.

    Args:
        text: the condition, see ``Expression``.
        columns: of the table.
    """

    kind = "condition"

    def __init__(
        self, text: str, columns: Sequence[str], name: str = "", severity: Severity = "hard", source: str = ""
    ):
        self.expression = Expression(text, columns)
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

    def to_dict(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {self.kind: self.expression.text, "name": self.name, "severity": self.severity, "source": self.source}
