"""What every rule on a table is: it judges rows, and, where it is a hard one, can bring a row to obey it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

Severity = Literal["hard", "soft"]


class Rule(ABC):
    """A condition on single rows.

    Args:
        name: for verdicts and reports; by default the rule in words.
        severity: ``"hard"``: a row that breaks it is impossible, and no generated row does; ``"soft"``: it is told.
        source: what justifies it: a law, a standard, a paper, the person, or "found in the data".
    """

    kind: ClassVar[str]
    """The key by which a rule file names it."""

    def __init__(self, name: str = "", severity: Severity = "hard", source: str = ""):
        self.name, self.severity, self.source = name or self.words(), severity, source

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""

    @abstractmethod
    def words(self) -> str:
        """The rule as a person would write it, e.g. ``"Water <= 200"``."""

    @abstractmethod
    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """How far each row breaks it, (rows,): 0 where it holds, NaN where a value it needs is missing."""

    def repair(self, frame: pd.DataFrame, fixed: frozenset[str] = frozenset()) -> pd.DataFrame:
        """Rows changed as little as may be to obey it; columns in ``fixed`` stay as they are. A new frame.

        A rule that has no repair returns the rows as they are: the rows that break it are then drawn again.
        """
        return frame

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON (or YAML), which the rule file reads."""
