"""Parts of a whole in drawn rows: their sum is brought to what it was in the data, zeros stay zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sozai.materials.tables.table import Group, Table


class Closure:
    """One group of columns that sum to a whole.

    The part that is never zero and largest on average (silica in a glass, iron in a steel) takes what the others leave,
    as chemists state it: the others keep the values they were drawn with. Where it would leave its own range, all
    parts that are not zero are scaled (closure, Aitchison 1982).

    Args:
        group: the columns and their total.
        sums: that the data's rows have, (some,); one is drawn for each row.
        balance: the part that takes the rest, or none.
        low, high: its range in the data.
    """

    def __init__(self, group: Group, sums: np.ndarray, balance: str | None, low: float, high: float):
        self.group, self.sums, self.balance, self.low, self.high = group, sums, balance, low, high

    @classmethod
    def fit(cls, group: Group, table: Table) -> Closure:
        """From a table's rows."""
        parts = table.frame[list(group.columns)].astype(float)
        sums = parts.dropna().sum(axis=1).to_numpy()
        sums = sums[np.abs(sums - group.total) <= group.tolerance + 1e-9 * abs(group.total)]
        if not len(sums) or group.tolerance == 0:
            sums = np.array([group.total])
        whole = parts.dropna()
        always = [name for name in group.columns if len(whole) and whole[name].min() > 0]
        balance = max(always, key=lambda name: whole[name].mean()) if always else None
        low, high = (float(whole[balance].min()), float(whole[balance].max())) if balance else (0.0, 0.0)
        return cls(group, np.sort(sums), balance, low, high)

    def apply(self, frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        """Rows with sums as in the data; a row with a blank part is left as it is."""
        names = list(self.group.columns)
        parts = np.clip(frame[names].to_numpy(float), 0, None)
        wanted = self.sums[generator.integers(0, len(self.sums), len(frame))]
        total = parts.sum(1)
        with np.errstate(all="ignore"):
            closed = parts * (wanted / total)[:, None]
        if self.balance is not None:
            at = names.index(self.balance)
            rest = wanted - (total - parts[:, at])
            fits = (rest >= self.low) & (rest <= self.high)
            balanced = parts.copy()
            balanced[:, at] = rest
            closed = np.where(fits[:, None], balanced, closed)
        good = np.isfinite(closed).all(1)
        made = frame.copy()
        made[names] = np.where(good[:, None], closed, frame[names].to_numpy(float))
        return made

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; the group itself is in the table's description."""
        return {"sums": self.sums, "balance": self.balance, "low": self.low, "high": self.high}
