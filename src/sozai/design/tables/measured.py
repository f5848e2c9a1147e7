"""Rows that were measured after the table was written, joined to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sozai.materials.tables.table import Table


def joined(table: Table, rows: Sequence[Mapping[str, Any]]) -> Table:
    """The table with rows after its own; what they lack is blank, and their new names become levels.

    Args:
        table: the rows until now.
        rows: by column; other columns are passed over.
    """
    if not rows:
        return table
    columns = dict(table.columns)
    made = {}
    for name, column in table.columns.items():
        values = [row.get(name) for row in rows]
        if column.numeric:
            made[name] = pd.Series([np.nan if value is None else float(value) for value in values], dtype=float)
        else:
            texts = [None if value is None or value != value else str(value) for value in values]
            made[name] = pd.Series(texts, dtype=object)
            if column.levels:
                new = [text for text in dict.fromkeys(texts) if text is not None and text not in column.levels]
                columns[name] = replace(column, levels=(*column.levels, *new))
    frame = pd.DataFrame(made)
    last = int(table.frame.index.max()) if len(table) else 1
    frame.index = pd.RangeIndex(last + 1, last + 1 + len(frame))
    whole = pd.concat([table.frame, frame])
    return replace(table.with_frame(whole), columns=columns)
