"""Rules on what single columns, or some categories together, may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.tables.alternatives import Alternative, Comparison, Grid, Linear, Member, Part
from sozai.knowledge.tables.expression import TOLERANCE
from sozai.knowledge.tables.rule import Finding, Rule, Severity, shown


class Bounds(Rule):
    """What one column may hold: from ``low`` to ``high``, some values only, whole numbers only.

    Args:
        column: of numbers, or with ``values`` of categories.
        low: least value.
        high: greatest value.
        values: the only ones allowed, numbers or names.
        whole: whole numbers only.

    Raises:
        UserError: nothing is asked, or nothing is left.
    """

    kind = "bounds"

    def __init__(
        self,
        column: str,
        low: float | None = None,
        high: float | None = None,
        values: Sequence[float | str] = (),
        whole: bool = False,
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        where = where or f"bounds of '{column}'"
        self.column, self.low, self.high, self.whole = column, low, high, whole
        self.texts = any(isinstance(value, str) for value in values)
        if self.texts:
            self.values: tuple[Any, ...] = tuple(dict.fromkeys(map(str, values)))
        else:
            self.values = tuple(sorted({float(value) for value in values}))
        if low is None and high is None and not values and not whole:
            raise UserError("it allows everything", where, "give min, max, values or whole")
        if self.texts and (low is not None or high is not None or whole):
            raise UserError("names have no least or greatest value", where, "give either values or min and max")
        if low is not None and high is not None and low > high:
            raise UserError(f"min ({low:g}) is above max ({high:g})", where, "exchange them")
        if not self.texts:
            inside = [v for v in self.values if (low is None or v >= low) and (high is None or v <= high)]
            inside = [value for value in inside if not whole or value == round(value)]
            if self.values and not inside:
                raise UserError("none of the values lies between min and max", where, "change either")
            if whole and not values and low is not None and high is not None and np.ceil(low) > np.floor(high):
                raise UserError(f"there is no whole number from {low:g} to {high:g}", where, "change min or max")
            self.values = tuple(inside)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return (self.column,)

    def words(self) -> str:
        """See ``Rule``."""
        if self.values:
            return f"{self.column} in [{', '.join(map(shown, self.values))}]"
        low, high = (shown(each) if each is not None else "" for each in (self.low, self.high))
        text = f"{self.column} between {low} and {high}" if low and high else ""
        text = text or (f"{self.column} >= {low}" if low else f"{self.column} <= {high}" if high else "")
        return f"{text}{', ' if text else self.column + ' '}whole" if self.whole else text

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """See ``Rule``."""
        column = frame[self.column]
        if self.texts:
            known = column.isin(self.values).to_numpy() | column.astype(object).astype(str).isin(self.values).to_numpy()
            return np.where(column.isna(), np.nan, np.where(known, 0.0, 1.0))
        values = _numbers(frame, self.column)
        missed = np.zeros(len(values))
        if self.low is not None:
            missed = np.maximum(missed, _excess(self.low - values, values, self.low))
        if self.high is not None:
            missed = np.maximum(missed, _excess(values - self.high, values, self.high))
        if self.whole:
            missed = np.maximum(missed, _excess(np.abs(values - np.rint(values)), values, 0.0))
        if self.values:
            nearest = Grid(self.column, self.values).nearest(values)
            missed = np.maximum(missed, _excess(np.abs(values - nearest), values, nearest))
        return np.where(np.isnan(values), np.nan, missed)

    def alternatives(self) -> Sequence[Alternative]:
        """See ``Rule``."""
        if self.texts:
            return [(Member(self.column, frozenset(self.values)),)]
        parts: list[Part] = []
        if self.low is not None:
            parts.append(Comparison.of(Linear({self.column: -1.0}, float(self.low))))
        if self.high is not None:
            parts.append(Comparison.of(Linear({self.column: 1.0}, -float(self.high))))
        if self.values or self.whole:
            parts.append(Grid(self.column, self.values))
        return [tuple(parts)]

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        made: dict[str, Any] = {"bounds": self.column}
        if self.low is not None:
            made["min"] = float(self.low)
        if self.high is not None:
            made["max"] = float(self.high)
        if self.values:
            made["values"] = list(self.values)
        if self.whole:
            made["whole"] = True
        return made


class Combinations(Rule):
    """Which values of some columns may stand together.

    Args:
        names: columns.
        allowed: a value for each of them, for each combination.

    Raises:
        UserError: a combination has another number of values than there are columns, or there is none.
    """

    kind = "combinations"

    def __init__(
        self,
        names: Sequence[str],
        allowed: Sequence[Sequence[Any]],
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        self._names = tuple(names)
        if not allowed:
            raise UserError("no combination is allowed", where, "list at least one under 'allowed'")
        for values in allowed:
            if len(values) != len(self._names):
                raise UserError(
                    f"[{', '.join(map(shown, values))}] has {len(values)} values for {len(self._names)} columns",
                    where,
                    f"give one for each of {', '.join(self._names)}",
                )
        self.allowed = tuple(dict.fromkeys(tuple(shown(value) for value in values) for values in allowed))
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return self._names

    def words(self) -> str:
        """See ``Rule``."""
        some = "; ".join(" + ".join(values) for values in self.allowed[:4])
        more = f" and {len(self.allowed) - 4} more" if len(self.allowed) > 4 else ""
        return f"{' and '.join(self._names)} together: {some}{more}"

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """1 where the combination is not allowed."""
        texts = texts_of(frame, self._names)
        known = set(self.allowed)
        codes, unique = pd.factorize(pd.MultiIndex.from_frame(texts))
        good = np.array([tuple(each) in known for each in unique], bool)
        missing = frame[list(self._names)].isna().any(axis=1).to_numpy()
        return np.where(missing, np.nan, np.where(good[codes], 0.0, 1.0))

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"combinations": list(self._names), "allowed": [list(values) for values in self.allowed]}


class Unit(Rule):
    """The unit that a column must be in; no row breaks it: see ``wrong``.

    Args:
        column: of numbers.
        unit: as pint reads it.

    Raises:
        UserError: there is no such unit.
    """

    kind = "unit"
    level = "table"

    def __init__(
        self,
        column: str,
        unit: str,
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        self.column, self.unit, self.where = column, unit, where or f"unit of '{column}'"
        _quantity(unit, self.where)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return (self.column,)

    def words(self) -> str:
        """See ``Rule``."""
        return f"{self.column} in {self.unit}"

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """Always 0."""
        return np.zeros(len(frame))

    def findings(self, frame: pd.DataFrame) -> list[Finding]:
        """None: a frame has no units."""
        return []

    def wrong(self, units: Mapping[str, str]) -> Finding | None:
        """What is wrong with the unit that a column has, if it has one (``units``: by column)."""
        found = units.get(self.column, "")
        if not found or found == self.unit:
            return None
        try:
            has, must = _quantity(found, self.where), _quantity(self.unit, self.where)
        except UserError:
            message = f"'{self.column}' is in {found}, which is no known unit; it must be in {self.unit}"
            return Finding(self.name, (), (self.column,), 1.0, message, self.severity)
        if has.dimensionality != must.dimensionality:
            message = f"'{self.column}' is in {found}, which is no {self.unit}: another kind of quantity"
        elif np.isclose((1 * has).to(must).magnitude, 1, rtol=1e-9):
            return None
        else:
            message = f"'{self.column}' is in {found}, not in {self.unit}: multiply by {(1 * has).to(must).magnitude:g}"
        return Finding(self.name, (), (self.column,), 1.0, message, self.severity)

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"unit": self.column, "is": self.unit}


def texts_of(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """These columns as texts; numbers as a person writes them, so that 7.0 and 7 are the same."""
    return pd.DataFrame(
        {
            name: frame[name].map(shown) if frame[name].dtype.kind in "fiu" else frame[name].astype(object).astype(str)
            for name in names
        },
        index=frame.index,
    )


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    column = frame[name]
    if column.dtype.kind not in "fiub":
        if column.isna().all():
            return np.full(len(column), np.nan)
        raise UserError("a rule on numbers cannot judge texts", f"column '{name}'", "list its values instead")
    return column.to_numpy(float)


def _excess(missed: np.ndarray, values: np.ndarray, limit: Any) -> np.ndarray:
    """By how much it is missed, 0 within the error of printing."""
    return np.where((missed > TOLERANCE * (np.abs(values) + np.abs(limit))) | (missed == np.inf), missed, 0.0)


def _quantity(unit: str, where: str) -> Any:
    import pint

    global _registry
    if _registry is None:
        _registry = pint.UnitRegistry()
    try:
        return _registry.Unit(unit)
    except Exception as error:  # pint raises many kinds, tokenize's among them
        raise UserError(f"'{unit}' is no known unit", where, "write it such as MPa, kg/m^3 or degC") from error


_registry: Any = None
