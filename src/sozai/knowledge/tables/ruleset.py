"""The rules of one table together: read from a file, checked on rows, and brought about in rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from sozai.knowledge.tables.conditions import Condition
from sozai.knowledge.tables.rule import Rule


class TableRules:
    """Rules that hold at once.

    Args:
        rules: in the order in which they are told.
    """

    def __init__(self, rules: Iterable[Rule] = ()):
        self.rules = tuple(rules)

    @classmethod
    def parse(cls, texts: Sequence[str], columns: Sequence[str]) -> TableRules:
        """Conditions as typed on a command line, all hard.

        Raises:
            UserError: one cannot be read.
        """
        return cls(Condition(text, columns) for text in texts)

    def __add__(self, other: TableRules) -> TableRules:
        return TableRules((*self.rules, *other.rules))

    @property
    def hard(self) -> tuple[Rule, ...]:
        """Those that no generated row may break."""
        return tuple(rule for rule in self.rules if rule.severity == "hard")

    def amounts(self, frame: pd.DataFrame) -> pd.DataFrame:
        """How far each row (index as in ``frame``) breaks each rule (columns: places in ``rules``)."""
        return pd.DataFrame({place: rule.amounts(frame) for place, rule in enumerate(self.rules)}, index=frame.index)

    def obeyed(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows that break no hard rule, (rows,); a rule whose values are missing is not broken."""
        good = np.ones(len(frame), bool)
        for rule in self.hard:
            good &= ~(rule.amounts(frame) > 0)
        return good

    def repair(self, frame: pd.DataFrame, fixed: Iterable[str] = ()) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows changed as little as may be to obey all hard rules, and which of them do now (rows,).

        Args:
            frame: rows.
            fixed: columns that must not be changed.
        """
        kept = frozenset(fixed)
        for rule in self.hard:
            frame = rule.repair(frame, kept)
        return frame, self.obeyed(frame)
