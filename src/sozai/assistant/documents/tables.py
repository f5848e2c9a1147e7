"""A table of the person's own (CSV, Excel, parquet) as a document: its rows can be found and quoted like sentences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sozai.assistant.documents.assemble import Assembler, Cell
from sozai.assistant.documents.document import Document
from sozai.errors import UserError
from sozai.files import sha256

TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".parquet")
MOST_ROWS = 5000
"""Rows of a table that are kept for search; the file itself is untouched."""


def read_table_document(path: str | os.PathLike[str]) -> Document:
    """A table file as a document with one table.

    Raises:
        UserError: it cannot be read as a table.
    """
    from sozai.materials.tables.sources import read_grid

    source = Path(path)
    grid = read_grid(source, None)
    count = max((len(column) for column in grid.columns), default=0)
    if not grid.headings or not count:
        raise UserError("the table has no rows", str(source))
    rows = [[Cell(heading) for heading in grid.headings]]
    rows += [[Cell(_text(column[row])) for column in grid.columns] for row in range(min(count, MOST_ROWS))]
    made = Assembler()
    made.table(f"Table {source.name}", rows)
    notes = [f"Only the first {MOST_ROWS:,} of {count:,} rows are searched."] if count > MOST_ROWS else []
    facts = {"kind": "table", "rows": count, "columns": list(grid.headings)}
    return made.finish(str(source), source.name, sha256(source), facts, notes)


def _text(cell: Any) -> str:
    return "" if cell is None or cell != cell else str(cell)
