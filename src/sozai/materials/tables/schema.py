"""What a person says about a table's columns: a small YAML file, in whole or in part.

columns:
  Strength: {kind: continuous, unit: MPa}
  Grade: {kind: ordinal, levels: [low, medium, high]}
  Sample: text
groups:
  - {columns: [SiO2, Na2O, CaO], total: 100}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sozai.errors import UserError
from sozai.files import atomic, plain
from sozai.materials.tables.table import KINDS, Group, Table

_KEYS = ("name", "kind", "unit", "levels", "heading", "why")


@dataclass
class Schema:
    """Corrections to the guess; empty where nothing is said."""

    kinds: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[Group, ...] | None = None
    source: str = "schema"


def read_schema(path: Path | str) -> Schema:
    """Read a schema file.

    Raises:
        UserError: it cannot be read, or says what is not known.
    """
    source = Path(path)
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UserError(f"the schema cannot be read ({reason.lower()})", str(source)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = source.name if line is None else f"{source.name}, line {line + 1}"
        raise UserError("the schema is no valid YAML", where, "see the example in the manual") from error
    return schema_of(content, source.name)


def schema_of(content: Any, where: str = "schema") -> Schema:
    """A schema from plain mappings and lists, e.g. ``Table.to_dict()``.

    Raises:
        UserError: it says what is not known.
    """
    if content is None:
        return Schema(source=where)
    if not isinstance(content, Mapping) or not set(content) <= {"columns", "groups"}:
        raise UserError("it must hold 'columns', 'groups' or both, and nothing else", where)
    columns = content.get("columns") or {}
    if not isinstance(columns, Mapping):
        raise UserError("'columns' must be a mapping of names to what they are", where, "e.g. Strength: {unit: MPa}")
    schema = Schema(source=where)
    for name, entry in columns.items():
        place = f"{where}, column '{name}'"
        entry = {"kind": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, Mapping) or not set(entry) <= set(_KEYS):
            raise UserError("it is not understood", place, "give kind, unit and levels, e.g. {kind: count, unit: d}")
        if (kind := entry.get("kind")) is not None:
            schema.kinds[str(name)] = _kind(kind, place)
        if (unit := entry.get("unit")) is not None:
            schema.units[str(name)] = str(unit)
        if levels := entry.get("levels"):
            if not isinstance(levels, list | tuple) or len(set(map(str, levels))) != len(levels):
                raise UserError("the levels must be a list of different values", place)
            schema.levels[str(name)] = tuple(map(str, levels))
            schema.kinds.setdefault(str(name), "category")
    if content.get("groups") is not None:
        schema.groups = tuple(_group(entry, where) for entry in _listed(content["groups"], where))
    return schema


def _kind(kind: Any, place: str) -> str:
    if kind not in KINDS:
        raise UserError(f"there is no kind of column '{kind}'", place, f"use one of {', '.join(KINDS)}")
    return str(kind)


def _listed(entries: Any, where: str) -> list[Any]:
    if not isinstance(entries, list | tuple):
        raise UserError("'groups' must be a list", where, "e.g. - {columns: [SiO2, CaO], total: 100}")
    return list(entries)


def _group(entry: Any, where: str) -> Group:
    try:
        columns, total = tuple(map(str, entry["columns"])), float(entry["total"])
        tolerance = float(entry.get("tolerance", 0.0))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(
            f"the group {entry!s:.80} is not understood",
            where,
            "give columns and total, e.g. {columns: [a, b], total: 1}",
        ) from error
    if len(set(columns)) < 2 or not total > 0 or not tolerance >= 0:
        raise UserError(f"the group {', '.join(columns)} needs two columns and a total above 0", where)
    return Group(columns, total, tolerance)


def write_schema(table: Table, path: Path | str) -> None:
    """Write what each column is taken to be, for a person to correct and give back.

    Raises:
        UserError: the file cannot be written.
    """
    columns: dict[str, Any] = {}
    for name, column in table.columns.items():
        entry: dict[str, Any] = {"kind": column.kind}
        if column.unit:
            entry["unit"] = column.unit
        if column.levels:
            entry["levels"] = list(column.levels)
        if column.why:
            entry["why"] = column.why
        columns[name] = entry
    content = plain({"columns": columns, "groups": table.to_dict()["groups"]})
    with atomic(path) as stream:
        stream.write(f"# What the columns of {table.source} are. Correct it, and give it back as the schema.\n")
        stream.write(f"# Kinds: {', '.join(KINDS)}.\n")
        yaml.safe_dump(content, stream, allow_unicode=True, sort_keys=False, default_flow_style=None, width=120)


def description(table: Table) -> list[dict[str, Any]]:
    """The guess, a row a column, for people to look at.

    Returns:
        Dictionaries with ``column``, ``kind``, ``unit``, ``range`` (of numbers), ``levels`` (most frequent first),
        ``missing`` (cells), ``limits`` (cells that are inequalities), ``group`` (its total) and ``why``.
    """
    totals = {name: group.total for group in table.groups for name in group.columns}
    rows = []
    for name, column in table.columns.items():
        values = table.frame[name]
        present = values.dropna()
        span: list[Any] | None = None
        levels: list[str] = []
        if column.numeric and len(present):
            span = [float(present.min()), float(present.max())]
        elif column.kind == "date" and len(present):
            span = [min(present), max(present)]
        elif column.levels:
            levels = list(column.levels) if column.kind == "ordinal" else list(map(str, present.value_counts().index))
        limits = table.limits.get(name)
        rows.append(
            {
                "column": name,
                "kind": column.kind,
                "unit": column.unit,
                "range": span,
                "levels": levels,
                "missing": int(values.isna().sum()),
                "limits": 0 if limits is None else int(np.count_nonzero(limits)),
                "group": totals.get(name),
                "why": column.why,
            }
        )
    return rows
