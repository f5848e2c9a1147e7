"""Tables of experiments: numbers and categories by column.

Text columns are categories, all else numbers: nothing is guessed from how many values a number takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.fields import Field, category, number
from sozai.materials.dataset import Dataset, Material, Values
from sozai.materials.tables.read import read_frame

MOST_CATEGORIES = 200
"""A text column with more values than this is a name, not a category."""


class Table(Material):
    """Rows with named columns.

    Args:
        columns: by name, a list of categories, or how a number is written: ``{"whole": bool}``.
    """

    kind = "table"

    def __init__(self, columns: dict[str, Any]):
        self.columns = columns

    def restore(self, values: Values) -> pd.DataFrame:
        """Columns in the table's own order, whole numbers where all were whole."""
        frame = {}
        for name, column in self.columns.items():
            if name in values:
                if isinstance(column, list):
                    frame[name] = np.array(column, dtype=object)[values[name]]
                else:
                    frame[name] = np.rint(values[name]).astype(int) if column["whole"] else values[name]
        return pd.DataFrame(frame)

    def write(self, made: pd.DataFrame, folder: Path) -> list[Path]:
        """``samples.csv``."""
        path = folder / "samples.csv"
        made.to_csv(path, index=False, float_format="%.6g")
        return [path]

    def condition(self, name: str, value: str | float) -> float | int:
        """A number, or the place of a category in its list."""
        column = self.columns[name]
        if not isinstance(column, list):
            return super().condition(name, value)
        if value not in column:
            raise UserError(f"'{value}' is none of its values", f"condition '{name}'", f"use {', '.join(column[:20])}")
        return column.index(value)

    def to_dict(self) -> dict[str, Any]:
        """See ``Material``."""
        return {"kind": self.kind, "columns": self.columns}


def dataset_of(
    frame: pd.DataFrame, given: Sequence[str] = (), columns: Sequence[str] = (), where: str = "table"
) -> Dataset:
    """A DataFrame as fields.

    Args:
        given: columns that are conditions.
        columns: columns to use; by default all.

    Raises:
        UserError: no such column, a missing value, a text column that is no category, or no rows.
    """
    frame = frame.rename(columns=str)
    for name in (*given, *columns):
        if name not in frame.columns:
            raise UserError(f"there is no column '{name}'", where, f"it has {', '.join(frame.columns)}")
    if columns:
        frame = frame[[name for name in frame.columns if name in {*columns, *given}]]
    if frame.empty:
        raise UserError("the table has no rows", where)
    kinds: dict[str, Any] = {}
    fields: dict[str, Field] = {}
    values: dict[str, np.ndarray] = {}
    for name in frame.columns:
        column = frame[name]
        missing = column.isna() | column.isin([np.inf, -np.inf])
        if missing.any():
            row = int(np.flatnonzero(missing)[0]) + 1
            raise UserError(
                f"{int(missing.sum())} values are missing, the first in row {row}",
                f"{where}, column '{name}'",
                "fill them, leave their rows out, or choose other columns",
            )
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            numbers = column.to_numpy(np.float64)
            kinds[name] = {"whole": bool((numbers == np.rint(numbers)).all())}
            fields[name], values[name] = number(), numbers.astype(np.float32)
        else:
            names = sorted(column.astype(str).unique())
            if len(names) > min(MOST_CATEGORIES, max(2, len(frame) // 2)):
                raise UserError(
                    f"it holds {len(names)} different texts, too many for categories",
                    f"{where}, column '{name}'",
                    "leave the column out, or give it as numbers",
                )
            kinds[name] = names
            codes = {text: code for code, text in enumerate(names)}
            fields[name] = category(len(names))
            values[name] = column.astype(str).map(codes).to_numpy(np.int64)
    conditions = {name: fields.pop(name) for name in list(fields) if name in given}
    if not fields:
        raise UserError("all columns are conditions; nothing is left to generate", where)
    return Dataset(Table(kinds), fields, conditions, values)


def read_table(path: Path, given: Sequence[str] = (), columns: Sequence[str] = ()) -> Dataset:
    """A CSV, TSV, Excel or parquet file under its own headings; see ``read.read_frame`` and ``dataset_of``.

    Raises:
        UserError: it cannot be read.
    """
    return dataset_of(read_frame(path), given, columns, str(path))
