"""A table file as a ``Table``: grid, headings, numbers, kinds, units, groups; whatever is changed is noted.

table = read_table("mix.xlsx", kinds={"Grade": "category"}, units={"Strength": "MPa"})
for row in description(table): ...  # the guess, to look at
for note in table.notes: ...        # what was met on the way
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.materials.tables.cells import Decimal, marks_of, numbers_of, texts_of
from sozai.materials.tables.grid import Grid
from sozai.materials.tables.guess import READS_AS_NUMBERS, groups_of
from sozai.materials.tables.schema import Schema, description, read_schema, write_schema
from sozai.materials.tables.sources import grid_of_frame, read_grid
from sozai.materials.tables.table import Column, Group, Note, Table, find
from sozai.materials.tables.units import Heading, heading_of
from sozai.materials.tables.values import ColumnReader, settle_units

__all__ = ["description", "guessed", "read_frame", "read_table", "write_schema"]


def read_table(
    path: Path | str,
    *,
    schema: Path | str | Schema | None = None,
    kinds: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    sheet: str | None = None,
) -> Table:
    """Read CSV, TSV, Excel or parquet (also gzipped) and guess what each column is.

    Encoding, delimiter and decimal mark are found out. Cells that cannot be read as their column's kind are missing,
    each with a note.

    Args:
        path: the file.
        schema: a YAML file that corrects the guess (``write_schema`` writes one; part of it will do).
        kinds: kinds by column, which correct both.
        units: units by column: numbers in another unit are converted, those without one are taken to be in it.
        sheet: of an Excel file; by default the first that is not empty.

    Raises:
        UserError: it cannot be read, or a correction does not fit; says where and how to mend it.
    """
    source = Path(path)
    said = schema if isinstance(schema, Schema) else read_schema(schema) if schema is not None else Schema()
    grid = read_grid(source, sheet)
    headings = [heading_of(text) for text in grid.headings]
    again = {name for name, count in Counter(heading.name for heading in headings).items() if count > 1}
    headings = [
        Heading(text, heading.unit) if heading.name in again else heading
        for text, heading in zip(grid.headings, headings, strict=True)
    ]
    return _table(grid, headings, source.name, said, kinds or {}, units or {})


def guessed(frame: pd.DataFrame, source: str = "table", kinds: Mapping[str, str] | None = None) -> Table:
    """A DataFrame as a table, its columns' kinds guessed where not said; the columns keep their names.

    Raises:
        UserError: it has no rows, or a kind does not fit.
    """
    grid = grid_of_frame(frame, source)
    headings = [Heading(text, heading_of(text).unit) for text in grid.headings]
    return _table(grid, headings, source, Schema(), kinds or {}, {})


def as_table(data: Any) -> Table:
    """A table from what people have at hand: a ``Table``, a DataFrame, or a file's path.

    Raises:
        UserError: it is none of them, or cannot be read.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, pd.DataFrame):
        return guessed(data)
    if isinstance(data, str | Path):
        return read_table(data)
    raise UserError(f"{type(data).__name__} is no table", "data", "give a Table, a DataFrame or a file's path")


def read_frame(path: Path | str, sheet: str | None = None) -> pd.DataFrame:
    """A file's columns as numbers (float64) or text (object), under the headings of the file; nothing else is guessed.

    Raises:
        UserError: it cannot be read.
    """
    grid = read_grid(Path(path), sheet)
    decimals = _decimals(grid)
    made: dict[str, Any] = {}
    for name, cells, decimal in zip(grid.headings, grid.columns, decimals, strict=True):
        numbers = numbers_of(cells, *decimal)
        settle_units(numbers, cells, name, "", [])
        made[name] = numbers.values if numbers.share >= READS_AS_NUMBERS else np.array(texts_of(cells), dtype=object)
    index = pd.Index(grid.rows)
    return pd.DataFrame({name: pd.Series(values, index, values.dtype) for name, values in made.items()}, index)


