"""What is wanted: a column or a formula to be large, small or near a value."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.tables.expression import Expression
from sozai.materials.tables.table import Table

Aim = Literal["maximise", "minimise", "target"]
_NAMED = re.compile(r"([^=<>!]+?)\s*=(?!=)([^=<>]+)")
"""A name and its formula; a comparison is neither."""


@dataclass(frozen=True)
class Goal:
    """One wish.

    Args:
        aim: what to do with it.
        text: a column or a formula of columns, e.g. ``"2*cement + 8*superplasticizer"``, or a name for one.
        value: to come near to, of a target.
        named: the formula that ``text`` is a name for; empty where it is one itself.
    """

    aim: Aim
    text: str
    value: float = math.nan
    named: str = ""

    @classmethod
    def read(cls, aim: Aim, text: str) -> Goal:
        """A column, a formula, or a formula with a name: ``"cost = 2*cement + 8*superplasticizer"``."""
        name, formula = _NAMED.fullmatch(text).groups() if _NAMED.fullmatch(text) else ("", "")  # type: ignore[union-attr]
        return cls(aim, name.strip(), named=formula.strip()) if name.strip() else cls(aim, text.strip())

    @classmethod
    def target(cls, text: str) -> Goal:
        """Read ``"strength=120"``.

        Raises:
            UserError: it has no value, or one that is no number.
        """
        name, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not sign or not name.strip() or not math.isfinite(number):
            raise UserError("a target needs a value", f"--target {text}", 'write it as --target "strength=120"')
        return cls("target", name.rstrip("= ").strip(), number)

    @property
    def words(self) -> str:
        """``"maximise strength"``."""
        name = f"{self.text} ({self.named})" if self.named else self.text
        return f"{name} near {self.value:g}" if self.aim == "target" else f"{self.aim} {name}"

    def score(self, values: Any) -> Any:
        """The larger the better, whatever the aim; arrays and tensors alike."""
        if self.aim == "target":
            return -abs(values - self.value)
        return values if self.aim == "maximise" else -values

    def formula(self, columns: Sequence[str]) -> Expression:
        """The text as an expression of columns.

        Raises:
            UserError: it cannot be read, or is a condition.
        """
        expression = Expression(self.source(columns), columns, f"--{self.aim} {self.text}")
        if expression.condition:
            raise UserError("this is a condition, not a goal", expression.where, "put conditions into --given")
        if not expression.columns:
            raise UserError("this goal names no column", expression.where, f"the columns are {', '.join(columns)}")
        return expression

    def source(self, columns: Sequence[str]) -> str:
        """The formula as it may stand within a condition; headings such as "PROPERTY: HV" work as they are."""
        if not self.named:
            return f"`{self.text}`" if self.text in columns else f"({self.text})"
        if self.text in columns:
            raise UserError(
                "this name is a column's", f"--{self.aim} {self.text} = {self.named}", "give the formula another one"
            )
        return f"({self.named})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "aim": self.aim, "text": self.text, "value": None if math.isnan(self.value) else self.value,
            "named": self.named,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Goal:
        """What ``to_dict`` wrote."""
        value = math.nan if content["value"] is None else content["value"]
        return cls(content["aim"], content["text"], value, content.get("named", ""))


def outcomes_of(goals: Sequence[Goal], table: Table, said: Sequence[str] = ()) -> list[str]:
    """Columns that an experiment measures, as opposed to those that it sets.

    Without a word from the person these are the columns that stand alone as a goal; where none does, the column of
    the first goal that has only one (``"log10(conductivity)"``).

    Args:
        goals: what is wanted.
        table: whose columns they name.
        said: columns that the person says are measured; then only these are, and a goal may name a column that is set.

    Raises:
        UserError: there is no goal, none about something measured, or a goal is about a column that is no number.
    """
    if not goals:
        raise UserError("no goal is named", mend="say what is wanted, such as --maximise strength")
    names = list(table.columns)
    parsed = [goal.formula(names) for goal in goals]
    for goal, expression in zip(goals, parsed, strict=True):
        for name in expression.columns:
            if not table.columns[name].numeric:
                raise UserError(
                    f"column '{name}' holds no numbers (it is read as {table.columns[name].kind})",
                    f"--{goal.aim} {goal.text}",
                    "name a column of numbers, or correct its kind with --kinds",
                )
    if said:
        return list(dict.fromkeys(_column(name, names) for name in said))
    alone = [
        expression.columns[0]
        for expression in parsed
        if len(expression.columns) == 1 and expression.text.strip("`").casefold() == expression.columns[0].casefold()
    ]
    if not alone:
        alone = [expression.columns[0] for expression in parsed if len(expression.columns) == 1][:1]
    if not alone:
        raise UserError(
            "it is not clear which column is measured and which are set",
            f"--{goals[0].aim} {goals[0].text}",
            "name what is measured with --outcome",
        )
    return list(dict.fromkeys(alone))


def measured_values(goal: Goal, frame: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """A goal's formula on measured rows, (rows,); NaN where a value is missing or the formula has none."""
    values = np.asarray(goal.formula(columns).value(frame), float)
    return np.where(np.isfinite(values), values, np.nan)


def _column(name: str, names: Sequence[str]) -> str:
    found = [each for each in names if each == name] or [e for e in names if e.casefold() == name.strip().casefold()]
    if len(found) != 1:
        raise UserError(f"there is no column '{name}'", "--outcome", f"the columns are {', '.join(names)}")
    return found[0]
