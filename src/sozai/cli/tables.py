"""The options by which a person corrects what sozai has guessed of a table, shared by the commands that take one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sozai.errors import UserError

if TYPE_CHECKING:
    from sozai.materials.tables.table import Table

_TABLE = "The table"

Kinds = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=KIND", rich_help_panel=_TABLE, help="What a column is, if guessed wrongly: Age=count."
    ),
]
Units = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=UNIT", rich_help_panel=_TABLE, help="Unit of a column, or one to convert it to: Strength=MPa."
    ),
]
Schema = Annotated[
    Path | None, typer.Option(rich_help_panel=_TABLE, help="A YAML file that says what the columns are.")
]
Sheet = Annotated[str | None, typer.Option(rich_help_panel=_TABLE, help="The sheet of an Excel file.")]
Rules = Annotated[
    Path | None, typer.Option(rich_help_panel=_TABLE, help="A rule file (YAML): what must be true of the rows.")
]
Ignore = Annotated[list[str] | None, typer.Option(rich_help_panel=_TABLE, help="A column not to use; may be repeated.")]


def read(path: Path, schema: Path | None, sheet: str | None, kinds: Sequence[str], units: Sequence[str]) -> Table:
    """The table with what was typed about it.

    Raises:
        UserError: it cannot be read, or an option has no ``=``.
    """
    from sozai.materials.tables.read import read_table

    return read_table(
        path, schema=schema, sheet=sheet, kinds=pairs(kinds, "--kinds", "Age=count"),
        units=pairs(units, "--units", "Strength=MPa"),
    )  # fmt: skip


def pairs(texts: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dictionary; the last ``=`` parts them.

    Raises:
        UserError: one has no name or no value.
    """
    made = {}
    for text in texts or ():
        name, sign, value = text.rpartition("=")
        if not (name.strip() and sign and value.strip()):
            raise UserError(f"'{text}' is not COLUMN=VALUE", option, f"write such as {option} '{example}'")
        made[name.strip()] = value.strip()
    return made
