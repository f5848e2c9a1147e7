"""Rules that rows are judged by together: trends, correlations, and measurements that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.tables.columns import texts_of
from sozai.knowledge.tables.rule import Finding, Rule, Severity, shown


class Monotone(Rule):
    """One column does not fall (or rise) with another where all else is equal: strength with age.

    Args:
        column: that follows.
        driver: that it follows.
        rising: whether it does not fall with the driver; else it does not rise.
        given: columns that must be equal for two rows to be compared; by default all others of the frame.
        tolerance: by how much it may, for the scatter of measurements; in the column's unit.

    Raises:
        UserError: both columns are the same.
    """

    kind = "monotone"
    level = "table"

    def __init__(
        self,
        column: str,
        driver: str,
        rising: bool = True,
        given: Sequence[str] = (),
        tolerance: float = 0.0,
        name: str = "",
        severity: Severity = "hard",
        source: str = "",
        where: str = "",
    ):
        if column == driver:
            raise UserError(f"'{column}' cannot follow itself", where, "name another column")
        self.column, self.driver, self.rising = column, driver, rising
        self.given, self.tolerance = tuple(given), float(tolerance)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column and its driver."""
        return (self.column, self.driver)

    def words(self) -> str:
        """See ``Rule``."""
        equal = f"equal {', '.join(self.given)}" if self.given else "all else equal"
        return f"{self.column} does not {'fall' if self.rising else 'rise'} with {self.driver}, {equal}"

    def compared(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows that can be compared with others, by group and driver: ``place``, ``group``, ``x``, ``y`` (rising)."""
        y = frame[self.column].to_numpy(float) * (1 if self.rising else -1)
        rows = pd.DataFrame(
            {"place": np.arange(len(frame)), "group": groups_of(frame, self.given, self.columns),
             "x": frame[self.driver].to_numpy(float), "y": y}
        )  # fmt: skip
        rows = rows.dropna()
        rows = rows[rows.groupby("group")["x"].transform("nunique") > 1]
        return rows.sort_values(["group", "x", "y"], kind="stable").reset_index(drop=True)

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """See ``Rule``."""
        missed = np.where(frame[[*self.columns]].isna().any(axis=1), np.nan, 0.0)
        rows = self.compared(frame)
        if len(rows):
            below, above, _ = _extremes(rows)
            worst = np.fmax((below - rows["y"]).to_numpy(), (rows["y"] - above).to_numpy())
            missed[rows["place"]] = np.where(worst > self._slack(rows), worst, 0.0)
        return missed

    def findings(self, frame: pd.DataFrame) -> list[Finding]:
        """One for each row that lies on the wrong side of one with a lower driver, and the worst such row."""
        rows = self.compared(frame)
        found: list[Finding] = []
        if not len(rows):
            return found
        below, _, which = _extremes(rows)
        gap = (below - rows["y"]).to_numpy()
        alike = f"are equal in {', '.join(self.given)}" if self.given else f"differ only in {self.driver}"
        for place in np.flatnonzero(gap > self._slack(rows)):
            one, two = rows["place"].iloc[int(which[place])], rows["place"].iloc[place]
            labels = (frame.index[one], frame.index[two])
            values = [
                f"{shown(frame[self.column].iloc[each])} at {self.driver} {shown(frame[self.driver].iloc[each])}"
                for each in (one, two)
            ]
            message = (
                f"rows {labels[0]} and {labels[1]} {alike}, but {self.column} "
                f"{'falls' if self.rising else 'rises'}: {values[0]}, {values[1]}"
            )
            found.append(Finding(self.name, labels, self.columns, float(gap[place]), message, self.severity))
        return found

    def repaired(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The column as near as may be to what it was, but monotone in each group of rows that can be compared.

        Least squares by pooling adjacent violators (Ayer et al., Ann. Math. Stat. 26, 641, 1955), ties in the driver
        by Kruskal's primary approach.
        """
        from sklearn.isotonic import isotonic_regression

        rows = self.compared(frame)
        if not len(rows):
            return frame
        below, _, _ = _extremes(rows)
        wrong = rows["group"][(below - rows["y"]).to_numpy() > self._slack(rows)].unique()
        if not len(wrong):
            return frame
        values = frame[self.column].to_numpy(float).copy()
        for _, part in rows[rows["group"].isin(wrong)].groupby("group"):
            made = isotonic_regression(part["y"].to_numpy())
            values[part["place"]] = made if self.rising else -made
        return frame.assign(**{self.column: values})

    def _slack(self, rows: pd.DataFrame) -> np.ndarray:
        return np.maximum(self.tolerance, 1e-5 * 2 * rows["y"].abs().to_numpy())

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        made: dict[str, Any] = {
            "monotone": self.column,
            "rises_with" if self.rising else "falls_with": self.driver,
        }
        if self.given:
            made["given"] = list(self.given)
        return {**made, "tolerance": self.tolerance} if self.tolerance else made


class Correlation(Rule):
    """A correlation that theory expects over the whole table; always soft, for no row alone breaks it.

    Args:
        one: column.
        two: column.
        sign: of Spearman's rank correlation.
        least: its least size.

    Raises:
        UserError: it is asked to be hard, or the columns are the same.
    """

    kind = "correlation"
    level = "table"

    def __init__(
        self,
        one: str,
        two: str,
        sign: Literal["positive", "negative"] = "positive",
        least: float = 0.0,
        name: str = "",
        severity: Severity = "soft",
        source: str = "",
        where: str = "",
    ):
        if severity == "hard":
            raise UserError("a correlation cannot be hard: no row alone breaks it", where, "write severity: soft")
        if one == two:
            raise UserError(f"'{one}' is named twice", where, "name two columns")
        if not 0 <= least <= 1:
            raise UserError(f"at_least is {least:g}", where, "give a number from 0 to 1")
        self.one, self.two, self.sign, self.least = one, two, sign, float(least)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return (self.one, self.two)

    def words(self) -> str:
        """See ``Rule``."""
        size = f", at least {self.least:g}" if self.least else ""
        return f"{self.one} and {self.two} correlate: {self.sign}{size}"

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """Always 0: no row alone breaks it."""
        return np.zeros(len(frame))

    def findings(self, frame: pd.DataFrame) -> list[Finding]:
        """One about the table where the sign is wrong beyond chance (5%) or the size too small."""
        from scipy.stats import spearmanr

        known = frame[[*self.columns]].dropna()
        if len(known) < 5 or (known.nunique() < 2).any():
            return []
        found = spearmanr(known[self.one], known[self.two])
        value = float(found.statistic) * (1 if self.sign == "positive" else -1)
        if value >= self.least or (self.least == 0 and found.pvalue > 0.05):
            return []
        message = (
            f"{self.words()}, but Spearman's correlation is {float(found.statistic):.2f} over {len(known)} rows: "
            "the columns may be swapped, in the wrong unit, or the rows chosen one-sidedly"
        )
        return [Finding(self.name, (), self.columns, self.least - value, message, self.severity)]

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        made: dict[str, Any] = {"correlation": [self.one, self.two], "sign": self.sign}
        return {**made, "at_least": self.least} if self.least else made


class Duplicates(Rule):
    """Rows that are equal in some columns do not disagree in another.

    Args:
        column: that must agree.
        given: columns that make rows duplicates; by default all others of the frame.
        tolerance: by which share of their mean the values may differ.
    """

    kind = "duplicates"
    level = "table"

    def __init__(
        self,
        column: str,
        given: Sequence[str] = (),
        tolerance: float = 0.1,
        name: str = "",
        severity: Severity = "soft",
        source: str = "",
        where: str = "",
    ):
        if column in given:
            raise UserError(f"'{column}' is among the columns that are equal", where, "leave it out of them")
        self.column, self.given, self.tolerance = column, tuple(given), float(tolerance)
        super().__init__(name, severity, source)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that must agree."""
        return (self.column,)

    def words(self) -> str:
        """See ``Rule``."""
        equal = f"equal {', '.join(self.given)}" if self.given else "all else equal"
        return f"rows with {equal} agree in {self.column} within {self.tolerance:.0%}"

    def _spread(self, frame: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
        column = frame[self.column]
        group = groups_of(frame, self.given, self.columns)
        if column.dtype.kind not in "fiub":
            unlike = column.groupby(group).nunique().gt(1).astype(float)
            return group, pd.DataFrame({"gap": unlike, "slack": 0.0})
        by = column.astype(float).groupby(group)
        slack = np.maximum(self.tolerance, 2e-5) * by.mean().abs()
        return group, pd.DataFrame({"gap": by.max() - by.min(), "slack": slack})

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """Difference of the most unlike values of the row's duplicates, where it is too large."""
        group, each = self._spread(frame)
        wrong = each["gap"].where(each["gap"] > each["slack"], 0.0).reindex(group).to_numpy()
        return np.where(frame[self.column].isna(), np.nan, wrong)

    def findings(self, frame: pd.DataFrame) -> list[Finding]:
        """One for each set of duplicates that disagree, with all their rows."""
        group, each = self._spread(frame)
        found = []
        for code in each.index[each["gap"] > each["slack"]]:
            part = frame[(group == code) & frame[self.column].notna().to_numpy()]
            labels = tuple(part.index)
            values = ", ".join(shown(value) for value in part[self.column])
            message = f"rows {', '.join(map(str, labels))} are equal otherwise, but {self.column} is {values}"
            found.append(
                Finding(self.name, labels, self.columns, float(each["gap"][code]), message, self.severity),
            )
        return found

    def repaired(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows that disagree get the median of their duplicates, or of categories the first in the alphabet's order
        of the most frequent."""
        group, each = self._spread(frame)
        wrong = np.isin(group, each.index[each["gap"] > each["slack"]]) & frame[self.column].notna().to_numpy()
        if not wrong.any():
            return frame
        by = frame[self.column][wrong].groupby(group[wrong])
        numeric = frame[self.column].dtype.kind in "fiub"
        agreed = by.transform("median" if numeric else lambda values: values.mode().iloc[0])
        made = frame[self.column].copy()
        made[wrong] = agreed
        return frame.assign(**{self.column: made})

    def content(self) -> dict[str, Any]:
        """See ``Rule``."""
        made: dict[str, Any] = {"duplicates": self.column}
        if self.given:
            made["given"] = list(self.given)
        return {**made, "tolerance": self.tolerance}


def groups_of(frame: pd.DataFrame, given: Sequence[str], apart: Sequence[str]) -> np.ndarray:
    """A number for each row, the same for rows that are equal in ``given`` (by default in all columns but ``apart``).

    Values that print alike are equal, and two missing ones are.
    """
    names = list(given) or [name for name in frame.columns if name not in apart]
    if not names:
        return np.zeros(len(frame), int)
    codes = np.zeros(len(frame), np.int64)
    for name in names:
        column = frame[name]
        if column.dtype.kind in "fiub":
            values = six_digits(column.to_numpy(float))
        else:
            values = texts_of(frame, [name])[name].to_numpy()
        own, unique = pd.factorize(values, use_na_sentinel=False)
        codes = pd.factorize(codes * len(unique) + own)[0]
    return codes


def six_digits(values: np.ndarray) -> np.ndarray:
    """Numbers as they are after printing with six digits; what is not finite stays."""
    with np.errstate(all="ignore"):
        size = 10.0 ** (np.floor(np.log10(np.abs(values))) - 5)
        made = np.rint(values / size) * size
    return np.where((values == 0) | ~np.isfinite(made), values, made)


def _extremes(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series, np.ndarray]:
    """Of rows sorted by group, x and y: the largest y at lower x, the least at higher x, the place of the former."""
    step = rows.groupby(["group", "x"], sort=False).ngroup()
    levels = pd.DataFrame(
        {"group": rows["group"].groupby(step).first(), "top": rows["y"].groupby(step).max(),
         "bottom": rows["y"].groupby(step).min(), "last": pd.Series(rows.index, rows.index).groupby(step).last()}
    )  # fmt: skip
    running = levels.groupby("group")["top"].cummax()
    # The row that holds the running maximum is the last (highest) of the level where the maximum was reached.
    reached = levels["last"].where(levels["top"] == running).groupby(levels["group"]).ffill()
    below = running.groupby(levels["group"]).shift()
    holder = reached.groupby(levels["group"]).shift()
    backwards = levels.iloc[::-1]
    above = backwards.groupby("group")["bottom"].cummin().groupby(backwards["group"]).shift().reindex(levels.index)
    return (
        pd.Series(below.reindex(step).to_numpy(), rows.index),
        pd.Series(above.reindex(step).to_numpy(), rows.index),
        holder.reindex(step).fillna(-1).to_numpy().astype(int),
    )
