"""The rules of one table together: read from a file, checked on rows, and brought about in rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.tables.columns import Unit
from sozai.knowledge.tables.conditions import Condition
from sozai.knowledge.tables.rule import Finding, Rule, obeyed
from sozai.knowledge.tables.rulefile import read_rules, rules_from, write_rules
from sozai.knowledge.tables.schema import TableLike, schema_rules


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
            UserError: one cannot be read, or they contradict each other.
        """
        made = cls(Condition(text, columns) for text in texts)
        made.require_possible()
        return made

    @classmethod
    def load(cls, path: str | Path, columns: Sequence[str], units: Mapping[str, str] | None = None) -> TableRules:
        """A rule file, see ``rulefile``.

        Args:
            path: YAML.
            columns: of the table.
            units: by column, for the rules on units.

        Raises:
            UserError: it cannot be read, a rule is wrong, hard rules contradict each other, or a column is in a unit
                that a hard rule does not allow.
        """
        made = cls(read_rules(path, columns))
        made.require_possible(str(path))
        for finding in made.wrong_units(units or {}):
            if finding.severity == "hard":
                raise UserError(finding.message, str(path), "convert the column, or change its unit in the schema")
        return made

    @classmethod
    def for_table(cls, path: str | Path, table: TableLike) -> TableRules:
        """A rule file about the columns of a table, whose units it may ask for; see ``load``."""
        units = {name: column.unit for name, column in table.columns.items() if column.unit}
        return cls.load(path, list(table.columns), units)

    @classmethod
    def from_dict(cls, content: Any, columns: Sequence[str]) -> TableRules:
        """Rules from what ``to_dict`` gives.

        Raises:
            UserError: a rule is wrong.
        """
        return cls(rules_from(content, columns))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as in the rule file."""
        return {"rules": [rule.to_dict() for rule in self.rules]}

    def save(self, path: str | Path) -> None:
        """Write the rule file.

        Raises:
            UserError: it cannot be written.
        """
        write_rules(self.rules, path)

    def __add__(self, other: TableRules) -> TableRules:
        return TableRules((*self.rules, *other.rules))

    def __len__(self) -> int:
        return len(self.rules)

    @property
    def hard(self) -> tuple[Rule, ...]:
        """Those that no generated row may break."""
        return tuple(rule for rule in self.rules if rule.severity == "hard")

    def within(self, columns: Iterable[str]) -> TableRules:
        """Those that read these columns only."""
        known = set(columns)
        return TableRules(rule for rule in self.rules if known.issuperset(rule.columns))

    def amounts(self, frame: pd.DataFrame) -> pd.DataFrame:
        """How far each row (index as in ``frame``) breaks each rule (columns: places in ``rules``)."""
        return pd.DataFrame({place: rule.amounts(frame) for place, rule in enumerate(self.rules)}, index=frame.index)

    def findings(self, frame: pd.DataFrame) -> list[Finding]:
        """Where the rules are broken, rule by rule: by single rows, by rows together, and by the whole table."""
        return [finding for rule in self.rules for finding in rule.findings(frame)]

    def wrong_units(self, units: Mapping[str, str]) -> list[Finding]:
        """Columns in another unit than a rule asks (``units``: by column; unknown ones are not judged)."""
        found = [rule.wrong(units) for rule in self.rules if isinstance(rule, Unit)]
        return [finding for finding in found if finding is not None]

    def obeyed(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows that break no hard rule, (rows,); a rule whose values are missing is not broken."""
        return obeyed(self.hard, frame)

    def require_possible(self, where: str = "") -> None:
        """Nothing, or an error where no row can obey all hard rules.

        Raises:
            UserError: names the rules in conflict.
        """
        from sozai.knowledge.tables.conflicts import require_possible

        require_possible(self.hard, where)

    def repair(
        self, frame: pd.DataFrame, fixed: Iterable[str] = (), scales: Mapping[str, float] | None = None
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows changed as little as may be to obey all hard rules, and which of them do now (rows,).

        Rows that obey already are not touched. Rules that judge rows together are brought about among the rows of
        ``frame``: pass all rows at once where there are such.

        Args:
            frame: rows.
            fixed: columns that must not be changed.
            scales: by column, the change that counts as one; by default the spread of the column in ``frame``.
        """
        from sozai.knowledge.tables.repair import repaired

        return repaired(self.hard, frame, frozenset(fixed), scales or {})


def rules_of(table: TableLike) -> TableRules:
    """The rules that follow from what a table's columns are, see ``schema``: hard ones, and soft ones on what was seen.

    Args:
        table: a ``Table``.
    """
    return TableRules(schema_rules(table))
