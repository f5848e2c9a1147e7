"""New rows near known ones: mixtures, small steps and exchanged columns, brought to obey the rules."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Table

MOST_DECIMALS = 4


class Variation:
    """Makes children of rows.

    Args:
        table: complete rows; ranges, levels and decimals are learned from these.
        rules: that each child obeys.
    """

    def __init__(self, table: Table, rules: TableRules):
        self.table, self.rules = table, rules
        frame = table.frame
        self._spans = {name: float(np.ptp(frame[name].to_numpy(float))) for name in table.numeric}
        self._scales = {name: float(frame[name].std(ddof=0)) or 1.0 for name in table.numeric}
        self._parts = {name for group in table.groups for name in group.columns}
        self._decimals = {name: _decimals(frame[name].to_numpy(float)) for name in table.numeric}

    def children(self, parents: pd.DataFrame, count: int, rng: np.random.Generator, step: float = 0.1) -> pd.DataFrame:
        """At most ``count`` rows, each from one of the parents and two others, all hard rules obeyed.

        Args:
            parents: complete rows.
            count: rows to try.
            rng: the source of chance.
            step: size of small steps, as a share of a column's range.
        """
        one, two, three = (parents.iloc[rng.integers(len(parents), size=count)].reset_index(drop=True) for _ in "123")
        kind = rng.integers(3, size=count)  # exchange columns, mix two rows, take small steps
        share = rng.uniform(size=count)
        made = {}
        for name, column in self.table.columns.items():
            a, b, c = (each[name].to_numpy() for each in (one, two, three))
            exchanged = rng.uniform(size=count) < 0.3
            if not column.numeric:
                made[name] = np.where((kind == 0) & exchanged, b, a)
                continue
            moved = rng.uniform(size=count) < max(0.3, 1.5 / len(self.table.columns))
            steps = rng.normal(scale=step * self._spans[name], size=count) + 0.4 * (b - c) * (
                rng.uniform(size=count) < 0.5
            )
            values = np.where(kind == 0, np.where(exchanged, b, a), np.where(kind == 1, share * a + (1 - share) * b, a))
            # What is left out of a mix stays out unless another row brings it in.
            values = np.where((kind == 2) & moved & (a != 0), a + steps, values)
            made[name] = values
        return self.lawful(pd.DataFrame(made))

    def lawful(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows rounded as the data are and brought to obey all hard rules; those that cannot be are left out."""
        if not len(frame):
            return frame
        frame = frame[list(self.table.columns)].reset_index(drop=True)
        fixed, good = self.rules.repair(self._rounded(frame), scales=self._scales)
        # Rounding after a repair reads better, but must not undo it.
        round_again = self._rounded(fixed)
        still = self.rules.obeyed(round_again)
        made = round_again.where(pd.Series(still, index=fixed.index), fixed)
        made = made[good | still].drop_duplicates()
        return made.astype({name: float for name in self.table.numeric}).reset_index(drop=True)

    def _rounded(self, frame: pd.DataFrame) -> pd.DataFrame:
        made = frame.copy()
        for name, decimals in self._decimals.items():
            if decimals is not None and name not in self._parts:
                made[name] = np.round(made[name].to_numpy(float), decimals)
        return made


def _decimals(values: np.ndarray) -> int | None:
    """Decimals with which a column is written; ``None`` if with more than four."""
    for decimals in range(MOST_DECIMALS + 1):
        if np.mean(np.isclose(np.round(values, decimals), values, rtol=0, atol=1e-9)) >= 0.95:
            return decimals
    return None
