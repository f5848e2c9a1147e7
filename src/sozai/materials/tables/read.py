"""A table file as a ``Table``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sozai.errors import UserError
from sozai.materials.tables.table import Column, Table


def read_table(
    path: Path | str,
    *,
    schema: Path | str | None = None,
    kinds: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    sheet: str | None = None,
) -> Table:
    """Read CSV, TSV, Excel or parquet and guess what each column is.

    Args:
        path: the file.
        schema: a YAML file that corrects the guess (``Table.to_dict``, also in part).
        kinds: kinds by column, which correct both.
        units: units by column, likewise.
        sheet: of an Excel file; by default the first.

    Raises:
        UserError: it cannot be read; says where and how to mend it.
    """
    source = Path(path)
    if not source.exists():
        raise UserError("there is no such file", str(source))
    try:
        if source.suffix.lower() == ".parquet":
            frame = pd.read_parquet(source)
        else:
            frame = pd.read_csv(source, sep="\t" if ".tsv" in source.name.lower() else ",", encoding="utf-8-sig")
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise UserError(f"the table cannot be read ({error})", str(source)) from error
    return guessed(frame, source.name, kinds)


def guessed(frame: pd.DataFrame, source: str = "table", kinds: Mapping[str, str] | None = None) -> Table:
    """A DataFrame as a table, its columns' kinds guessed where not said."""
    columns: dict[str, Column] = {}
    made: dict[str, Any] = {}
    for name in map(str, frame.columns):
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values):
            whole = bool((values.dropna() % 1 == 0).all())
            columns[name] = Column(name, "count" if whole else "continuous")
            made[name] = values.astype(float)
        else:
            texts = values.astype(object).where(values.notna(), None)
            levels = tuple(sorted({str(text) for text in texts.dropna()}))
            kind = "category" if len(levels) <= max(2, min(50, len(frame) // 5)) else "text"
            columns[name] = Column(name, kind, levels=levels if kind == "category" else ())  # type: ignore[arg-type]
            made[name] = texts
    for name, kind in (kinds or {}).items():
        columns[name] = Column(name, kind, levels=columns[name].levels)  # type: ignore[arg-type]
    out = pd.DataFrame(made)
    out.index = pd.RangeIndex(2, len(out) + 2)
    return Table(out, columns, source=source)
