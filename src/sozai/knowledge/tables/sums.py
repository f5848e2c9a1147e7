"""Rules that tie several columns: parts of a whole, and columns that follow from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.tables.alternatives import Alternative, Comparison, Linear, affine
from sozai.knowledge.tables.expression import TOLERANCE, Columns, Expression
from sozai.knowledge.tables.rule import Rule, Severity, shown


class Sum(Rule):
    """Parts of a whole, none negative: weight percents sum to 100, fractions to 1.

    Rows are brought to the sum by closure (each part divided by their sum: Aitchison, J. R. Stat. Soc. B 44, 139,
    1982), in which parts that are zero stay zero.

    Args:
        parts: columns.
        total: what they sum to.
        tolerance: by how much a sum may miss it.

    Raises:
        UserError: fewer than two parts, or the tolerance is no number of at least 0.
    """

    kind = "sum"

    def __init__(
        self,
        parts: Sequence[str],
        total: float = 100.0,
        tolerance: float = 0.0,
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        self.parts, self.total, self.tolerance = tuple(parts), float(total), float(tolerance)
        if len(set(self.parts)) < 2 or len(set(self.parts)) < len(self.parts):
            raise UserError("a sum needs at least two different columns", where, "name them all, each once")
        if not self.tolerance >= 0 or not self.total > 0:
            raise UserError("the total must be above 0 and the tolerance at least 0", where, "such as total: 100")
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return self.parts

    def words(self) -> str:
        """See ``Rule``."""
        within = f" within {shown(self.tolerance)}" if self.tolerance else ""
        return f"{' + '.join(self.parts)} = {shown(self.total)}{within}, none below 0"

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """The larger of what the sum misses beyond the tolerance and of the most negative part."""
        values = frame[list(self.parts)].to_numpy(float)
        missed = np.abs(values.sum(axis=1) - self.total) - self.tolerance
        missed = np.where(missed > TOLERANCE * 2 * self.total, missed, 0.0)
        return np.maximum(missed, np.where(values < 0, -values, 0.0).max(axis=1) + 0 * values.sum(axis=1))

    def closed(self, frame: pd.DataFrame, places: np.ndarray, kept: frozenset[str]) -> np.ndarray:
        """The parts of some rows by closure, (places, parts); those in ``kept`` stay as they are."""
        values = frame[list(self.parts)].to_numpy(float)[places]
        free = np.array([part not in kept for part in self.parts])
        made = np.where(free, np.maximum(values, 0.0), values)
        rest = self.total - made[:, ~free].sum(axis=1)
        loose = made[:, free].sum(axis=1)
        good = (rest >= 0) & (loose > 0)
        made[np.ix_(good, free)] *= (rest[good] / loose[good])[:, None]
        return np.where(good[:, None], made, values)

    def alternatives(self) -> Sequence[Alternative]:
        """See ``Rule``."""
        # Half of the tolerance is left to the rounding of the parts when they are printed.
        band, ones = self.tolerance / 2, dict.fromkeys(self.parts, 1.0)
        floors = tuple(Comparison.of(Linear({part: -1.0}, 0.0)) for part in self.parts)
        if not band:
            return [(Comparison.of(Linear(ones, -self.total, "=")), *floors)]
        minus = {part: -1.0 for part in self.parts}
        return [
            (
                Comparison.of(Linear(ones, -self.total - band)),
                Comparison.of(Linear(minus, self.total - band)),
                *floors,
            )
        ]

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        made: dict[str, Any] = {"sum": list(self.parts), "total": self.total}
        return {**made, "tolerance": self.tolerance} if self.tolerance else made


class Derived(Rule):
    """A column that follows from others: ``w_c = Water / Cement``. It is computed again after every change.

    Args:
        text: ``column = formula``.
        columns: of the table.
        tolerance: by which share of its value the column may differ, for measured or rounded ones.

    Raises:
        UserError: it cannot be read, or the column follows from itself.
    """

    kind = "derived"

    def __init__(
        self,
        text: str,
        columns: Sequence[str],
        tolerance: float = 0.0,
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        where = where or f"'{text}'"
        left, sign, right = str(text).partition("=")
        mend = "write such as w_c = Water / Cement"
        if not sign or right.startswith("="):
            raise UserError("a derived column needs a name, = and a formula", where, mend)
        target = Expression(left, columns, where)
        if target.text.strip("` ").casefold() != (target.columns or ("",))[0].casefold():
            raise UserError(f"'{left.strip()}' is no column", where, mend)
        self.column, self.tolerance = target.columns[0], float(tolerance)
        self.formula = Expression(right, columns, where)
        if self.formula.condition or not self.formula.columns:
            raise UserError("the right side must be a formula of other columns", where, mend)
        if self.column in self.formula.columns:
            raise UserError(f"'{self.column}' follows from itself", where, "leave it out of the formula")
        self.linear = affine(self.formula.tree, self.formula)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """The derived column first."""
        return (self.column, *self.formula.columns)

    def words(self) -> str:
        """See ``Rule``."""
        return f"{self.column} = {self.formula.text}"

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """Difference from the formula."""
        has, must = frame[self.column].to_numpy(float), self.computed(frame)
        missed = np.abs(has - must)
        with np.errstate(all="ignore"):
            slack = TOLERANCE * (np.abs(has) + self.formula.size(self.formula.tree, frame))
        slack = np.maximum(slack, self.tolerance * np.abs(must))
        return np.where(missed > slack, missed, np.where(np.isnan(missed), np.nan, 0.0))

    def computed(self, frame: Columns) -> np.ndarray:
        """The column as it follows from the others, (rows,)."""
        made = self.formula.number(self.formula.tree, frame)
        return np.where(np.isfinite(made), made, np.nan)

    def alternatives(self) -> Sequence[Alternative]:
        """See ``Rule``; for rows whose derived column is given."""
        if self.linear is not None:
            coefficients = {self.column: 1.0, **{name: -by for name, by in self.linear.coefficients.items()}}
            return [(Comparison.of(Linear(coefficients, -self.linear.constant, "=")),)]
        return [(Comparison(self.columns, "=", lambda frame: np.asarray(frame[self.column]) - self.computed(frame)),)]

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        made: dict[str, Any] = {"derived": f"{self.column} = {self.formula.text}"}
        return {**made, "tolerance": self.tolerance} if self.tolerance else made
