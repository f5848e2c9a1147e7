"""A table of experiments: its rows, what each column is, and what was found while reading it.

table = read_table("uhpc.csv")
table.frame                # a DataFrame: numbers as float64, all else as text, blanks as NaN
table.columns["Age"].kind  # "count"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from sozai.errors import UserError

Kind = Literal["continuous", "count", "category", "ordinal", "formula", "date", "text"]
KINDS: tuple[Kind, ...] = ("continuous", "count", "category", "ordinal", "formula", "date", "text")
NUMBERS: tuple[Kind, ...] = ("continuous", "count")
MODELLED: tuple[Kind, ...] = ("continuous", "count", "category", "ordinal")
"""Kinds that generators and learners take as they are. The others need turning into numbers first (a formula into
descriptors, a date into days), or say whose the row is (text: names, references)."""


@dataclass(frozen=True)
class Column:
    """What one column holds.

    Args:
        name: heading without its unit.
        kind: continuous (any number), count (whole numbers), category, ordinal (categories in an order), formula
            (a chemical composition), date, or text (names, remarks: not modelled).
        unit: of the numbers in the frame, as pint writes it; empty for a pure number or an unknown unit.
        levels: the values of a category, or those of an ordinal from low to high.
        heading: as it stands in the file, its unit included; empty when it is the name.
        why: what the kind was guessed from.
    """

    name: str
    kind: Kind
    unit: str = ""
    levels: tuple[str, ...] = ()
    heading: str = field(default="", compare=False)
    why: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(
                f"there is no kind of column '{self.kind}'", f"column '{self.name}'", f"use one of {', '.join(KINDS)}"
            )
        object.__setattr__(self, "levels", tuple(self.levels))

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.kind in NUMBERS


@dataclass(frozen=True)
class Group:
    """Columns that are parts of a whole, such as weight percents of oxides.

    Args:
        columns: names of the parts.
        total: what they sum to, 100 or 1.
        tolerance: by how much sums in the data miss it.
    """

    columns: tuple[str, ...]
    total: float
    tolerance: float = 0.0


@dataclass(frozen=True)
class Note:
    """Something met while reading: what, and where.

    Args:
        what: one sentence.
        column: empty where it is about the whole file.
        row: label of the row in the frame; ``None`` where it is about the whole column.
    """

    what: str
    column: str = ""
    row: int | None = None


@dataclass
class Table:
    """Rows with named, typed columns.

    Args:
        frame: numbers as float64, other kinds as text (object); blanks are NaN or None. The index is the row's number
            as a spreadsheet counts it: the heading is row 1.
        columns: by name, in the frame's order.
        groups: columns that sum to a whole.
        limits: by column, for values written as an inequality: -1 where the truth is below the number in the frame
            (``<1e-10``), 1 where it is above, 0 elsewhere. Columns without any are not in it.
        notes: what was met while reading.
        source: the file's name.
    """

    frame: pd.DataFrame
    columns: dict[str, Column]
    groups: tuple[Group, ...] = ()
    limits: dict[str, pd.Series] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    source: str = "table"

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def numeric(self) -> list[str]:
        """Names of the columns of numbers."""
        return [name for name, column in self.columns.items() if column.numeric]

    @property
    def modelled(self) -> list[str]:
        """Names of the columns that generators and learners take as they are."""
        return [name for name, column in self.columns.items() if column.kind in MODELLED]

    def column(self, name: str) -> Column:
        """What a column is, by its name or its heading in the file, in capitals or small letters.

        Raises:
            UserError: there is none of that name.
        """
        return self.columns[find(name, self.columns, self.source)]

    def select(self, names: Iterable[str]) -> Self:
        """Only these columns, in the table's own order; groups that lose a part go.

        Raises:
            UserError: there is no such column.
        """
        wanted = {self.column(name).name for name in names}
        return replace(
            self,
            frame=self.frame[[name for name in self.columns if name in wanted]],
            columns={name: column for name, column in self.columns.items() if name in wanted},
            groups=tuple(group for group in self.groups if wanted.issuperset(group.columns)),
            limits={name: limits for name, limits in self.limits.items() if name in wanted},
        )

    def rows(self, places: Sequence[int] | np.ndarray) -> Self:
        """The rows at these places (0 .. len - 1; or a mask), in that order."""
        frame = self.frame.iloc[np.flatnonzero(places) if np.asarray(places).dtype == bool else places]
        return self.with_frame(frame)

    def with_frame(self, frame: pd.DataFrame) -> Self:
        """The same columns over other rows."""
        limits = {name: values.reindex(frame.index).fillna(0) for name, values in self.limits.items()}
        return replace(self, frame=frame, limits=limits)

    def to_dict(self) -> dict[str, Any]:
        """The description of the columns, without the rows: plain JSON, which ``described`` reads."""
        return {
            "columns": {name: asdict(column) for name, column in self.columns.items()},
            "groups": [asdict(group) for group in self.groups],
        }


def find(name: str, columns: Mapping[str, Column], where: str) -> str:
    """The name of the column that a person calls so: by name, by heading, or without regard to case.

    Raises:
        UserError: there is none, or more than one.
    """
    if name in columns:
        return name
    for same in (str, str.casefold):
        found = [own for own, each in columns.items() if same(name) in (same(own), same(each.heading or own))]
        if len(found) == 1:
            return found[0]
    names = list(columns)
    shown = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    raise UserError(f"there is no column '{name}'", where, f"it has {shown}")


def described(frame: pd.DataFrame, content: Mapping[str, Any], source: str = "table") -> Table:
    """A table of rows that are already as ``Table.to_dict`` says."""
    columns = {name: Column(**entries) for name, entries in content["columns"].items()}
    groups = tuple(Group(**{**entries, "columns": tuple(entries["columns"])}) for entries in content["groups"])
    return Table(frame[list(columns)], columns, groups, source=source)
