"""Rules that follow from what the columns of a table are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from sozai.knowledge.tables.columns import Bounds
from sozai.knowledge.tables.rule import Rule
from sozai.knowledge.tables.sums import Sum

NUMBERS = ("continuous", "count")
NAMES = ("category", "ordinal")
FEWEST_ROWS = 10
"""With fewer rows nothing is concluded from the values that were seen."""


class TableLike(Protocol):
    """What is needed of a ``sozai.materials.tables.Table``."""

    @property
    def frame(self) -> pd.DataFrame:
        """Rows."""

    @property
    def columns(self) -> Mapping[str, Any]:
        """What each column is, by name: with ``kind``, ``unit`` and ``levels``."""

    @property
    def groups(self) -> Sequence[Any]:
        """Columns that sum to a whole: with ``columns``, ``total`` and ``tolerance``."""


def schema_rules(table: TableLike) -> list[Rule]:
    """Hard: counts are whole, columns in which nothing negative was seen stay at 0 or above, percentages at most 100,
    categories are among their levels, and groups sum to their whole. Soft: values lie in the range that was seen.
    """
    rules: list[Rule] = []
    grouped = {name for group in table.groups for name in group.columns}
    for group in table.groups:
        if all(name in table.frame.columns for name in group.columns):
            rules.append(Sum(group.columns, group.total, group.tolerance, source="the columns are parts of a whole"))
    for name, column in table.columns.items():
        if name not in table.frame.columns:
            continue
        if column.kind in NAMES and column.levels:
            rules.append(Bounds(name, values=column.levels, source="the table's categories"))
        elif column.kind in NUMBERS:
            rules += _number_rules(table, name, name in grouped)
    return rules


def _number_rules(table: TableLike, name: str, grouped: bool) -> list[Rule]:
    column, values = table.columns[name], table.frame[name].to_numpy(float)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    enough = len(values) >= FEWEST_ROWS
    floor = 0.0 if enough and low >= 0 and not grouped else None
    ceiling = 100.0 if enough and column.unit in ("%", "percent") and low >= 0 and high <= 100 and not grouped else None
    whole = column.kind == "count"
    rules: list[Rule] = []
    if whole or floor is not None:
        why = "counts are whole" if whole and floor is None else f"none of {len(values)} values is below 0"
        rules.append(Bounds(name, floor, ceiling, whole=whole, source=why))
    if enough and low < high:
        source = f"range of {len(values)} values"
        rules.append(Bounds(name, low, high, name=f"{name} in the range seen", severity="soft", source=source))
    return rules
