"""What every rule on a table is: it judges rows or whole tables and says what it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sozai.knowledge.tables.alternatives import Alternative

Severity = Literal["hard", "soft"]
SEVERITIES: tuple[Severity, ...] = ("hard", "soft")


@dataclass(frozen=True)
class Finding:
    """A place where a rule is broken.

    Args:
        rule: its name.
        rows: labels of the rows in the frame: one, several that contradict each other (the one that is most likely
            wrong is not known), or none where it is about the whole table.
        columns: the columns concerned.
        amount: how far it is broken, in the unit of the values; of names 1.
        message: one sentence a person can act on.
        severity: of the rule.
    """

    rule: str
    rows: tuple[Hashable, ...]
    columns: tuple[str, ...]
    amount: float
    message: str
    severity: Severity = "hard"


class Rule(ABC):
    """Something that must be true of rows (``level`` "row"), or of several rows together (``level`` "table").

    Args:
        name: for verdicts and reports; by default the rule in words.
        severity: ``"hard"``: a row that breaks it is impossible, and no generated row does; ``"soft"``: it is told.
        source: what justifies it: a law, a standard, a paper, the person, or "found in the data".
    """

    kind: ClassVar[str]
    """The key by which a rule file names it."""
    level: ClassVar[Literal["row", "table"]] = "row"

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
        """How far each row breaks it, (rows,): 0 where it holds, NaN where a value it needs is missing.

        A rule of the table's level judges the rows of ``frame`` together: the amount of a row is that of the worst
        contradiction it takes part in, which need not be its own fault (``findings`` names the pairs).
        """

    def findings(self, frame: pd.DataFrame) -> list[Finding]:
        """Where ``frame`` breaks it: of a row rule one finding a row."""
        amounts = self.amounts(frame)
        found = []
        for place in np.flatnonzero(amounts > 0):
            row = frame.iloc[place]
            values = ", ".join(f"{name} = {shown(row[name])}" for name in self.columns if name in frame.columns)
            message = f"{self.words()} does not hold: {values}"
            found.append(
                Finding(self.name, (frame.index[place],), self.columns, float(amounts[place]), message, self.severity)
            )
        return found

    def alternatives(self) -> Sequence[Alternative] | None:
        """The rule as alternatives, each some (in)equalities and categories that must hold together.

        ``None`` where it cannot be so written; then rows that break it are not mended but drawn again.
        """
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON (or YAML), which the rule file reads."""
        content = self.content()
        if self.name != self.words():
            content["name"] = self.name
        content["severity"] = self.severity
        if self.source:
            content["source"] = self.source
        return content

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What the rule file says of this rule besides name, severity and source; the rule's kind comes first."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.words()!r} {self.severity}>"


def obeyed(rules: Iterable[Rule], frame: pd.DataFrame) -> np.ndarray:
    """Rows that break none of the rules, (rows,)."""
    good = np.ones(len(frame), bool)
    for rule in rules:
        good &= ~(rule.amounts(frame) > 0)
    return good


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | int | np.number):
        return f"{float(value):.6g}"
    return "missing" if value is None else str(value)
