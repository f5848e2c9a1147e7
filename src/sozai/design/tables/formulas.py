"""Formula columns as amounts of elements that can be varied, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.materials.tables.table import Column, Group, Note, Table

SMALLEST = 0.0005
"""Atomic fraction below which an element is left out of a designed formula: no one weighs in less by plan."""


@dataclass(frozen=True)
class Elements:
    """How one formula column was taken apart.

    Args:
        column: the formula column.
        parts: by element symbol, the column that holds its atomic fraction.
    """

    column: str
    parts: dict[str, str]

    def properties(self, frame: pd.DataFrame) -> np.ndarray:
        """Mean and spread of the elements' properties over each row's fractions, (rows, 2 x properties).

        What alloys are explained by: group and row (valence electrons), electronegativity, radius, melting point.
        """
        values = frame[list(self.parts.values())].to_numpy(float)
        values = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12)
        table = np.array([_properties(symbol) for symbol in self.parts])
        mean = values @ table
        return np.hstack([mean, np.sqrt(np.maximum(values @ table**2 - mean**2, 0.0))])

    def formulas(self, frame: pd.DataFrame) -> pd.Series:
        """The formulas of rows of fractions, e.g. ``"Al0.2 Co0.4 Fe0.4"``."""
        values = frame[list(self.parts.values())].to_numpy(float)
        # The rest is not scaled up to 1 again: a fraction at its limit would pass it.
        values = np.where(values < SMALLEST, 0.0, values)
        texts = [
            " ".join(f"{name}{amount:.3g}" for name, amount in zip(self.parts, row, strict=True) if amount)
            for row in values
        ]
        return pd.Series(texts, index=frame.index, dtype=object)


def with_elements(table: Table) -> tuple[Table, Elements | None]:
    """The first formula column replaced by a group of atomic fractions that sum to 1; later ones go.

    Rows whose formula cannot be read go too, with a note.

    Returns:
        The table, and how to turn fractions into formulas; ``None`` for a table without formulas.

    Raises:
        UserError: no formula can be read.
    """
    names = [name for name, column in table.columns.items() if column.kind == "formula"]
    if not names:
        return table, None
    from pymatgen.core import Composition

    name, others = names[0], names[1:]
    found: list[dict[str, float] | None] = []
    for text in table.frame[name]:
        try:
            composition = Composition(str(text)).fractional_composition if isinstance(text, str) else None
            amounts = None if composition is None else {str(e.symbol): float(composition[e]) for e in composition}
        except (ValueError, KeyError, AttributeError):
            amounts = None
        found.append(amounts or None)
    good = np.array([amounts is not None for amounts in found])
    if not good.any():
        raise UserError("no formula in it can be read", f"column '{name}'", "write such as Al0.5 Co Fe Ni")
    notes = list(table.notes)
    if not good.all():
        notes.append(Note(f"{int((~good).sum())} rows whose formula cannot be read are not used", name))
    notes += [Note(f"not used: the formula is taken from '{name}'", other) for other in others]
    symbols = sorted({symbol for amounts in found for symbol in amounts or ()}, key=_place)
    taken = set(table.columns)
    parts = {symbol: symbol if symbol not in taken else f"x({symbol})" for symbol in symbols}
    rows = table.rows(good).frame
    fractions = pd.DataFrame(
        [[amounts.get(symbol, 0.0) for symbol in symbols] for amounts in found if amounts is not None],
        columns=list(parts.values()),
        index=rows.index,
    )
    columns: dict[str, Column] = {}
    for old, column in table.columns.items():
        if old == name:
            columns |= {part: Column(part, "continuous") for part in parts.values()}
        elif old not in others:
            columns[old] = column
    frame = pd.concat([rows.drop(columns=names), fractions], axis=1)[list(columns)]
    group = Group(tuple(parts.values()), 1.0, 1e-6)
    limits = {key: value.reindex(rows.index).fillna(0) for key, value in table.limits.items()}
    made = replace(table, frame=frame, columns=columns, groups=(*table.groups, group), limits=limits, notes=notes)
    return made, Elements(name, parts)


def _place(symbol: str) -> tuple[float, str]:
    """Where an element stands in a formula: cations before anions."""
    from pymatgen.core import Element

    negativity = Element(symbol).X
    return (negativity if negativity == negativity else 9.0), symbol


def _properties(symbol: str) -> tuple[float, ...]:
    """Group, row, electronegativity, atomic radius (angstrom), melting point (1,000 K) of an element."""
    from pymatgen.core import Element

    element = Element(symbol)
    # Noble gases have no electronegativity, a few others no radius or melting point: the middle of all elements.
    known = (element.X, element.atomic_radius, element.melting_point)
    usual = (1.8, 1.45, 1200.0)
    x, radius, melting = (u if k is None or k != k else float(k) for k, u in zip(known, usual, strict=True))
    return float(element.group), float(element.row), x, radius, melting / 1000