def _table(
    grid: Grid,
    headings: Sequence[Heading],
    source: str,
    schema: Schema,
    kinds: Mapping[str, str],
    units: Mapping[str, str],
) -> Table:
    names = {
        heading.name: Column(heading.name, "text", heading=text if text != heading.name else "")
        for heading, text in zip(headings, grid.headings, strict=True)
    }
    said_kinds = _by_name(schema.kinds, names, schema.source) | _by_name(kinds, names, source)
    said_units = _by_name(schema.units, names, schema.source) | _by_name(units, names, source)
    said_levels = _by_name(schema.levels, names, schema.source)
    decimals = _decimals(grid)
    table = Table(pd.DataFrame(), {}, notes=list(grid.notes), source=source)
    made: dict[str, Any] = {}
    limits: dict[str, np.ndarray] = {}
    for place, heading in enumerate(headings):
        name = heading.name
        cells, grid.columns[place] = grid.columns[place], []  # the cells of a column are let go once it is read
        reader = ColumnReader(heading, cells, grid.rows, table.notes)
        column, made[name] = reader.read(
            said_kinds.get(name), said_units.get(name), said_levels.get(name), decimals[place]
        )
        if not column.numeric and heading.unit:  # what looked like a unit is part of a heading such as "Additive (s)"
            made[grid.headings[place]] = made.pop(name)
            name = grid.headings[place]
            column = replace(column, name=name)
        elif column.numeric:
            column = replace(column, heading=names[name].heading)
        table.columns[name] = column
        if reader.limits is not None and column.numeric:
            limits[name] = reader.limits
    index = pd.Index(grid.rows)
    # Series that say their type: pandas would turn arrays of text into its own text type.
    table.frame = pd.DataFrame({name: pd.Series(values, index, values.dtype) for name, values in made.items()}, index)
    table.limits = {name: pd.Series(values, table.frame.index) for name, values in limits.items()}
    table.groups = _groups(table, schema)
    _note_sums(table)
    return table


def _decimals(grid: Grid) -> list[tuple[Decimal, bool]]:
    """For each column, which mark is decimal where a cell alone does not tell, and whether the other parts thousands.

    What is proven in a column holds in it; what is proven in the others of the file comes next; then a semicolon
    between the cells, which programs write because the comma is decimal.
    """
    marks = [marks_of(cells) if isinstance(cells, list) else None for cells in grid.columns]
    commas = any(each.comma_decimal for each in marks if each)
    points = any(each.point_decimal for each in marks if each)
    out: list[tuple[Decimal, bool]] = []
    for each in marks:
        if each is None or not each.unclear or (each.comma_decimal and each.point_decimal):
            out.append((".", True) if each is None or not each.comma_decimal else (",", False))
        elif each.comma_decimal:
            out.append((",", not each.point_decimal))
        elif each.point_decimal or each.comma_thousands:
            out.append((".", True))
        else:
            out.append((",", commas) if (commas or grid.delimiter == ";") and not points else (".", True))
    return out


def _by_name(said: Mapping[str, Any], columns: Mapping[str, Column], where: str) -> dict[str, Any]:
    return {find(str(name), columns, where): value for name, value in said.items()}


def _groups(table: Table, schema: Schema) -> tuple[Group, ...]:
    if schema.groups is None:
        return groups_of(table.frame, table.columns)
    groups = []
    for group in schema.groups:
        names = tuple(find(name, table.columns, schema.source) for name in group.columns)
        for name in names:
            if not table.columns[name].numeric:
                raise UserError(
                    "it is part of a group, but not a column of numbers", f"{schema.source}, column '{name}'"
                )
        groups.append(Group(names, group.total, group.tolerance))
    return tuple(groups)


def _note_sums(table: Table) -> None:
    for group in table.groups:
        sums = table.frame[list(group.columns)].sum(axis=1, skipna=False)
        off = sums[(sums - group.total).abs() > max(group.tolerance, 1e-6 * group.total)]
        for row, value in off.items():
            what = f"{', '.join(group.columns)[:80]} sum to {value:g}, not to {group.total:g}"
            table.notes.append(Note(what, group.columns[0], int(row)))  # type: ignore[call-overload]
